"""Prompts and answers do not outlive their requests."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest
from gate_server import Served, behind, serving
from left_in_memory import nothing_stays

from model_gate.sequence import GatedSequence
from model_gate.server.asks import Ask
from model_gate.server.inbox import Inbox
from model_gate.web.answers import ChoiceText

CHAT = "/v1/chat/completions"


def is_read(one: object) -> bool:
    return isinstance(one, Ask | Inbox | ChoiceText)


def is_of_a_request(one: object) -> bool:
    return is_read(one) or isinstance(one, GatedSequence)


def asked(text: str, **options: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": "tiny", "messages": messages, "temperature": 0, "max_tokens": 80, **options}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_behind_an_answer(served: Served, people: Any, stream: bool) -> None:
    with nothing_stays(is_of_a_request):
        for person in people.all:
            found = served.http.post(CHAT, json=asked(people.ask(person), stream=stream))
            assert found.status_code == 200


def test_behind_a_completion_of_many(served: Served) -> None:
    with nothing_stays(is_of_a_request):
        body = {"model": "tiny", "prompt": ["One", "Two"], "n": 3, "max_tokens": 20}
        assert len(served.http.post("/v1/completions", json=body).json()["choices"]) == 6


def test_behind_a_reader_who_leaves(served: Served) -> None:
    body = asked("Tell me.", stream=True)
    with (
        nothing_stays(is_of_a_request),
        httpx.Client(base_url=served.url) as http,
        http.stream("POST", CHAT, json=body) as response,
    ):
        next(response.iter_raw())


def test_behind_one_who_does_not_wait(served: Served) -> None:
    octets = json.dumps(asked("Tell me.")).encode()
    host, port = served.url.removeprefix("http://").split(":")
    head = f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
    with nothing_stays(is_of_a_request):
        for _ in range(5):
            with socket.create_connection((host, int(port))) as link:
                link.sendall(f"{head}{len(octets)}\r\n\r\n".encode() + octets)
        assert served.chat("Tell me.").choices


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_behind_one_who_leaves_midway(loaded: Any, stream: bool) -> None:
    model = behind(loaded, loaded.guard)
    with serving(model) as served, nothing_stays(is_of_a_request):
        model.paced.goes.clear()
        with (
            httpx.Client(base_url=served.url) as http,
            pytest.raises(httpx.ReadTimeout),
            http.stream("POST", CHAT, json=asked("Tell me.", stream=stream), timeout=0.5) as found,
        ):
            list(found.iter_raw())
        model.paced.goes.set()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_behind_an_engine_that_failed(loaded: Any, stream: bool) -> None:
    """But for the sequences in the loop that has failed."""
    model = behind(loaded, loaded.guard)
    with serving(model) as served, nothing_stays(is_read):
        model.paced.fails = True
        assert "error" in served.http.post(CHAT, json=asked("Tell me.", stream=stream)).text
        assert served.http.post(CHAT, json=asked("Tell me.")).status_code == 503


@pytest.mark.parametrize(
    "wrong",
    [
        {"messages": []},
        {"unknown": 1},
        {"model": "other"},
        {"max_tokens": 10**9},
        asked("word " * 3000),
        asked("word " * 3000, stream=True),
    ],
    ids=[
        "no message",
        "unknown field",
        "another model",
        "too much",
        "too long",
        "too long, streamed",
    ],
)
def test_behind_a_refusal(served: Served, wrong: dict[str, Any]) -> None:
    with nothing_stays(is_of_a_request):
        found = served.http.post(CHAT, json={**asked("Tell me."), **wrong})
        assert found.status_code in (400, 404)
