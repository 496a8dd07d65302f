"""Apertus' channels: what the model thinks, what it says, and the tools that it calls.

The checkpoint's own special tokens switch between them: ``<|inner_prefix|>``, ``<|inner_suffix|>``
around thoughts, ``<|tools_prefix|>``, ``<|tools_suffix|>`` around a JSON list of calls, each an
object with one key, the tool's name, and its arguments.
"""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from model_gate.documents import removed_from_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from filter import OutputFilter


class Channel(StrEnum):
    """What a piece of an answer is."""

    CONTENT = "content"
    REASONING = "reasoning"
    TOOL_CALLS = "tool_calls"


SWITCHES = {
    "<|inner_prefix|>": Channel.REASONING,
    "<|inner_suffix|>": Channel.CONTENT,
    "<|tools_prefix|>": Channel.TOOL_CALLS,
    "<|tools_suffix|>": Channel.CONTENT,
}


class Piece(NamedTuple):
    """Something that may be read."""

    channel: Channel
    text: str
    """Of a tool call: a JSON object with ``name`` and ``arguments``, the latter JSON in a string."""


class ToolCall(NamedTuple):
    """One call of a tool."""

    name: str
    arguments: str
    """A JSON object."""


class Calls(NamedTuple):
    """What became of the text between the tokens around tool calls."""

    calls: tuple[ToolCall, ...]
    removed: Counter[str]
    """What it would say that must not be said; then there are no calls."""


def read_calls(
    output_filter: OutputFilter, text: str, contexts: Sequence[str] = ()
) -> Calls | None:
    """Read tool calls, all of them or none; `None` where the text is not of that form.

    A listed identifier anywhere in them, names and keys included, ends the answer: a tool that is
    called with a marker would do the wrong thing. ``contexts`` as in `documents.removed_from`.
    """
    removed = removed_from_text(output_filter, text, contexts)
    if removed:
        return Calls((), removed)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    calls = []
    for call in found:
        if not isinstance(call, dict) or len(call) != 1:
            return None
        ((name, arguments),) = call.items()
        calls.append(ToolCall(name, json.dumps(arguments, ensure_ascii=False)))
    return Calls(tuple(calls), removed)
