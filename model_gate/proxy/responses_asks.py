"""What a request to OpenAI's Responses API asks for: it is read as a chat.

Nothing is kept: no ``store``, no ``previous_response_id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from model_gate.proxy import asks
from model_gate.web import fields
from model_gate.web.messages import TOOLS, numbered
from model_gate.web.messages import message as read_message
from model_gate.web.problems import ApiError
from model_gate.web.requests import Form, Refused, wrong

if TYPE_CHECKING:
    from model_gate.proxy.asks import Ask

_ITEMS = 4096
_NOT_KEPT = "nothing is kept here, so send the whole conversation"
_SHOWN = "it would show text before it is filtered"
_REFUSED = {
    **fields.REFUSED,
    "previous_response_id": Refused(_NOT_KEPT),
    "conversation": Refused(_NOT_KEPT),
    "store": Refused(_NOT_KEPT),
    "background": Refused(_NOT_KEPT),
    "include": Refused(_SHOWN),
    "prompt": Refused("write the prompt into input"),
    "context_management": Refused("a prompt is read whole"),
    "max_tool_calls": Refused("tools are called by whoever asks"),
    "truncation": Refused("a prompt is read whole", ("disabled",)),
}
_TOOL = Form(
    {
        "type": fields.one_of("function"),
        "name": fields.text(256),
        "description": fields.text(),
        "parameters": fields.json_object,
        "strict": fields.ignored,
    },
    required=("type", "name"),
)
_FORMAT = Form(
    {
        "type": fields.one_of("text", "json_object", "json_schema"),
        "name": fields.text(256),
        "description": fields.text(),
        "schema": fields.json_object,
        "strict": fields.flag,
    },
    required=("type",),
)
_TEXT = Form({"format": _FORMAT, "verbosity": fields.ignored})


def _input(value: object, place: str) -> list[dict[str, Any]]:
    """Text, or items, as messages of a chat."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list) or not 0 < len(value) <= _ITEMS:
        wrong(place, f"a string or a list of 1 to {_ITEMS} items")
    found = [
        _item(item, f"{place}[{number}]")
        for number, item in enumerate(value)
        # Thoughts of earlier turns are not thought again.
        if not (isinstance(item, dict) and item.get("type") == "reasoning")
    ]
    if not found:
        wrong(place, "a string or a list with messages")
    return numbered(found)


def _item(item: object, place: str) -> dict[str, Any]:
    if not isinstance(item, dict):
        wrong(place, "an item")
    kind = item.get("type", "message")
    if kind == "message":
        message = {"role": item.get("role"), "content": _parts(item.get("content"))}
        return read_message(message, place)
    if kind == "function_call":
        call = {
            "id": item.get("call_id"),
            "type": "function",
            "function": {"name": item.get("name"), "arguments": item.get("arguments")},
        }
        return read_message({"role": "assistant", "tool_calls": [call]}, place)
    if kind != "function_call_output":
        wrong(place, "a message, a function_call, a function_call_output or reasoning")
    message = {
        "role": "tool",
        "content": item.get("output"),
        "tool_call_id": item.get("call_id"),
    }
    return read_message(message, place)


def _parts(content: object) -> object:
    """Parts of a message; those of an earlier answer are texts too."""
    if not isinstance(content, list):
        return content
    return [
        {"type": "text", "text": part.get("text")}
        if isinstance(part, dict) and part.get("type") in ("output_text", "input_text", "text")
        else part
        for part in content
    ]


def _tool_choice(value: object, place: str) -> Any:
    if isinstance(value, str):
        return fields.one_of("auto", "none", "required")(value, place)
    found = _NAMED_TOOL(value, place)
    return {"type": "function", "function": {"name": found["name"]}}


_NAMED_TOOL = Form(
    {"type": fields.one_of("function"), "name": fields.text(256)}, required=("type", "name")
)
_RESPONSE = Form(
    {
        "model": fields.text(256),
        "input": _input,
        "instructions": fields.text(),
        "stream": fields.flag,
        "stream_options": Form({"include_obfuscation": fields.flag}),
        "max_output_tokens": fields.whole(1, 1 << 20),
        "temperature": fields.number(0, 2),
        "top_p": fields.number(0, 1, above=True),
        "tools": fields.each(_TOOL, 128),
        "tool_choice": _tool_choice,
        "parallel_tool_calls": fields.flag,
        "text": _TEXT,
        "reasoning": Form({"effort": asks.EFFORT, "summary": fields.ignored}),
        "metadata": fields.ignored,
        "user": fields.ignored,
        "safety_identifier": fields.ignored,
        "prompt_cache_key": fields.ignored,
        "service_tier": fields.ignored,
    },
    required=("input",),
    refused={
        name: why for name, why in _REFUSED.items() if name not in ("reasoning", "modalities")
    },
)


def read(body: object) -> Ask:
    """A request for a response.

    Raises:
        ApiError: says what is wrong with it.
    """
    found = _RESPONSE(body)
    messages = list(found["input"])
    if "instructions" in found:
        messages.insert(0, {"role": "system", "content": found["instructions"]})
    chat: dict[str, Any] = {"messages": messages}
    for name in ("model", "stream", "temperature", "top_p", "tool_choice", "parallel_tool_calls"):
        if name in found:
            chat[name] = found[name]
    if "max_output_tokens" in found:
        chat["max_tokens"] = found["max_output_tokens"]
    if "effort" in found.get("reasoning", {}):
        chat["reasoning_effort"] = found["reasoning"]["effort"]
    if "tools" in found:
        chat["tools"] = TOOLS(
            [
                {
                    "type": "function",
                    "function": {
                        k: v
                        for k, v in tool.items()
                        if k not in ("type", "strict") and v is not None
                    },
                }
                for tool in found["tools"]
            ],
            "tools",
        )
    form = found.get("text", {}).get("format", {"type": "text"})
    if form["type"] == "json_schema":
        schema = {k: v for k, v in form.items() if k != "type"}
        if "name" not in schema:
            raise ApiError(400, "text.format.name is missing.", param="text.format.name")
        chat["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif form["type"] == "json_object":
        chat["response_format"] = {"type": "json_object"}
    last = messages[-1]
    return asks.chat_of(chat, continues=last["role"] == "assistant" and "tool_calls" not in last)
