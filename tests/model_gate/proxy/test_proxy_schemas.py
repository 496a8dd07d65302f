"""What a prompt says beside its messages, in schemas and tools, and what the Responses API takes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fake_engine import Engine, engine
from proxy_talk import CHAT, NAME, RESPONSES, Proxied, asked, proxied

from filter import Bundle


def enum(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"who": {"enum": [name, "nobody"]}, name: {}}}
    return {"name": "answer", "description": f"Of {name}.", "schema": schema, "strict": True}


BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": (CHAT, asked(response_format={"type": "json_schema", "json_schema": enum(NAME)})),
    "tool": (
        CHAT,
        asked(
            tools=[
                {
                    "type": "function",
                    "function": {"name": "mail", "parameters": enum(NAME)["schema"]},
                }
            ]
        ),
    ),
    "response": (
        RESPONSES,
        {"input": "Tell me.", "text": {"format": {"type": "json_schema", **enum(NAME)}}},
    ),
}


@pytest.mark.parametrize("way", BODIES)
def test_names_in_a_schema_are_heard_and_counted(proxy_bundle: Bundle, way: str) -> None:
    """They could be made to be said, so without a count they would tell who is listed."""
    path, body = BODIES[way]
    with engine() as made:
        made.say('{"who": "nobody"}')
        for gate in proxied(made, proxy_bundle, on_named_prompt="redact", named_prompts_per_hour=3):
            first, second = gate.http.post(path, json=body), gate.http.post(path, json=body)
            assert first.status_code == 200
            told = json.dumps(made.requests[-1][2])
            assert NAME not in told
            assert "[name removed]" in told
            assert second.status_code == 429
        for gate in proxied(made, proxy_bundle, on_named_prompt="refuse"):
            made.requests.clear()
            assert gate.http.post(path, json=body).json()["error"]["code"] == "content_filter"
            assert made.requests == []


@pytest.mark.parametrize("tools", [[], [{"type": "function", "function": {"name": "mail"}}]])
def test_a_schema_reaches_the_engine_as_it_is(gate: Proxied, tools: list[Any]) -> None:
    gate.engine.say("{}")
    form = {"type": "json_schema", "json_schema": enum("Jane Roe")}
    found = gate.http.post(CHAT, json=asked(response_format=form, tools=tools))
    assert found.status_code == 200
    body = gate.engine.requests[-1][2]
    assert body["response_format"] == form
    assert body.get("tools", []) == tools


def test_an_answer_is_sent_back_with_its_thoughts(gate: Proxied) -> None:
    """As clients do that keep the conversation themselves."""
    gate.engine.script.deltas = [{"reasoning_content": "Hm."}, {"content": "Well."}]
    first = gate.http.post(RESPONSES, json={"input": "Tell me."}).json()
    assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
    asked_again = [
        {"role": "user", "content": "a"},
        *first["output"],
        {"role": "user", "content": "b"},
    ]
    more = {"reasoning": {"effort": "low"}, "tool_choice": {"type": "function", "name": "mail"}}
    more["tools"] = [{"type": "function", "name": "mail", "parameters": {}}]  # type: ignore[assignment]
    assert gate.http.post(RESPONSES, json={"input": asked_again, **more}).status_code == 200
    body = gate.engine.requests[-1][2]
    assert body["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "Well."},
        {"role": "user", "content": "b"},
    ]
    assert body["reasoning_effort"] == "low"
    assert body["tool_choice"] == {"type": "function", "function": {"name": "mail"}}
    only_thoughts = gate.http.post(RESPONSES, json={"input": first["output"][:1]})
    assert only_thoughts.status_code == 400


def test_a_cut_message_is_incomplete(gate: Proxied) -> None:
    gate.engine.say("Well.", finish_reason="length")
    found = gate.http.post(RESPONSES, json={"input": "Tell me."}).json()
    assert found["status"] == "incomplete"
    assert found["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("previous_response_id", "r1"),
        ("store", True),
        ("background", True),
        ("include", ["message.output_text.logprobs"]),
        ("conversation", "c1"),
        ("top_logprobs", 3),
        ("tools", [{"type": "web_search"}]),
        ("truncation", "auto"),
    ],
)
def test_what_is_not_kept_or_shown(
    gate: Proxied, shared_engine: Engine, name: str, value: Any
) -> None:
    found = gate.http.post(RESPONSES, json={"input": "x", name: value})
    assert found.status_code == 400
    assert found.json()["error"]["param"].startswith(name)
    assert shared_engine.requests == []
