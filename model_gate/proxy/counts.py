"""What an answer took: tokens as the engine counts them, and characters as they went by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


CHARACTERS = 4
"""Of a token, where tokens are not counted."""


class Counts:
    """Of one request."""

    def __init__(self) -> None:
        self.characters_in = 0
        self.characters_out = 0
        self.removed = False
        self._prompt = 0
        self._completion: int | None = None
        self._so_far: dict[int, int] = {}

    def read(self, chunk: Mapping[str, Any]) -> None:
        """Take a chunk's count: that of the whole answer, or of one choice so far."""
        usage = chunk.get("usage")
        if not isinstance(usage, dict):
            return
        prompt, completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
        if prompt is not None:
            self._prompt = prompt
        if completion is None:
            return
        if chunk.get("choices"):
            self._so_far[_index(chunk)] = completion
        else:
            self._completion = completion

    @property
    def completion_tokens(self) -> int:
        """Those of what went out: by its length alone where something was removed.

        The engine's own number would tell how long that was.
        """
        if self.removed:
            return -(-self.characters_out // CHARACTERS)
        return sum(self._so_far.values()) if self._completion is None else self._completion

    def body(self) -> dict[str, int]:
        """As in an answer."""
        tokens = self.completion_tokens
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": tokens,
            "total_tokens": self._prompt + tokens,
        }


def _number(usage: Mapping[str, Any], name: str) -> int | None:
    value = usage.get(name)
    return value if type(value) is int and value >= 0 else None


def _index(chunk: Mapping[str, Any]) -> int:
    index = chunk["choices"][0].get("index", 0)
    return index if type(index) is int else 0
