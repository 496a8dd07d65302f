"""Conversations: what a message may hold, and that all of its text is laid open."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_gate.prompts import Turn
from model_gate.web.messages import MESSAGES, TOOLS, texts, with_texts
from model_gate.web.problems import ApiError

CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "mail", "arguments": '{"to": "\\u0040a"}'},
}
TOOL = {
    "type": "function",
    "function": {
        "name": "mail",
        "description": "Writes to Jane Doe.",
        "parameters": {"type": "object", "properties": {"to": {"enum": ["Ann"]}}},
    },
}


def test_content_is_a_string_or_text_parts() -> None:
    parts = [{"type": "text", "text": "One"}, {"type": "text", "text": "two"}]
    read = MESSAGES(
        [{"role": "system", "content": "Be kind."}, {"role": "user", "content": parts}], "messages"
    )
    assert read == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "One\ntwo"},
    ]


def test_a_message_with_everything() -> None:
    read = MESSAGES(
        [
            {
                "role": "assistant",
                "content": None,
                "name": "a",
                "reasoning": "Hm.",
                "tool_calls": [CALL],
                "refusal": None,
                "audio": None,
                "annotations": [],
            },
            {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        ],
        "messages",
    )
    function = {"name": "mail", "arguments": '{"to": "@a"}'}
    call = {**CALL, "id": "call00000", "function": function}
    assert read == [
        {"role": "assistant", "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "tool_call_id": "call00000", "content": "done"},
    ]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[0]"),
        ({}, "messages[0].role"),
        ({"role": "robot", "content": "x"}, "messages[0].role"),
        ({"role": "user"}, "messages[0].content"),
        ({"role": "user", "content": None}, "messages[0].content"),
        ({"role": "user", "content": 1}, "messages[0].content"),
        ({"role": "user", "content": ["x"]}, "messages[0].content[0]"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},
            "messages[0].content[0]",
        ),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
        ({"role": "user", "content": "x", "tool_calls": [CALL]}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"id": "x"}]}, "messages[0].tool_calls[0].function"),
        (
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "[]"}}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"role": "user", "content": "x", "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "user", "content": "x", "prefix": True}, "messages[0].prefix"),
    ],
    ids=lambda value: value if isinstance(value, str) else "message",
)
def test_what_a_message_may_not_hold(message: object, param: str) -> None:
    with pytest.raises(ApiError) as raised:
        MESSAGES([message], "messages")
    assert raised.value.param == param


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "web_search"},
        {"type": "code", "function": {"name": "x"}},
        {"function": {"name": "x"}},
    ],
    ids=["search", "kind", "untyped"],
)
def test_tools_are_functions(tool: object) -> None:
    with pytest.raises(ApiError):
        TOOLS([tool], "tools")


def test_every_text_is_a_turn() -> None:
    messages = MESSAGES(
        [
            {"role": "user", "content": "Write."},
            {
                "role": "assistant",
                "content": "Yes.",
                "tool_calls": [CALL],
                "reasoning_content": "Hm.",
            },
            {"role": "tool", "content": "Sent.", "tool_call_id": "call_1"},
        ],
        "messages",
    )
    found = texts(messages, TOOLS([TOOL], "tools"))
    assert [turn for turn in found if turn.role != "system"] == [
        Turn("user", "Write."),
        Turn("assistant", "mail"),
        Turn("assistant", '{"to": "@a"}'),
        Turn("assistant", "Hm."),
        Turn("assistant", "Yes."),
        Turn("tool", "Sent."),
    ]
    of_tools = [turn.text for turn in found if turn.role == "system"]
    assert {"Writes to Jane Doe.", "to", "Ann"} <= set(of_tools)


def test_texts_come_back_in_their_places() -> None:
    messages = MESSAGES([{"role": "assistant", "content": "C", "tool_calls": [CALL]}], "messages")
    tools = TOOLS([TOOL], "tools")
    marked = [Turn(turn.role, f"<{turn.text}>") for turn in texts(messages, tools)]
    new_messages, new_tools = with_texts(messages, tools, marked)
    assert new_messages[0]["content"] == "<C>"
    assert new_messages[0]["role"] == "assistant"
    assert new_messages[0]["tool_calls"][0]["function"]["name"] == "<mail>"
    assert new_messages[0]["tool_calls"][0]["id"] == "call00000"
    assert new_tools[0]["function"]["description"] == "<Writes to Jane Doe.>"
    assert new_tools[0]["function"]["parameters"]["<properties>"] == {"<to>": {"<enum>": ["<Ann>"]}}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.lists(st.text(max_size=5), min_size=1, max_size=4),
    st.dictionaries(st.text(), JSON, max_size=3),
)
def test_unchanged_texts_change_nothing(contents: list[str], parameters: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": content} for content in contents]
    tools = [{"type": "function", "function": {"name": "f", "parameters": parameters}}]
    found = with_texts(messages, tools, texts(messages, tools))
    assert json.dumps(found) == json.dumps((messages, tools))
