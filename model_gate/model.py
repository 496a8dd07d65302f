"""`GatedModel`: an Apertus checkpoint with the filter around its generation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast, overload

from filter.errors import InputError
from model_gate.channels import Channel, Piece, ToolCall
from model_gate.decode import Decoder
from model_gate.errors import PromptTooLong
from model_gate.guard import Guard
from model_gate.hashing import SlowHashes
from model_gate.policy import GatePolicy, Mode
from model_gate.prompts import Hearing, Turn, hear
from model_gate.sampling import Sampling
from model_gate.sequence import GatedSequence
from model_gate.tokens import Vocabulary

if TYPE_CHECKING:
    from collections import Counter

Message = Mapping[str, Any]
Prompt = str | Sequence[Message]
"""Text to be continued, or the messages of a chat: ``role`` and ``content``."""

LONGEST_CONTEXT = 65_536


class Generation(NamedTuple):
    """One answer."""

    text: str
    finish_reason: str
    """``stop``, ``length``, ``content_filter`` or ``tool_calls``."""
    reasoning: str
    tool_calls: tuple[ToolCall, ...]
    removed: Counter[str]
    """Kinds of what was removed, and how often."""
    prompt_tokens: int
    completion_tokens: int
    token_ids: tuple[int, ...] | None
    """What was drawn, where nothing was removed; else it would tell what was."""


class GatedModel:
    """A model and the bundle that is in force. Its methods are for one thread at a time."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        guard: Guard,
        *,
        eos: frozenset[int],
        rows: int = 64,
        context: int = LONGEST_CONTEXT,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.guard = guard
        self.eos = eos
        self.rows = rows
        self.context = min(context, LONGEST_CONTEXT, model.config.max_position_embeddings)
        self.vocabulary = Vocabulary.of(tokenizer)
        self.background = SlowHashes(max(1, (os.cpu_count() or 2) - 1))
        """Where slow hashes are computed beside the decode loop."""
        if guard.policy.mode is Mode.RESAMPLE:
            self.vocabulary.prepare()

    @classmethod
    def from_pretrained(
        cls,
        path: str | Path,
        *,
        bundle: Path | str | Guard,
        policy: GatePolicy | None = None,
        device: str = "auto",
        dtype: str = "auto",
        rows: int = 64,
        context: int = LONGEST_CONTEXT,
    ) -> Self:
        """Load an Apertus checkpoint, base or Instruct, behind a bundle.

        Args:
            path: a folder, or a name on a model hub.
            bundle: the bundle's file, or a guard that several models share.
            policy: how the gate behaves; a guard has its own.
            device: ``cpu``, ``cuda`` ...; ``auto`` takes a GPU where there is one.
            dtype: ``float32``, ``bfloat16`` ...; ``auto`` is the checkpoint's.
            rows: sequences decoded at once at most.
            context: tokens of a prompt and its answer at most.

        Raises:
            CheckpointError: no Apertus, one that needs forks, or no tokenizer.
            BundleError, InputError: a bundle that must not be used.
        """
        from model_gate.checkpoint import load

        # First: no model is loaded that could not be served.
        guard = bundle if isinstance(bundle, Guard) else Guard.open(bundle, policy)
        found = load(path, device, dtype)
        return cls(found.model, found.tokenizer, guard, eos=found.eos, rows=rows, context=context)

    def close(self) -> None:
        """Compute no slow hash any more: for whoever goes on without this model."""
        self.background.close()

    def decoder(self, *, seed: int | None = None) -> Decoder:
        """A decode loop; with a seed all its rows draw from one generator, as ``generate`` does."""
        return Decoder(self.model, eos=self.eos, rows=self.rows, context=self.context, seed=seed)

    @overload
    def generate(self, prompts: Prompt, **options: Any) -> Generation: ...
    @overload
    def generate(self, prompts: Sequence[Prompt], **options: Any) -> list[Generation]: ...
    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        *,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] | None = None,
        json_whole: bool = False,
        **sampling_options: Any,
    ) -> Generation | list[Generation]:
        """Answer one prompt, or many at once.

        Args:
            prompts: a text, a chat, or a list of either.
            sampling: how to draw.
            **sampling_options: its fields instead: ``temperature``, ``top_p``, ``top_k``,
                ``repetition_penalty``, ``seed``, ``do_sample``, ``max_new_tokens``.
            stop: stop sequences, looked for in the filtered text.
            tools: as in the OpenAI API, for the chat template.
            json_whole: the answer is one JSON value, filtered as such when it is whole.

        Raises:
            PromptTooLong: more tokens than the context holds.
            NamedPromptRefused: the policy refuses a prompt.
            BundleExpired, FilterFailed: no filter is in force.
            InputError: options that cannot be used.
        """
        sampling = _sampling(sampling, sampling_options)
        single = _is_prompt(prompts)
        several = [cast("Prompt", prompts)] if single else list(cast("Sequence[Prompt]", prompts))
        sequences = [
            self.sequence(prompt, sampling=sampling, stop=stop, tools=tools, json_whole=json_whole)
            for prompt in several
        ]
        found: list[Generation] = []
        for first in range(0, len(sequences), self.rows):
            group = sequences[first : first + self.rows]
            decoder = self.decoder(seed=sampling.seed)
            for sequence in group:
                decoder.admit(sequence)
            while decoder.active:
                decoder.step()
            for sequence in group:
                sequence.finish()
            found += map(self.generation, group)
        return found[0] if single else found

    def stream(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling | None = None,
        stop: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] | None = None,
        json_whole: bool = False,
        **sampling_options: Any,
    ) -> Iterator[Piece]:
        """Answer one prompt piece by piece; what was yielded is final. Arguments as in `generate`."""
        sampling = _sampling(sampling, sampling_options)
        sequence = self.sequence(
            prompt, sampling=sampling, stop=stop, tools=tools, json_whole=json_whole
        )
        decoder = self.decoder(seed=sampling.seed)
        decoder.admit(sequence)
        while decoder.active:
            decoder.step()
            yield from sequence.take()
        sequence.finish()
        yield from sequence.take()

    def sequence(
        self,
        prompt: Prompt,
        *,
        sampling: Sampling,
        stop: Sequence[str] = (),
        tools: Sequence[Mapping[str, Any]] | None = None,
        json_whole: bool = False,
        continues: bool = False,
        hearing: Hearing | None = None,
    ) -> GatedSequence:
        """A sequence for a `Decoder`. Takes slow hashes unless the prompt was heard before.

        Args:
            prompt: a text or a chat.
            sampling: as in `generate`.
            stop: as there.
            tools: as there.
            json_whole: as there.
            continues: the last message of a chat is the model's own, to be continued.
            hearing: what `hear_prompt` gave for the same prompt.

        Raises:
            as `generate`.
        """
        hearing = hearing or self.hear_prompt(prompt, continues=continues)
        ids = self.encode(prompt, hearing, tools=tools, continues=continues)
        room = self.context - len(ids)
        if room < 1:
            raise PromptTooLong(
                f"The prompt has {len(ids)} tokens and this model's context {self.context}: "
                "shorten it."
            )
        return GatedSequence(
            ids,
            sampling,
            hearing,
            self.guard.policy,
            self.vocabulary,
            eos=self.eos,
            stop=stop,
            json_whole=json_whole,
            room=room,
            background=self.background.lane(),
        )

    def hear_prompt(self, prompt: Prompt, *, continues: bool = False) -> Hearing:
        """What a prompt means for the filter; for any thread.

        Raises:
            NamedPromptRefused, BundleExpired, FilterFailed, InputError: as `generate`.
        """
        if isinstance(prompt, str):
            turns, continues = [Turn("user", prompt)], True
        else:
            turns = [_turn(message) for message in prompt]
        for turn in turns:
            try:
                turn.text.encode()
            except UnicodeEncodeError:
                raise InputError("The prompt is not Unicode text: give it as UTF-8.") from None
        return hear(self.guard, turns, continues=continues)

    def encode(
        self,
        prompt: Prompt,
        hearing: Hearing,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        continues: bool = False,
    ) -> list[int]:
        """Token ids of a prompt as it was heard."""
        if isinstance(prompt, str):
            ids = self.tokenizer(hearing.turns[0].text)["input_ids"]
            return list(map(int, ids))
        messages = [
            {**message, "content": turn.text}
            for message, turn in zip(prompt, hearing.turns, strict=True)
        ]
        if not self.tokenizer.chat_template:
            raise InputError(
                "This checkpoint has no chat template: give a text, or use an Instruct checkpoint."
            )
        found = self.tokenizer.apply_chat_template(
            messages,
            tools=list(tools) if tools else None,
            add_generation_prompt=not continues,
            continue_final_message=continues,
            tokenize=True,
            return_dict=True,
        )
        return list(map(int, found["input_ids"]))

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def generation(self, sequence: GatedSequence) -> Generation:
        """What became of a finished sequence."""
        tokens = sequence.completion_tokens
        if tokens is None:
            tokens = sum(self.count(sequence.text(channel)) for channel in Channel)
        return Generation(
            sequence.text(Channel.CONTENT),
            sequence.finish_reason or "length",
            sequence.text(Channel.REASONING),
            tuple(sequence.calls),
            sequence.removed,
            len(sequence.prompt),
            tokens,
            None if sequence.removed else tuple(sequence.tokens),
        )


def _is_prompt(prompts: object) -> bool:
    """Whether it is one text or one chat, not a list of them."""
    if isinstance(prompts, str):
        return True
    if not isinstance(prompts, Sequence) or not prompts:
        raise InputError("Give a text, a list of messages, or a list of either.")
    return isinstance(prompts[0], Mapping)


def _turn(message: Message) -> Turn:
    content = message.get("content")
    role = message.get("role")
    if not isinstance(role, str) or not isinstance(content, str | None):
        raise InputError("A message has a role and a text as content.")
    return Turn(role, content or "")


def _sampling(sampling: Sampling | None, options: Mapping[str, Any]) -> Sampling:
    if sampling is not None and options:
        raise InputError("Give a Sampling or its fields, not both.")
    try:
        return sampling or Sampling(**options)
    except TypeError:
        raise InputError(
            f"There is no such option: use {', '.join(Sampling.__dataclass_fields__)}."
        ) from None
