"""From what is asked for to sequences for the decode loop: the prompt is heard, rendered and tokenised.

Takes slow hashes and the tokenizer's time: for a thread, not for the event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Any

from jinja2.exceptions import TemplateError

from model_gate.errors import NamedPromptRefused, PromptTooLong
from model_gate.model import GatedModel
from model_gate.prompts import Hearing, Turn, hear
from model_gate.sequence import GatedSequence
from model_gate.server.asks import Ask
from model_gate.web.limits import CHARACTERS_OF_TOKEN, NamedPrompts, check_size, size_of
from model_gate.web.messages import texts, with_texts
from model_gate.web.metrics import Metrics
from model_gate.web.problems import ApiError


class Prompter:
    """Makes the sequences of a request. For any number of threads."""

    def __init__(self, model: GatedModel, metrics: Metrics, limit: NamedPrompts) -> None:
        self._model = model
        self._metrics = metrics
        self._limit = limit

    def sequences(self, ask: Ask, client: str, hashes: Executor) -> list[GatedSequence]:
        """Those of all choices, prompt by prompt; ``hashes``: where their slow hashes are computed.

        Raises:
            ApiError: 429, this client has named listed persons too often; 400, what cannot be rendered.
            PromptTooLong: more tokens than the context holds; nothing was heard.
            NamedPromptRefused, BundleExpired, FilterFailed: see `hear`.
        """
        self._limit.check(client)
        if ask.prompts:
            for prompt in ask.prompts:
                self._check_length([Turn("user", prompt)])
            found: list[GatedSequence] = []
            for prompt in ask.prompts:
                hearing = self._heard([Turn("user", prompt)], ask, client)
                found += self._choices(
                    ask, self._encoded(hearing.turns[0].text), hearing, len(found), hashes
                )
            return found
        turns = texts(ask.messages, ask.tools)
        self._check_length(turns)
        hearing = self._heard(turns, ask, client)
        messages, tools = with_texts(ask.messages, ask.tools, hearing.turns)
        return self._choices(ask, self._rendered(ask, messages, tools), hearing, 0, hashes)

    def count(self, sequence: GatedSequence) -> int:
        """Tokens of everything that a sequence has said."""
        return self._model.generation(sequence).completion_tokens

    def _check_length(self, turns: Sequence[Turn]) -> None:
        """Refuse what does not fit, before the filter reads it.

        Raises:
            PromptTooLong: more tokens than the context holds, those of the template not counted.
        """
        context = self._model.context
        check_size(size_of(turns), CHARACTERS_OF_TOKEN * context)
        if sum(len(turn.text.encode()) for turn in turns) <= context:
            return  # a token has an octet at least
        if self._model.count("\n".join(turn.text for turn in turns)) > context:
            raise PromptTooLong(
                f"The prompt has more tokens than this model's context, {context}: shorten it."
            )

    def _heard(self, turns: Sequence[Turn], ask: Ask, client: str) -> Hearing:
        try:
            hearing = hear(self._model.guard, turns, continues=ask.continues)
        except NamedPromptRefused:
            self._charge(client, 1, "refused")
            raise
        self._charge(client, hearing.named, "answered")
        return hearing

    def _charge(self, client: str, named: int, outcome: str) -> None:
        if not named:
            return
        try:
            self._limit.charge(client, named)
        except ApiError:
            self._metrics.named_prompt("limited")
            raise
        self._metrics.named_prompt(outcome)

    def _encoded(self, text: str) -> list[int]:
        return list(map(int, self._model.tokenizer(text)["input_ids"]))

    def _rendered(
        self, ask: Ask, messages: list[dict[str, Any]], tools: list[dict[str, Any]]
    ) -> list[int]:
        tokenizer = self._model.tokenizer
        if not tokenizer.chat_template:
            raise ApiError(
                400,
                "This checkpoint has no chat template: use /v1/completions, or serve an Instruct model.",
            )
        for message in messages:
            message.pop(
                "reasoning_content", None
            )  # thoughts of earlier turns are not thought again
            message.setdefault("content", "")
            for call in message.get("tool_calls", ()):
                call.setdefault("type", "function")
        try:
            found = tokenizer.apply_chat_template(
                messages,
                tools=tools or None,
                add_generation_prompt=ask.opens,
                continue_final_message=ask.continues,
                tokenize=True,
                return_dict=True,
            )
        except (TemplateError, ValueError, TypeError):
            raise ApiError(
                400,
                "This model's chat template does not take such a conversation.",
                param="messages",
            ) from None
        return list(map(int, found["input_ids"]))

    def _choices(
        self, ask: Ask, ids: list[int], hearing: Hearing, first: int, hashes: Executor
    ) -> list[GatedSequence]:
        model = self._model
        room = model.context - len(ids)
        return [
            GatedSequence(
                ids,
                ask.drawing(first + number, room),
                hearing,
                model.guard.policy,
                model.vocabulary,
                eos=model.eos,
                stop=ask.stop,
                json_whole=ask.json,
                room=room,
                background=hashes,
            )
            for number in range(ask.n)
        ]
