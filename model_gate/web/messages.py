"""Conversations as the chat route takes them: read strictly, and all of their text laid open for the filter."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from model_gate.prompts import Turn
from model_gate.web.fields import each, ignored, json_object, one_of, text
from model_gate.web.requests import Form, Refused, Rule, strict_json, wrong

ROLES = ("system", "developer", "user", "assistant", "tool")
_NAME = 256
_PART = Form(
    {"type": text(32), "text": text(), "cache_control": ignored}, required=("type", "text")
)
_NO_MORE = "only text is read here"
_REFUSED = {
    "audio": Refused(_NO_MORE),
    "images": Refused(_NO_MORE),
    "annotations": Refused("a message holds text and tool calls"),
    "refusal": Refused("write it as content"),
    "function_call": Refused("use tool_calls"),
}


def _content(value: object, place: str) -> str:
    """A string, or a list of parts that are text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        wrong(place, "a string or a list of text parts")
    parts = []
    for number, part in enumerate(value):
        where = f"{place}[{number}]"
        if not isinstance(part, dict) or part.get("type") not in ("text", "input_text"):
            wrong(where, 'a text part, {"type": "text", "text": ...}: only text is read here')
        parts.append(_PART(part, where)["text"])
    return "\n".join(parts)


def _arguments(value: object, place: str) -> str:
    """Arguments of a tool call: a string that holds a JSON object."""
    try:
        found = strict_json(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        wrong(place, "a string that holds a JSON object")
    return json.dumps(found, ensure_ascii=False)


_FUNCTION = Form({"name": text(_NAME), "arguments": _arguments}, required=("name", "arguments"))
_CALL = Form(
    {"id": text(_NAME), "type": one_of("function"), "function": _FUNCTION, "index": ignored},
    required=("function",),
)
_CALLS = each(_CALL, 128)
_FIELDS: dict[str, Rule] = {
    "role": text(32),
    "content": _content,
    "name": ignored,
    "tool_calls": _CALLS,
    "tool_call_id": text(_NAME),
    "reasoning_content": text(),
    "reasoning": text(),
}
_MESSAGE = Form(_FIELDS, required=("role",), refused=_REFUSED)
_TOOL_FUNCTION = Form(
    {"name": text(_NAME), "description": text(), "parameters": json_object, "strict": ignored},
    required=("name",),
)
_TOOL = Form({"type": text(32), "function": _TOOL_FUNCTION}, required=("type", "function"))


def tool(value: object, place: str) -> dict[str, Any]:
    """A tool's description: a function."""
    found = _TOOL(value, place)
    if found["type"] != "function":
        wrong(place, "a function")
    return found


def message(value: object, place: str) -> dict[str, Any]:
    """A message, its content joined to one string.

    Of the fields there are ``role``, ``content`` (unless there are only tool calls), ``tool_calls``,
    ``tool_call_id`` and ``reasoning_content``.
    """
    found = _MESSAGE(value, place)
    if found["role"] not in ROLES:
        wrong(f"{place}.role", ", ".join(ROLES[:-1]) + " or tool")
    if found["role"] != "assistant" and "content" not in found:
        wrong(f"{place}.content", "a string or a list of text parts")
    if found["role"] != "assistant" and "tool_calls" in found:
        wrong(f"{place}.tool_calls", "left out: only the assistant calls tools")
    found.pop("name", None)
    if "reasoning" in found:
        found.setdefault("reasoning_content", found["reasoning"])
        del found["reasoning"]
    return found


def numbered(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages with ids of our own for their tool calls: which belongs to which is all they tell.

    An id is the client's free text, and templates show it to the model. Mistral's take only those of nine
    letters and digits.
    """
    own: dict[str, str] = {}

    def of(given: str) -> str:
        return own.setdefault(given, f"call{len(own):05}")

    changed = []
    for one in messages:
        new = dict(one)
        if "tool_calls" in one:
            new["tool_calls"] = [
                {**call, "id": of(call["id"])} if "id" in call else call
                for call in one["tool_calls"]
            ]
        if "tool_call_id" in one:
            new["tool_call_id"] = of(one["tool_call_id"])
        changed.append(new)
    return changed


_EACH = each(message, 4096, 1)


def conversation(value: object, place: str) -> list[dict[str, Any]]:
    """Messages (`message`), their ids `numbered`."""
    return numbered(_EACH(value, place))


MESSAGES: Rule = conversation
TOOLS = each(tool, 128)
_IDS = frozenset({"role", "type", "id", "tool_call_id"})
_FREE = "parameters"


def texts(messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]] = ()) -> list[Turn]:
    """Every text of a conversation as a turn: those of the tools first, a message's content last.

    So the last turn is the content of the last message, if it has one.
    """
    found = [Turn("system", one) for one in _strings(list(tools))]
    for one in messages:
        role: str = one["role"]
        found += [Turn(role, said) for said in _strings({**one, "content": None})]
        if one.get("content") is not None:
            found.append(Turn(role, one["content"]))
    return found


def with_texts(
    messages: Sequence[dict[str, Any]], tools: Sequence[dict[str, Any]], turns: Sequence[Turn]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The same conversation and tools, with the texts of ``turns`` in the place of what `texts` gave."""
    left = iter(turns)
    new_tools = _replaced(list(tools), left)
    new_messages = []
    for one in messages:
        changed = _replaced({**one, "content": None}, left)
        if "content" in one:
            changed["content"] = next(left).text
        else:
            del changed["content"]
        new_messages.append(changed)
    return new_messages, new_tools


def _strings(value: object, *, free: bool = False) -> Iterator[str]:
    """Strings of a JSON value, in order; keys too where it is ``free``, of the caller's own form."""
    if isinstance(value, dict):
        for key, item in value.items():
            if free:
                yield key
            if free or key not in _IDS:
                yield from _strings(item, free=free or key == _FREE)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, free=free)
    elif isinstance(value, str):
        yield value


def _replaced(value: Any, left: Iterator[Turn], *, free: bool = False) -> Any:
    if isinstance(value, dict):
        changed = {}
        for key, item in value.items():
            name = next(left).text if free else key
            kept = not free and key in _IDS
            changed[name] = item if kept else _replaced(item, left, free=free or key == _FREE)
        return changed
    if isinstance(value, list):
        return [_replaced(item, left, free=free) for item in value]
    return next(left).text if isinstance(value, str) else value
