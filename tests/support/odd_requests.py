"""Requests that are almost right: one place of a good one holds any JSON value, or what is no JSON."""

from __future__ import annotations

import copy
import json
import math
from typing import Any

from hypothesis import strategies as st

_SCHEMA = {"type": "object", "properties": {"place": {"type": "string", "enum": ["Bern"]}}}
_FUNCTION = {"name": "look_up", "description": "Looks up.", "parameters": _SCHEMA}
_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look_up", "arguments": '{"place": "Bern"}'},
}
_MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "Where?"}]},
    {"role": "assistant", "content": "I look.", "tool_calls": [_CALL], "reasoning_content": "Hm."},
    {"role": "tool", "tool_call_id": "call_1", "content": "There."},
    {"role": "user", "content": "Thanks."},
]
_COMMON = {
    "stream": False,
    "n": 1,
    "stop": ["zzz"],
    "temperature": 0.5,
    "top_p": 0.9,
    "seed": 1,
    "logprobs": None,
    "user": "one",
}
GOOD: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        **_COMMON,
        "messages": _MESSAGES,
        "tools": [{"type": "function", "function": _FUNCTION}],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "max_tokens": 2,
    },
    "/v1/completions": {**_COMMON, "prompt": ["One", "Two"], "best_of": 1, "max_tokens": 2},
    "/v1/responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "Where?"}]},
            {
                "type": "function_call",
                "call_id": "call_1",
                "name": "look_up",
                "arguments": '{"place": "Bern"}',
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "There."},
            {"type": "reasoning", "summary": []},
            {
                "type": "message",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "."}],
            },
            {"role": "user", "content": "Thanks."},
        ],
        "instructions": "Be brief.",
        "tools": [{"type": "function", **_FUNCTION}],
        "tool_choice": {"type": "function", "name": "look_up"},
        "text": {"format": {"type": "json_schema", "name": "a", "schema": _SCHEMA}},
        "reasoning": {"effort": "low"},
        "max_output_tokens": 2,
    },
}
_NAMED = {
    **GOOD["/v1/chat/completions"],
    "tool_choice": {"type": "function", "function": {"name": "look_up"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": _SCHEMA}},
}
"""What only the proxy takes."""

_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1 << 70, 10**400])
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=6)
    | st.sampled_from(['{"a": NaN}', '{"a": "\\ud800"}', '{"a": 1e999}', "\ud800", "function"])
    | st.sampled_from(["[" * depth + "]" * depth for depth in (100, 700, 60_000)])
    | st.sampled_from(['{"a":' * depth + "1" + "}" * depth for depth in (100, 450, 60_000)])
)
_names = st.sampled_from(
    ["type", "text", "name", "id", "role", "content", "function", "arguments", "parameters"]
)
_values = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_names | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
_SPECIAL: list[Any] = [
    math.inf,
    {"a": [math.inf]},
    '{"a": NaN}',
    '{"a": "\\ud800"}',
    '{"a": 1e999}',
    "\ud800",
    ["a"],
    {"type": ["a"]},
    [{"type": ["a"], "text": "x"}],
    [{"type": {}, "text": "x"}],
]
_FREE = frozenset({"parameters", "schema", "arguments", "content", "output"})
_DEEP = "<deep>"
"""Stands for what `json` cannot write itself."""


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            found += _places(one, (*path, key))
    return found


@st.composite
def odd_requests(draw: Any, *routes: str, named: bool = False) -> tuple[str, bytes]:
    """A route and a body. ``named``: with what only the proxy takes, as well."""
    route = draw(st.sampled_from(routes))
    good = GOOD[route]
    if named and "messages" in good and draw(st.booleans()):
        good = _NAMED
    body = copy.deepcopy(good)
    # Not the number of tokens: a model would go on for as long as it can.
    places = [path for path in _places(body) if path and not str(path[0]).startswith("max_")]
    # More often where a text of its own form is read.
    free = [path for path in places if _FREE.intersection(path)]
    *before, last = draw(st.sampled_from(places) | st.sampled_from(free or places))
    inner = body
    for key in before:
        inner = inner[key]
    depth = draw(st.sampled_from([0, 0, 0, 0, 100, 400, 500, 700, 900, 50_000]))
    inner[last] = _DEEP if depth else draw(st.sampled_from(_SPECIAL) | _values)
    if isinstance(last, str) and draw(st.booleans()):
        inner["more"] = draw(_values)
    said = json.dumps(body).replace(f'"{_DEEP}"', draw(_nests(depth)))
    infinite = draw(st.sampled_from(["Infinity", "1e999"]))
    return route, said.replace("Infinity", infinite).encode()


def _nests(depth: int) -> st.SearchStrategy[str]:
    return st.sampled_from(["[" * depth + "]" * depth, '{"a":' * depth + "1" + "}" * depth])
