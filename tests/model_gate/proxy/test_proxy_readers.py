"""Readers who leave or do not read, slow hashes, keys, limits, and the bundle in force."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from failing_engine import FailingEngine, Talk, failing_engine, well
from fake_engine import Engine
from proxy_talk import ADDRESS, CHAT, COMPLETIONS, NAME, RESPONSES, asked, joined

from filter import Bundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.proxy import Proxy
from model_gate.proxy.upstream import Upstream
from model_gate.web import running
from model_gate.web.limits import ApiKeys

BODIES = {
    CHAT: asked(),
    COMPLETIONS: {"model": "fake", "prompt": "Tell me."},
    RESPONSES: {"model": "fake", "input": "Tell me."},
}


@contextmanager
def proxy_of(url: str, guard: Guard, **options: Any) -> Iterator[httpx.Client]:
    proxy = Proxy(Upstream(url), guard, **options)
    with (
        running.running(proxy.app, guard=guard) as address,
        httpx.Client(base_url=address, timeout=60) as http,
    ):
        yield http


@pytest.fixture(scope="module")
def broken() -> Iterator[FailingEngine]:
    with failing_engine() as made:
        yield made


@pytest.fixture(scope="module")
def http(broken: FailingEngine, proxy_bundle: Bundle) -> Iterator[httpx.Client]:
    guard = Guard(proxy_bundle, allow_testing=True)
    with proxy_of(broken.url, guard) as found:
        yield found


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether it becomes true."""
    end = time.monotonic() + seconds
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.01)
    return found


def is_served(http: httpx.Client, broken: FailingEngine) -> None:
    broken.behave = well
    found = http.post(CHAT, json=asked()).json()
    assert found["choices"][0]["message"]["content"] == "All is well."


def raw(http: httpx.Client, path: str, body: dict[str, Any]) -> socket.socket:
    """A connection that has asked."""
    link = socket.socket()
    link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    link.settimeout(30)
    link.connect((http.base_url.host, http.base_url.port))
    octets = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(octets)}\r\n\r\n"
    link.sendall(head.encode() + octets)
    return link


def under_way(http: httpx.Client) -> bool:
    return "lethe_gate_active_sequences 0" not in http.get("/metrics").text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES])
@pytest.mark.parametrize("when", ["before the head", "before the first event", "midway"])
def test_a_reader_leaves(
    http: httpx.Client, broken: FailingEngine, path: str, stream: bool, when: str
) -> None:
    """The engine is hung up on, so that it need not go on."""
    reached, hung_up = threading.Event(), threading.Event()

    def behave(talk: Talk) -> None:
        if when != "before the head":
            talk.begin()
        if when == "midway":
            talk.say("There is more. " * 20)
        reached.set()
        if talk.gone():
            hung_up.set()
        raise ConnectionResetError

    broken.behave = behave
    with raw(http, path, {**BODIES[path], "stream": stream}) as link:
        assert reached.wait(20)
        if when == "midway" and stream:
            assert link.recv(1)
    assert hung_up.wait(3)
    assert until(lambda: not under_way(http))
    is_served(http, broken)


def test_a_reader_who_does_not_read(http: httpx.Client, broken: FailingEngine) -> None:
    """The engine is not read from either, and others are served."""
    talks: list[Talk] = []
    events_of_64k = 2000

    def behave(talk: Talk) -> None:
        talks.append(talk)
        talk.begin()
        for _ in range(events_of_64k):
            talk.say("x" * 65536 + " ")

    broken.behave = behave
    with raw(http, CHAT, asked(stream=True)):
        assert until(lambda: bool(talks))
        before, still = -1, 0
        while still < 30:
            time.sleep(0.02)
            still = still + 1 if talks[0].sent == before else 0
            before = talks[0].sent
        assert before < events_of_64k * 65536 / 4
        for _ in range(3):
            is_served(http, broken)
        assert talks[0].sent < events_of_64k * 65536 / 4
    assert talks[0].left.wait(20)
    assert until(lambda: not under_way(http))


SLOW = 24


@pytest.mark.parametrize("name", ["content", "reasoning_content"])
def test_slow_hashes_of_one_stream_do_not_stop_another(name: str) -> None:
    """One says many addresses, each a slow hash; while it is still at it the other begins and ends."""
    bundle = Bundle.build([("email", ADDRESS)], release="2026.2.0")
    said = [f"Write to a{number}@example.org or not. " for number in range(SLOW)]

    def behave(talk: Talk) -> None:
        if "many" not in json.dumps(talk.body):
            return well(talk)
        talk.begin()
        for text in (*said, f"And to {ADDRESS}."):
            talk.event({"choices": [{"index": 0, "delta": {name: text}}]})
        talk.say("Well.", "stop")  # thoughts end here, while they are still looked at
        return talk.done()

    with failing_engine() as made, proxy_of(made.url, Guard(bundle)) as http:
        made.behave = behave
        with http.stream("POST", CHAT, json=asked("many", stream=True)) as answer:
            lines = (line for line in answer.iter_lines() if "content" in line)
            read = [next(lines)]
            for _ in range(5):
                is_well = http.post(CHAT, json=asked()).json()
                assert is_well["choices"][0]["message"]["content"] == "All is well."
            # The long one has not come to its end: its hashes are still being computed.
            assert under_way(http)
            read += lines
        told = "\n".join(read)
        text = joined(told, name=name) + (joined(told) if name != "content" else "")
        assert text == "".join(said) + "And to [email removed].Well."


