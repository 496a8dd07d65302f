"""What a request may ask for, and what it means."""

from __future__ import annotations

import json
from typing import Any

import pytest

from model_gate.server import asks
from model_gate.web.problems import ApiError

HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "mail"}}


def chat(**about: Any) -> asks.Ask:
    return asks.chat({"model": "m", "messages": HELLO, **about})


def completion(**about: Any) -> asks.Ask:
    return asks.completion({"model": "m", "prompt": "Once", **about})


def test_a_chat_with_nothing_else() -> None:
    ask = chat()
    assert (ask.model, ask.messages, ask.prompts, ask.n) == ("m", HELLO, [], 1)
    assert (ask.stream, ask.json, ask.continues, ask.opens, ask.tools) == (
        False,
        False,
        False,
        True,
        [],
    )
    drawing = ask.drawing(0, 100)
    assert (drawing.temperature, drawing.top_p, drawing.seed, drawing.max_new_tokens) == (
        0.8,
        0.9,
        None,
        100,
    )


def test_a_completion_with_nothing_else() -> None:
    ask = completion()
    assert (ask.prompts, ask.messages, ask.continues) == (["Once"], [], True)
    assert ask.drawing(0, 100).max_new_tokens == 16
    assert completion(prompt=["a", ""]).prompts == ["a", ""]


def test_everything_that_can_be_asked_for() -> None:
    ask = chat(
        n=3,
        stream=True,
        stream_options={"include_usage": True},
        stop=["a", "b"],
        max_completion_tokens=7,
        max_tokens=5,
        temperature=0.5,
        top_p=0.4,
        top_k=-1,
        repetition_penalty=1.1,
        seed=-1,
        tools=[TOOL],
        tool_choice="auto",
        parallel_tool_calls=True,
        response_format={"type": "json_object"},
        presence_penalty=0,
        logprobs=False,
        user="u",
    )
    assert (ask.n, ask.stream, ask.include_usage, ask.stop, ask.json) == (
        3,
        True,
        True,
        ("a", "b"),
        True,
    )
    assert ask.tools == [TOOL]
    drawing = ask.drawing(0, 100)
    assert (drawing.temperature, drawing.top_p, drawing.top_k) == (0.5, 0.4, 0)
    assert (drawing.repetition_penalty, drawing.max_new_tokens) == (1.1, 7)
    seeds = [ask.drawing(choice, 100).seed for choice in range(3)]
    assert len(set(seeds)) == 3
    assert all(seed is not None and seed >= 0 for seed in seeds)


def test_tools_can_be_given_and_not_offered() -> None:
    assert chat(tools=[TOOL], tool_choice="none").tools == []


def test_an_answer_that_is_begun() -> None:
    begun = [*HELLO, {"role": "assistant", "content": "Hi"}]
    ask = chat(messages=begun, continue_final_message=True, add_generation_prompt=False)
    assert (ask.continues, ask.opens) == (True, False)
    assert chat(messages=begun, continue_final_message=True).opens is False
    assert chat(messages=begun).opens is True


@pytest.mark.parametrize(
    ("about", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"prompt": "Hello"}, "prompt"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "mail"}}}, "tool_choice"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"response_format": "json_object"}, "response_format"),
        ({"response_format": {"type": "json_object", "x": 1}}, "response_format.x"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"continue_final_message": True}, "continue_final_message"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
        ({"n": 17}, "n"),
        ({"best_of": 2}, "best_of"),
        ({"echo": True}, "echo"),
        ({"logprobs": True}, "logprobs"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_a_chat_cannot_ask_for(about: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        chat(**about)
    assert (raised.value.status, raised.value.param) == (400, param)


@pytest.mark.parametrize(
    ("about", "param"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2]]}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"prompt": ["x"] * 65}, "prompt"),
        ({"n": 2, "best_of": 4}, "best_of"),
        ({"suffix": "end"}, "suffix"),
        ({"messages": HELLO}, "messages"),
        ({"tools": [TOOL]}, "tools"),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_a_completion_cannot_ask_for(about: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as raised:
        completion(**about)
    assert (raised.value.status, raised.value.param) == (400, param)


def test_best_of_may_say_what_n_says() -> None:
    assert completion(n=2, best_of=2).n == 2


@pytest.mark.parametrize("room", [4, 0, -3])
def test_more_tokens_than_fit(room: int) -> None:
    with pytest.raises(ApiError) as raised:
        chat(max_tokens=5).drawing(0, room)
    assert raised.value.code == "context_length_exceeded"
