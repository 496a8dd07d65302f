"""What is asked for: whatever it is, it is answered or refused in one sentence; and nothing of it goes by unheard."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odd_requests import GOOD, odd_requests
from proxy_talk import CHAT, COMPLETIONS, NAME, RESPONSES, Proxied, asked

from filter import Bundle
from filter.errors import InputError
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.proxy import Proxy, asks, responses_asks
from model_gate.proxy.upstream import Upstream

TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def with_parameters(text: str) -> str:
    tool = '{"type":"function","function":{"name":"a","parameters":%s}}' % text  # noqa: UP031
    return '{"messages":[{"role":"user","content":"x"}],"tools":[%s]}' % tool  # noqa: UP031


def with_arguments(text: str) -> str:
    call = {"function": {"name": "a", "arguments": text}}
    turns = [{"role": "assistant", "tool_calls": [call]}, {"role": "user", "content": "x"}]
    return json.dumps({"messages": turns})


def with_part(kind: Any) -> str:
    turn = {"role": "user", "content": [{"type": kind, "text": "x"}]}
    return json.dumps({"messages": [turn]})


MALFORMED = {
    "deep parameters": (CHAT, with_parameters(nested(500))),
    "deeper parameters": (CHAT, with_parameters(nested(900))),
    "an infinite number": (CHAT, with_parameters('{"a":1e999}')),
    "a list as the type of a part": (CHAT, with_part(["a"])),
    "an object as the type of a part": (CHAT, with_part({"a": 1})),
    "a list as the type of an item's part": (
        RESPONSES,
        '{"input":[{"role":"user","content":[{"type":["a"],"text":"x"}]}]}',
    ),
    "a surrogate in arguments": (CHAT, with_arguments('{"a":"\\ud800"}')),
    "NaN in arguments": (CHAT, with_arguments('{"a":NaN}')),
    "an infinite number in arguments": (CHAT, with_arguments('{"a":1e999}')),
    "a key twice in arguments": (CHAT, with_arguments('{"a":1,"a":2}')),
    "deep arguments": (CHAT, with_arguments(nested(500))),
    "another type of call": (
        CHAT,
        with_arguments("{}").replace('"function": {', f'"type": "{NAME}", "function": {{'),
    ),
}


@pytest.mark.parametrize("name", list(MALFORMED))
def test_what_is_malformed_is_refused(gate: Proxied, name: str) -> None:
    path, body = MALFORMED[name]
    found = gate.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == 400, found.text
    assert found.json()["error"]["type"] == "invalid_request_error"
    assert NAME not in found.text
    assert gate.engine.requests == []


@pytest.mark.parametrize(
    "body", [with_parameters(nested(100)), with_arguments(nested(100)), with_part("text")]
)
def test_what_is_near_to_it_is_not(gate: Proxied, body: str) -> None:
    gate.engine.say("Well.")
    headers = {"Content-Type": "application/json"}
    assert gate.http.post(CHAT, content=body, headers=headers).status_code == 200


def test_good_requests_are_answered(gate: Proxied) -> None:
    gate.engine.say("{}")
    for path, body in GOOD.items():
        gate.engine.say("{}", field_name="text" if path == COMPLETIONS else "content")
        assert gate.http.post(path, json=body).status_code == 200


@settings(
    max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(odd_requests(CHAT, COMPLETIONS, RESPONSES, named=True))
def test_whatever_is_asked_for_nothing_breaks(gate: Proxied, request_: tuple[str, bytes]) -> None:
    path, body = request_
    gate.engine.say("{}", field_name="text" if path == COMPLETIONS else "content")
    found = gate.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert found.status_code == 200 or 400 <= found.status_code < 500, (found.text, body[:2000])


CALL = {"type": "function", "function": {"name": "look_up", "arguments": "{}"}}


def test_ids_are_our_own(gate: Proxied) -> None:
    """They tell which result belongs to which call, and nothing else."""
    gate.engine.say("Well.")
    turns = [
        {"role": "user", "content": "Look."},
        {"role": "assistant", "tool_calls": [{**CALL, "id": NAME}, {**CALL, "id": "b"}]},
        {"role": "tool", "tool_call_id": "b", "content": "second"},
        {"role": "tool", "tool_call_id": NAME, "content": "first"},
        {"role": "tool", "tool_call_id": f"{NAME}, once more", "content": "of no call"},
    ]
    gate.through(CHAT, {"messages": turns, "tools": [TOOL]})
    _, _, body = gate.engine.requests[-1]
    calls = body["messages"][1]["tool_calls"]
    assert [call["id"] for call in calls] == ["call00000", "call00001"]
    found = {turn["content"]: turn["tool_call_id"] for turn in body["messages"][2:]}
    assert found == {"second": "call00001", "first": "call00000", "of no call": "call00002"}
    assert NAME not in json.dumps(body)


def test_ids_of_items_are_our_own(gate: Proxied) -> None:
    gate.engine.say("Well.")
    items = [
        {"role": "user", "content": "Look."},
        {"type": "function_call", "call_id": NAME, "name": "look_up", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "look_up", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "b", "output": "second"},
        {"type": "function_call_output", "call_id": NAME, "output": "first"},
    ]
    gate.through(RESPONSES, {"input": items})
    _, _, body = gate.engine.requests[-1]
    _, one, two, second, first = body["messages"]
    assert one["tool_calls"][0]["id"] == first["tool_call_id"] == "call00000"
    assert two["tool_calls"][0]["id"] == second["tool_call_id"] == "call00001"
    assert NAME not in json.dumps(body)


@pytest.mark.parametrize("named", [NAME, "look_u", "", "look_up "])
def test_only_a_tool_that_is_there_can_be_chosen(gate: Proxied, named: str) -> None:
    choice = {"type": "function", "function": {"name": named}}
    refused = gate.http.post(CHAT, json=asked(tools=[TOOL], tool_choice=choice))
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "tool_choice"
    flat = {"type": "function", **TOOL["function"]}  # type: ignore[dict-item]
    choice = {"type": "function", "name": named}
    asked_for = {"input": "Look.", "tools": [flat], "tool_choice": choice}
    assert gate.http.post(RESPONSES, json=asked_for).status_code == 400
    assert gate.engine.requests == []


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
def test_a_chosen_tool_is_called_what_the_engine_is_told(proxy_bundle: Bundle, path: str) -> None:
    """Its name is heard among the tools; the choice says the same name."""
    from model_gate.prompts import hear

    name = NAME.replace(" ", "_")
    body: dict[str, Any] = {"tools": [{"type": "function", "name": name}]}
    if path == CHAT:
        body = asked(tools=[{"type": "function", "function": {"name": name}}])
        body["tool_choice"] = {"type": "function", "function": {"name": name}}
        ask = asks.chat(body)
    else:
        body["tool_choice"] = {"type": "function", "name": name}
        ask = responses_asks.read({**body, "input": "Look."})
    guard = Guard(proxy_bundle, GatePolicy(), allow_testing=True)
    told = ask.with_turns(hear(guard, ask.turns()).turns)
    assert told["tools"][0]["function"]["name"] == "[name removed]"
    assert told["tool_choice"]["function"]["name"] == "[name removed]"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8))
def test_equal_ids_stay_equal(ids: list[str]) -> None:
    from model_gate.web.messages import numbered

    turns = [{"role": "assistant", "tool_calls": [{**CALL, "id": one}]} for one in ids]
    turns += [{"role": "tool", "content": "x", "tool_call_id": one} for one in ids]
    found = numbered(turns)
    told = [turn["tool_calls"][0]["id"] for turn in found[: len(ids)]]
    assert told == [turn["tool_call_id"] for turn in found[len(ids) :]]
    assert [ids.index(one) for one in ids] == [told.index(one) for one in told]


def test_a_proxy_cannot_resample(proxy_bundle: Bundle) -> None:
    guard = Guard(proxy_bundle, GatePolicy(mode="resample"), allow_testing=True)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="use redact or refuse"):
        Proxy(Upstream("http://127.0.0.1:1"), guard)