def test_keys(broken: FailingEngine, proxy_bundle: Bundle) -> None:
    broken.behave = well
    guard = Guard(proxy_bundle, allow_testing=True)
    with proxy_of(broken.url, guard, keys=ApiKeys(["one-key-of-mine", "another-key"])) as http:
        for key in (None, "x", "one-key-of-min", "one-key-of-mine-"):
            headers = {} if key is None else {"Authorization": f"Bearer {key}"}
            for path, body in BODIES.items():
                found = http.post(path, json=body, headers=headers)
                assert found.status_code == 401
                assert found.json()["error"]["code"] == "invalid_api_key"
            assert http.get("/v1/models", headers=headers).status_code == 401
        assert http.get("/livez").status_code == 200
        http.headers["Authorization"] = "Bearer another-key"
        is_served(http, broken)


def test_requests_that_cannot_be_read(http: httpx.Client, broken: FailingEngine) -> None:
    broken.talks.clear()
    as_json = {"Content-Type": "application/json"}
    for path in BODIES:
        for octets in (b"", b"{", b"[]", b"5", b"\xff", b"[" * 50_000, b"{}"):
            found = http.post(path, content=octets, headers=as_json)
            assert found.status_code == 400, octets[:20]
            assert found.json()["error"]["message"].endswith(".")
        found = http.post(path, content=b" " * (5 << 20), headers=as_json)
        assert found.status_code == 413
        found = http.post(path, content=(b" " * (1 << 20) for _ in range(5)), headers=as_json)
        assert found.status_code == 413
    assert broken.talks == []
    is_served(http, broken)


@pytest.fixture
def path(proxy_bundle: Bundle, tmp_path: Path) -> Path:
    proxy_bundle.write(tmp_path / "filter.safetensors")
    return tmp_path / "filter.safetensors"


def test_a_bundle_that_expires(shared_engine: Engine, path: Path) -> None:
    """From one request to the next, and nothing is asked of the engine any more."""
    shared_engine.say("Well.")
    now = [datetime(2026, 8, 3, 12, tzinfo=UTC)]
    guard = Guard.open(path, allow_testing=True, clock=lambda: now[0])
    with proxy_of(shared_engine.url, guard) as http:
        assert http.post(CHAT, json=asked()).status_code == 200
        now[0] += timedelta(days=800)
        shared_engine.requests.clear()
        for route, body in BODIES.items():
            for stream in (False, True):
                found = http.post(route, json={**body, "stream": stream})
                assert found.status_code == 503
                assert found.json()["error"]["code"] == "filter_not_in_force"
        assert http.get("/health").status_code == 503
        assert shared_engine.requests == []


def test_a_bundle_that_expires_midway(broken: FailingEngine, path: Path) -> None:
    """An answer that goes on for long ends too."""
    now = [datetime(2026, 8, 3, 12, tzinfo=UTC)]
    guard = Guard.open(path, allow_testing=True, clock=lambda: now[0])

    def behave(talk: Talk) -> None:
        talk.begin()
        for _ in range(100):
            talk.say("There is more. ")
            if talk.left.wait(0.05):
                return
        talk.say("", "stop")
        talk.done()

    broken.behave = behave
    with (
        proxy_of(broken.url, guard) as http,
        http.stream("POST", CHAT, json=asked(stream=True)) as answer,
    ):
        lines = (line for line in answer.iter_lines() if line)
        assert any("There" in line for line in lines)
        now[0] += timedelta(days=800)
        *_, last = lines
        assert json.loads(last[5:])["error"]["code"] == "filter_not_in_force"


def test_a_newer_bundle_and_a_damaged_one(shared_engine: Engine, path: Path) -> None:
    shared_engine.say(f"Ask {NAME}, {ADDRESS}, or jane.roe@example.org.")
    guard = Guard.open(path, GatePolicy(), allow_testing=True)
    keeper = running.Keeper(guard, refresh_s=3600)

    def said() -> str:
        return joined(http.post(CHAT, json=asked(stream=True)).text)

    with proxy_of(shared_engine.url, guard) as http:
        old = "Ask [name removed], [email removed], or jane.roe@example.org."
        assert said() == old
        whole = path.read_bytes()
        for octets in (whole[:-7], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
            path.write_bytes(octets)
            keeper.look()
            assert said() == old
            assert "stays in force" in json.dumps(http.get("/health").json())
        newer = [("email", "jane.roe@example.org"), ("name", NAME), ("email", ADDRESS)]
        Bundle.build(newer, release="2026.2.1", kdf="testing").write(path)
        keeper.look()
        assert said() == "Ask [name removed], [email removed], or [email removed]."


def test_many_readers_leave_and_no_connection_stays(
    shared_engine: Engine, proxy_bundle: Bundle
) -> None:
    """At every moment of the answer, its end included."""
    shared_engine.say(*["A few words more. "] * 80, f"Ask {NAME}.")
    before = shared_engine.open
    guard = Guard(proxy_bundle, allow_testing=True)
    with proxy_of(shared_engine.url, guard) as http:
        for parts in range(1, 60):
            with raw(http, CHAT, asked(stream=True)) as link:
                for _ in range(parts):
                    link.recv(256)
            # Ended by a stop sequence while the end of the engine's stream arrives.
            assert http.post(CHAT, json=asked(stop=["Ask"])).status_code == 200
        assert until(lambda: not under_way(http))
        assert until(lambda: shared_engine.open <= before)
