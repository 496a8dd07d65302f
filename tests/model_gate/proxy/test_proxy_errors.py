"""An engine that fails in every way: clear errors, nothing unfiltered, and the next request is served."""

from __future__ import annotations

import gzip
import json
import socket
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from failing_engine import FailingEngine, Talk, failing_engine, well
from left_in_memory import nothing_stays
from proxy_talk import ADDRESS, CHAT, COMPLETIONS, RESPONSES, Proxied, asked, events, is_prompt

from filter import Bundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.proxy import Proxy
from model_gate.proxy.upstream import Upstream
from model_gate.web import running

SECRET = "the prompt said xyzzy"
BODIES = {
    CHAT: asked(SECRET),
    COMPLETIONS: {"model": "fake", "prompt": SECRET},
    RESPONSES: {"model": "fake", "input": SECRET},
}


@pytest.fixture(scope="module")
def broken() -> Iterator[FailingEngine]:
    with failing_engine() as made:
        yield made


@pytest.fixture(scope="module")
def before_it(broken: FailingEngine, proxy_bundle: Bundle) -> Iterator[Proxied]:
    guard = Guard(proxy_bundle, GatePolicy(on_named_prompt="answer"), allow_testing=True)  # type: ignore[arg-type]
    proxy = Proxy(Upstream(broken.url, silence_s=1.0), guard)
    with (
        running.running(proxy.app, guard=guard) as url,
        httpx.Client(base_url=url, timeout=60) as http,
    ):
        yield Proxied(broken, url, proxy, http)  # type: ignore[arg-type]


@pytest.fixture
def gate(before_it: Proxied, broken: FailingEngine) -> Proxied:
    broken.talks.clear()
    broken.behave = well
    return before_it


def is_clear(error: dict[str, Any], code: str) -> None:
    """One sentence in OpenAI's shape, with nothing of what was asked or said."""
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert error["message"].count(". ") == 0
    text = json.dumps(error)
    assert "xyzzy" not in text
    assert "hs77" not in text


def is_well_again(gate: Proxied, broken: FailingEngine) -> None:
    broken.behave = well
    found = gate.http.post(CHAT, json=asked())
    assert found.json()["choices"][0]["message"]["content"] == "All is well."


def refusing(status: str, head: str = "") -> Any:
    def behave(talk: Talk) -> None:
        body = {"error": {"message": f"Bad: {SECRET}", "code": SECRET}, "detail": SECRET}
        talk.answer(json.dumps(body).encode(), status, head=head)

    return behave


def answering(octets: bytes, kind: str = "application/json", head: str = "") -> Any:
    return lambda talk: talk.answer(octets, kind=kind, head=head)


def hanging_up(talk: Talk) -> None:
    talk.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    talk.link.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def silent(talk: Talk) -> None:
    talk.gone()
    raise ConnectionResetError


