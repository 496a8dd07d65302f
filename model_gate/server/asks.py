"""What a request asks for, read from its JSON: chats and completions become the same `Ask`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from filter.errors import InputError
from model_gate.sampling import Sampling
from model_gate.web import fields
from model_gate.web.messages import MESSAGES, TOOLS
from model_gate.web.problems import ApiError
from model_gate.web.requests import Form, Rule, wrong

PROMPTS = 64
"""Prompts of one request for completions, at most."""
_COMPLETION_TOKENS = 16
"""What OpenAI's completions say unless more is asked for."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for answers."""

    model: str | None
    n: int
    stream: bool
    include_usage: bool
    stop: tuple[str, ...]
    sampling: Mapping[str, Any]
    """Fields of `Sampling` that were given."""
    max_tokens: int | None = None
    """As many as fit, where it is `None`."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    """Of a chat."""
    tools: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[str] = field(default_factory=list)
    """Of completions."""
    json: bool = False
    """The content is one JSON value, to be held until it is whole."""
    continues: bool = False
    """The answer continues the last message."""
    opens: bool = False
    """The prompt ends with what opens the model's turn."""

    def drawing(self, choice: int, room: int) -> Sampling:
        """How the tokens of a choice are drawn.

        Args:
            choice: its number; each draws with another seed.
            room: tokens that fit behind the prompt.

        Raises:
            ApiError: they are fewer than were asked for.
        """
        wanted = room if self.max_tokens is None else self.max_tokens
        if wanted > room or room < 1:
            raise ApiError(
                400,
                "The prompt and max_tokens are more than this model's context holds: shorten one of them.",
                code="context_length_exceeded",
                param="max_tokens",
            )
        settings = dict(self.sampling)
        if settings.get("seed") is not None:
            settings["seed"] = (settings["seed"] + choice) % (1 << 63)
        try:
            return Sampling(max_new_tokens=wanted, **settings)
        except InputError as error:
            raise ApiError(400, str(error)) from None


def _tool_choice(value: object, place: str) -> str:
    if value not in ("auto", "none") or not isinstance(value, str):
        wrong(place, '"auto" or "none": the model cannot be made to call a tool')
    return value


_RESPONSE_FORMAT = Form({"type": fields.text(32)}, required=("type",))


def _response_format(value: object, place: str) -> str:
    kind: object = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "json_object"):
        wrong(place, '{"type": "text"} or {"type": "json_object"}: schemas are not enforced here')
    return str(_RESPONSE_FORMAT(value, place)["type"])


def _prompt(value: object, place: str) -> list[str]:
    if isinstance(value, list) and value and not all(isinstance(one, str) for one in value):
        wrong(place, "a string or a list of strings: token ids are not taken")
    return _PROMPTS(value, place)  # type: ignore[no-any-return]


_PROMPTS = fields.one_or_each(fields.text(), PROMPTS, 1)
_TEMPLATE: dict[str, Rule] = {
    "add_generation_prompt": fields.flag,
    "continue_final_message": fields.flag,
}
_CHAT = Form(
    {
        **fields.COMMON,
        **_TEMPLATE,
        "messages": MESSAGES,
        "max_completion_tokens": fields.COMMON["max_tokens"],
        "tools": TOOLS,
        "tool_choice": _tool_choice,
        "parallel_tool_calls": fields.flag,
        "response_format": _response_format,
    },
    required=("messages",),
    refused=fields.REFUSED,
)
_COMPLETION = Form(
    {**fields.COMMON, "prompt": _prompt, "best_of": fields.whole(1, fields.CHOICES)},
    required=("prompt",),
    refused=fields.REFUSED,
)


def chat(body: object) -> Ask:
    """A request for a chat's next turn.

    Raises:
        ApiError: says what is wrong with it.
    """
    found = _CHAT(body)
    continues = found.get("continue_final_message", False)
    opens = found.get("add_generation_prompt", not continues)
    last = found["messages"][-1]
    if continues and opens:
        raise ApiError(
            400,
            "Either continue_final_message or add_generation_prompt can be true.",
            param="continue_final_message",
        )
    if continues and (
        last["role"] != "assistant" or not last.get("content") or "tool_calls" in last
    ):
        wrong("continue_final_message", "false, unless the last message is the assistant's text")
    tools = found.get("tools", [])
    return replace(
        _ask(found),
        messages=found["messages"],
        tools=tools if found.get("tool_choice", "auto") == "auto" else [],
        json=found.get("response_format") == "json_object",
        continues=continues,
        opens=opens,
        max_tokens=found.get("max_completion_tokens", found.get("max_tokens")),
    )


def completion(body: object) -> Ask:
    """A request for completions.

    Raises:
        ApiError: says what is wrong with it.
    """
    found = _COMPLETION(body)
    if found.get("best_of", found.get("n", 1)) != found.get("n", 1):
        wrong("best_of", "the same as n: answers are not chosen among by how likely they are")
    return replace(
        _ask(found),
        prompts=found["prompt"],
        continues=True,
        max_tokens=found.get("max_tokens", _COMPLETION_TOKENS),
    )


def _ask(found: dict[str, Any]) -> Ask:
    """What both routes have in common."""
    options = found.get("stream_options", {})
    if options and not found.get("stream", False):
        wrong("stream_options", "left out, unless stream is true")
    return Ask(
        model=found.get("model"),
        n=found.get("n", 1),
        stream=found.get("stream", False),
        include_usage=options.get("include_usage", False),
        stop=tuple(found.get("stop", ())),
        sampling=_sampling(found),
    )


def _sampling(found: dict[str, Any]) -> dict[str, Any]:
    names = ("temperature", "top_p", "top_k", "repetition_penalty", "seed")
    settings = {name: found[name] for name in names if name in found}
    if "top_k" in settings:
        settings["top_k"] = max(0, settings["top_k"])
    if "seed" in settings:
        settings["seed"] %= 1 << 63
    return settings
