"""Prompts do not outlive their answers."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from left_in_memory import nothing_stays
from proxy_talk import CHAT, COMPLETIONS, NAME, RESPONSES, Proxied, asked, is_prompt

ROUTES = {
    CHAT: asked(),
    COMPLETIONS: {"model": "fake", "prompt": "Tell me."},
    RESPONSES: {"model": "fake", "input": "Tell me."},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("path", ROUTES)
def test_behind_an_answer(gate: Proxied, path: str, stream: bool) -> None:
    gate.engine.say(
        f"Ask {NAME}. That is all.", field_name="text" if path == COMPLETIONS else "content"
    )
    with nothing_stays(is_prompt):
        for _ in range(3):
            said = gate.through(path, {**ROUTES[path], "stream": stream})
            assert "Ask [name removed]. That is all." in said or stream


def test_behind_a_cut_that_asks_for_more(gate: Proxied) -> None:
    gate.engine.say(f"Ask {NAME[:16]}", finish_reason="length", more=NAME[16:])
    with nothing_stays(is_prompt):
        (choice,) = json.loads(gate.through(CHAT, asked()))["choices"]
    assert choice["message"]["content"] == "Ask [name removed]"
    assert sum(path == CHAT for _, path, _ in gate.engine.requests) == 2


@pytest.mark.parametrize("path", ROUTES)
def test_behind_a_reader_who_leaves(gate: Proxied, path: str) -> None:
    gate.engine.say(
        *["A word of many. "] * 20_000, field_name="text" if path == COMPLETIONS else "content"
    )
    with (
        nothing_stays(is_prompt),
        httpx.Client(base_url=gate.url) as http,
        http.stream("POST", path, json={**ROUTES[path], "stream": True}) as response,
    ):
        next(response.iter_raw())


@pytest.mark.parametrize(
    "wrong",
    [{"messages": []}, {"unknown": 1}, {"n": 10**6}, {"messages": [{"role": "user"}]}],
    ids=["no message", "unknown field", "too many", "no content"],
)
def test_behind_a_refusal(gate: Proxied, wrong: dict[str, Any]) -> None:
    with nothing_stays(is_prompt):
        assert gate.http.post(CHAT, json={**asked(), **wrong}).status_code == 400
