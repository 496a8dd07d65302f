"""What a request to the proxy asks for: read by lists of fields, and what of it the engine is told.

A field goes to the engine only if it stands on the list. ``stop`` never does: stop sequences are
looked for in filtered text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from model_gate.prompts import Turn
from model_gate.web import fields
from model_gate.web.limits import size_of
from model_gate.web.messages import MESSAGES, TOOLS, texts, with_texts
from model_gate.web.problems import ApiError
from model_gate.web.requests import Form, Rule, wrong

PROMPTS = 64
"""Prompts of one request for completions, at most."""
_HERE = frozenset({"stop", "stream", "stream_options", "messages", "tools", "prompt", "n"})
"""Fields that the proxy acts on itself."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for answers."""

    path: str
    """Of the engine's route."""
    settings: Mapping[str, Any]
    """Fields that the engine is told as they are."""
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    stop: tuple[str, ...] = ()
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Of a chat."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    """Of completions."""
    json: bool = False
    """The content is one JSON value, to be held until it is whole."""
    continues: bool = False
    """The answer continues the last message."""

    @property
    def model(self) -> str:
        """The model's name as the client wrote it."""
        return str(self.settings.get("model", "default"))

    @property
    def choices(self) -> int:
        """How many answers."""
        return self.n * max(1, len(self.prompts))

    @property
    def size(self) -> int:
        """Characters of its prompts: see `model_gate.web.limits.size_of`."""
        return size_of([Turn("user", one) for one in self.prompts] or self.turns())

    def turns(self) -> list[Turn]:
        """Every text of a chat, in the order in which `with_turns` takes them back."""
        return texts(self.messages, [*self._forms(), *self.tools])

    def with_turns(self, turns: Sequence[Turn]) -> dict[str, Any]:
        """Fields of a chat as the engine is told them, with these texts."""
        forms = self._forms()
        messages, found = with_texts(self.messages, [*forms, *self.tools], turns)
        told: dict[str, Any] = {"messages": messages}
        if tools := found[len(forms) :]:
            told["tools"] = tools
            choice = self.settings.get("tool_choice")
            if isinstance(choice, dict):
                number = _names(self.tools).index(choice["function"]["name"])
                told["tool_choice"] = {
                    "type": "function",
                    "function": {"name": _names(tools)[number]},
                }
        if forms:
            form = found[0]
            if "parameters" in form:
                form["schema"] = form.pop("parameters")
            told["response_format"] = {"type": "json_schema", "json_schema": form}
        return told

    def _forms(self) -> list[dict[str, Any]]:
        """The schema of the answer, written like a tool's: it is read by the model, and free text."""
        form = self.settings.get("response_format", {}).get("json_schema")
        if form is None:
            return []
        return [{("parameters" if name == "schema" else name): one for name, one in form.items()}]


def _tool_choice(value: object, place: str) -> Any:
    if isinstance(value, str):
        return fields.one_of("auto", "none", "required")(value, place)
    return _NAMED_TOOL(value, place)


_NAMED_TOOL = Form(
    {"type": fields.one_of("function"), "function": Form({"name": fields.text(256)}, ("name",))},
    required=("type", "function"),
)
_SCHEMA = Form(
    {
        "name": fields.text(256),
        "description": fields.text(),
        "schema": fields.json_object,
        "strict": fields.flag,
    },
    required=("name",),
)
_FORMAT = Form(
    {"type": fields.one_of("text", "json_object", "json_schema"), "json_schema": _SCHEMA},
    required=("type",),
)


def _prompt(value: object, place: str) -> list[str]:
    if isinstance(value, list) and value and not all(isinstance(one, str) for one in value):
        wrong(place, "a string or a list of strings: token ids are not taken")
    return list(fields.one_or_each(fields.text(), PROMPTS, 1)(value, place))


EFFORT = fields.one_of("none", "minimal", "low", "medium", "high")
_SAMPLING: dict[str, Rule] = {
    **fields.COMMON,
    "presence_penalty": fields.number(-2, 2),
    "frequency_penalty": fields.number(-2, 2),
    "min_p": fields.number(0, 1),
}
_CHAT = Form(
    {
        **_SAMPLING,
        "messages": MESSAGES,
        "max_completion_tokens": fields.COMMON["max_tokens"],
        "tools": TOOLS,
        "tool_choice": _tool_choice,
        "parallel_tool_calls": fields.flag,
        "response_format": _FORMAT,
        "reasoning_effort": EFFORT,
        "chat_template_kwargs": Form({"enable_thinking": fields.flag, "thinking": fields.flag}),
        "add_generation_prompt": fields.flag,
        "continue_final_message": fields.flag,
    },
    required=("messages",),
    refused=fields.refused_but(
        "presence_penalty", "frequency_penalty", "min_p", "reasoning_effort", "chat_template_kwargs"
    ),
)
_COMPLETION = Form(
    {**_SAMPLING, "prompt": _prompt, "best_of": fields.whole(1, fields.CHOICES)},
    required=("prompt",),
    refused=fields.refused_but("presence_penalty", "frequency_penalty", "min_p"),
)


def chat(body: object) -> Ask:
    """A request for a chat's next turn.

    Raises:
        ApiError: says what is wrong with it.
    """
    found = _CHAT(body)
    return chat_of(found, continues=_continues(found))


def chat_of(found: dict[str, Any], *, continues: bool = False) -> Ask:
    """The same from fields that have been read."""
    form = found.get("response_format", {}).get("type", "text")
    choice = found.get("tool_choice")
    if isinstance(choice, dict) and choice["function"]["name"] not in _names(
        found.get("tools", [])
    ):
        wrong("tool_choice", "the name of one of the tools")
    return Ask(
        "/v1/chat/completions",
        _settings(found),
        messages=found["messages"],
        tools=found.get("tools", []),
        json=form != "text",
        continues=continues,
        **_common(found),
    )


def completion(body: object) -> Ask:
    """A request for what follows one or several texts.

    Raises:
        ApiError: says what is wrong with it.
    """
    found = _COMPLETION(body)
    if found.pop("best_of", found.get("n", 1)) != found.get("n", 1):
        raise ApiError(400, "best_of must be n: all answers are given.", param="best_of")
    return Ask(
        "/v1/completions",
        _settings(found),
        prompts=found["prompt"],
        continues=True,
        **_common(found),
    )


def _names(tools: Sequence[dict[str, Any]]) -> list[str]:
    return [str(tool["function"]["name"]) for tool in tools]


def _continues(found: dict[str, Any]) -> bool:
    continues = found.get("continue_final_message", False)
    if continues and found.get("add_generation_prompt", False):
        raise ApiError(
            400,
            "Either continue_final_message or add_generation_prompt can be true.",
            param="continue_final_message",
        )
    last = found["messages"][-1]
    if last["role"] == "assistant" and not last.get("tool_calls"):
        return True  # some engines continue it unasked
    if continues:
        raise ApiError(
            400,
            "Only a message of the assistant's can be continued.",
            param="continue_final_message",
        )
    return False


def _settings(found: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in found.items() if name not in _HERE and one is not None}


def _common(found: dict[str, Any]) -> dict[str, Any]:
    return {
        "n": found.get("n", 1),
        "stream": found.get("stream", False),
        "include_usage": found.get("stream_options", {}).get("include_usage", False),
        "stop": tuple(found.get("stop", ())),
    }