WHOLE = json.dumps({"choices": [{"index": 0, "message": {"content": ADDRESS}}]}).encode()
BEFORE = {
    "400": (refusing("400 Bad Request"), 400, "upstream_refused"),
    "401": (refusing("401 Unauthorized"), 502, "upstream_key"),
    "403": (refusing("403 Forbidden"), 502, "upstream_key"),
    "404": (refusing("404 Not Found"), 404, "model_not_found"),
    "422": (refusing("422 Unprocessable"), 400, "upstream_refused"),
    "429": (refusing("429 Too Many", "Retry-After: 7\r\n"), 429, "upstream_busy"),
    "500": (refusing("500 Oh"), 502, "upstream_failed"),
    "503": (refusing("503 Busy", "Retry-After: 7\r\n"), 503, "upstream_failed"),
    "redirect": (refusing("307 Go", "Location: http://127.0.0.1:1/x\r\n"), 502, "upstream_failed"),
    "html": (answering(b"<html>xyzzy", "text/html"), 502, "upstream_not_understood"),
    "not streamed": (answering(WHOLE), 502, "upstream_not_understood"),
    "gzip": (
        answering(gzip.compress(WHOLE), "text/event-stream", "Content-Encoding: gzip\r\n"),
        502,
        "upstream_not_understood",
    ),
    "no http": (lambda talk: talk.send(b"xyzzy\r\n\r\n"), 502, "upstream_down"),
    "hangs up": (hanging_up, 502, "upstream_down"),
    "silent": (silent, 504, "upstream_timeout"),
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
@pytest.mark.parametrize("name", BEFORE)
def test_it_does_not_begin(gate: Proxied, broken: FailingEngine, name: str, path: str) -> None:
    broken.behave, status, code = BEFORE[name]
    for stream in (False, True):
        found = gate.http.post(path, json={**BODIES[path], "stream": stream})
        assert found.status_code == status, found.text
        assert found.headers["content-type"] == "application/json"
        is_clear(found.json()["error"], code)
        assert (found.headers.get("retry-after") == "7") == (name in ("429", "503"))
        if name == "silent":
            break  # one wait is enough
    is_well_again(gate, broken)


def test_nobody_listens(proxy_bundle: Bundle) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    guard = Guard(proxy_bundle, allow_testing=True)
    proxy = Proxy(Upstream(f"http://127.0.0.1:{port}"), guard)
    with running.running(proxy.app, guard=guard) as url:
        for stream in (False, True):
            found = httpx.post(url + CHAT, json=asked(stream=stream))
            assert found.status_code == 502
            is_clear(found.json()["error"], "upstream_down")
        assert httpx.get(url + "/v1/models").status_code == 502
        assert httpx.get(url + "/health").status_code == 200


def beginning(talk: Talk) -> None:
    """Some text, and the beginning of an address, which is held."""
    talk.begin()
    for text in ("Well. ", "There is more. " * 20, ADDRESS[:12]):
        talk.say(text)


def ending(talk: Talk) -> None:
    beginning(talk)
    talk.end()


def saying(*events: Any) -> Any:
    """A beginning, and then these events."""

    def behave(talk: Talk) -> None:
        beginning(talk)
        for one in events:
            one(talk) if callable(one) else talk.event(one)
        talk.gone()
        raise ConnectionResetError

    return behave


def chunk(**fields: Any) -> Any:
    """A chunk with one choice of these fields, which says something as the route wants it."""

    def behave(talk: Talk) -> None:
        said = {"delta": {"content": "x"}} if "chat" in talk.path else {"text": "x"}
        talk.event({"choices": [{"index": 0, **said, **fields}]})

    return behave


def wrong_text(talk: Talk) -> None:
    text = [ADDRESS]
    said = {"delta": {"content": text}} if "chat" in talk.path else {"text": text}
    talk.event({"choices": [{"index": 0, **said}]})


def endless(talk: Talk) -> None:
    for _ in range(200):
        talk.part(b"data: " + b"x" * 65536)


MIDWAY = {
    "dies": (saying(hanging_up), "upstream_broke_off"),
    "ends without [DONE]": (ending, "upstream_broke_off"),
    "ends without a reason": (saying(lambda talk: talk.done()), "upstream_broke_off"),
    "error": (saying({"error": {"message": SECRET, "code": 500}}), "upstream_failed"),
    "error of text": (saying({"error": SECRET, "object": "error"}), "upstream_failed"),
    "half a JSON": (saying(b'{"choices": [{"index'), "upstream_not_understood"),
    "deep JSON": (saying(b"[" * 100_000), "upstream_not_understood"),
    "not UTF-8": (saying(b'{"choices": "\xff"}'), "upstream_not_understood"),
    "a list": (saying(b"[]"), "upstream_not_understood"),
    "a number": (saying(b"5"), "upstream_not_understood"),
    "another line": (saying(lambda t: t.part(b"<html>xyzzy\n\n")), "upstream_not_understood"),
    "choices no list": (saying({"choices": {"a": 1}}), "upstream_not_understood"),
    "a choice of text": (saying({"choices": ["x"]}), "upstream_not_understood"),
    "an unknown reason": (saying(chunk(finish_reason="xyzzy")), "upstream_not_understood"),
    "a reason of no text": (saying(chunk(finish_reason=5)), "upstream_not_understood"),
    "another index": (saying(chunk(index=1)), "upstream_not_understood"),
    "a negative index": (saying(chunk(index=-1)), "upstream_not_understood"),
    "an index of text": (saying(chunk(index="0")), "upstream_not_understood"),
    "an index of true": (saying(chunk(index=True)), "upstream_not_understood"),
    "a wrong text": (saying(wrong_text), "upstream_not_understood"),
    "an endless line": (saying(endless), "upstream_not_understood"),
    "silent": (saying(), "upstream_timeout"),
}


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
@pytest.mark.parametrize("name", MIDWAY)
def test_it_fails_midway(gate: Proxied, broken: FailingEngine, name: str, path: str) -> None:
    broken.behave, code = MIDWAY[name]
    said = gate.http.post(path, json={**BODIES[path], "stream": True})
    assert said.status_code == 200
    told = events(said.text)
    is_clear(told[-1]["error"], code)
    assert "[DONE]" not in said.text
    assert '"stop"' not in said.text
    assert "completed" not in said.text
    assert "Well" in said.text
    assert "hs77" not in said.text
    assert ADDRESS[:9] not in said.text
    assert "xyzzy" not in said.text
    # After a whole body the connection may serve again.
    assert name in ("dies", "ends without [DONE]") or broken.talks[-1].left.wait(20)
    if name != "silent":
        found = gate.http.post(path, json=BODIES[path])
        assert found.status_code == 502
        is_clear(found.json()["error"], code)
    is_well_again(gate, broken)


@pytest.mark.parametrize("name", [name for name in (*BEFORE, *MIDWAY) if name != "silent"])
def test_no_prompt_stays_behind_an_error(gate: Proxied, broken: FailingEngine, name: str) -> None:
    behaves = BEFORE[name][0] if name in BEFORE else MIDWAY[name][0]
    with nothing_stays(is_prompt):
        for path, body in BODIES.items():
            for stream in (False, True):
                broken.behave = behaves
                assert "error" in gate.http.post(path, json={**body, "stream": stream}).text
        broken.talks.clear()
