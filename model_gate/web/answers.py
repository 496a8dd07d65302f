"""Answers in OpenAI's shapes, whole and in pieces."""

from __future__ import annotations

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from model_gate.channels import Channel, Piece


class Counted(Protocol):
    """Tokens of a request."""

    def body(self) -> dict[str, int]:
        """As in an answer."""


class Usage:
    """Tokens of a request: its prompts, and what went out."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._prompt: dict[int, int] = {}
        self.completion_tokens = 0

    def add(self, choice: int, prompt_tokens: int, completion_tokens: int) -> None:
        """Count a choice; each prompt counts once, however many answers it has."""
        self._prompt[choice // self._n] = prompt_tokens
        self.completion_tokens += completion_tokens

    def body(self) -> dict[str, int]:
        """As in an answer."""
        prompt = sum(self._prompt.values())
        return {
            "prompt_tokens": prompt,
            "completion_tokens": self.completion_tokens,
            "total_tokens": prompt + self.completion_tokens,
        }


class Delta(NamedTuple):
    """What is new of a choice."""

    text: str
    """Content and thoughts, in the order in which they were said."""
    fields: dict[str, Any]
    """The same, and calls, as the fields of a message."""


_NOTHING = Delta("", {})


class ChoiceText:
    """Everything that one choice has said."""

    def __init__(self) -> None:
        self.text = ""
        self.content = ""
        self.reasoning = ""
        self.calls: list[dict[str, Any]] = []
        self.finish_reason: str | None = None

    def add(self, pieces: Sequence[Piece]) -> Delta:
        """Take pieces; returns what is new."""
        text = "".join(one.text for one in pieces if one.channel != Channel.TOOL_CALLS)
        content = "".join(one.text for one in pieces if one.channel == Channel.CONTENT)
        reasoning = "".join(one.text for one in pieces if one.channel == Channel.REASONING)
        calls = [
            _call(one.text, len(self.calls) + number)
            for number, one in enumerate(
                piece for piece in pieces if piece.channel == Channel.TOOL_CALLS
            )
        ]
        self.text += text
        self.content += content
        self.reasoning += reasoning
        self.calls += calls
        found = {"reasoning_content": reasoning, "content": content, "tool_calls": calls}
        return Delta(text, {name: value for name, value in found.items() if value})


def _call(text: str, index: int) -> dict[str, Any]:
    found = json.loads(text)
    function = {"name": found["name"], "arguments": found["arguments"]}
    return {
        "index": index,
        "id": f"call_{uuid.uuid4().hex[:24]}",
        "type": "function",
        "function": function,
    }


class Shape(ABC):
    """What answers of one request look like."""

    def __init__(self, model: str, prefix: str, whole: str, part: str) -> None:
        self._id = f"{prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._model = model
        self._whole = whole
        self._part = part

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": kind,
            "created": self._created,
            "model": self._model,
        }

    def whole(self, choices: Sequence[ChoiceText], usage: Counted) -> dict[str, Any]:
        """A whole answer."""
        shown = [self._choice(number, one) for number, one in enumerate(choices)]
        return {**self._head(self._whole), "choices": shown, "usage": usage.body()}

    def part(
        self, number: int, delta: Delta = _NOTHING, finish_reason: str | None = None
    ) -> dict[str, Any]:
        """A piece of one choice."""
        about = {"logprobs": None, "finish_reason": finish_reason}
        choice = {"index": number, **self._delta(delta), **about}
        return {**self._head(self._part), "choices": [choice]}

    def usage(self, usage: Counted) -> dict[str, Any]:
        """The last event, where it was asked for."""
        return {**self._head(self._part), "choices": [], "usage": usage.body()}

    @abstractmethod
    def opening(self, number: int) -> dict[str, Any] | None:
        """The first event of a choice."""

    @abstractmethod
    def _choice(self, number: int, said: ChoiceText) -> dict[str, Any]: ...

    @abstractmethod
    def _delta(self, delta: Delta) -> dict[str, Any]: ...


class Chat(Shape):
    """Of a chat."""

    def __init__(self, model: str) -> None:
        super().__init__(model, "chatcmpl", "chat.completion", "chat.completion.chunk")

    def opening(self, number: int) -> dict[str, Any] | None:
        """Whose turn it is."""
        return self.part(number, Delta("", {"role": "assistant", "content": ""}))

    def _choice(self, number: int, said: ChoiceText) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": said.content, "refusal": None}
        if said.reasoning:
            message["reasoning_content"] = said.reasoning
        if said.calls:
            message["content"] = said.content or None
            message["tool_calls"] = [
                {name: value for name, value in call.items() if name != "index"}
                for call in said.calls
            ]
        about = {"logprobs": None, "finish_reason": said.finish_reason}
        return {"index": number, "message": message, **about}

    def _delta(self, delta: Delta) -> dict[str, Any]:
        return {"delta": delta.fields}


class Completion(Shape):
    """Of a completion: thoughts are text like any other, and there are no calls."""

    def __init__(self, model: str) -> None:
        super().__init__(model, "cmpl", "text_completion", "text_completion")

    def opening(self, number: int) -> dict[str, Any] | None:
        """There is none."""
        return None

    def _choice(self, number: int, said: ChoiceText) -> dict[str, Any]:
        about = {"logprobs": None, "finish_reason": said.finish_reason}
        return {"index": number, "text": said.text, **about}

    def _delta(self, delta: Delta) -> dict[str, Any]:
        return {"text": delta.text}
