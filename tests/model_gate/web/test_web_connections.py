"""Connections that hold on to the server are closed; what is read slowly, but is read, is not."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request

from filter import Bundle
from model_gate.guard import Guard
from model_gate.policy import GatePolicy
from model_gate.web import connections, running

BODY = b'{"text": "' + b"x" * 200_000 + b'"}'


def head(length: int, more: bytes = b"") -> bytes:
    return (
        b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        + str(length).encode()
        + b"\r\n"
        + more
        + b"\r\n"
    )


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, int]]:
    """A server that waits half a second for a head, and as long for the next piece of a body."""
    monkeypatch.setattr(connections, "HEAD_S", 0.5)
    monkeypatch.setattr(connections, "BODY_S", 0.5)
    app, guard = echoing()
    with running.running(app, guard=guard) as url:
        parts = urlsplit(url)
        yield str(parts.hostname), int(parts.port or 0)


def answered(connection: socket.socket) -> bytes:
    """What comes until an answer is whole or the connection is closed."""
    connection.settimeout(10)
    found = b""
    while not found.rstrip().endswith(str(len(BODY)).encode()):
        try:
            more = connection.recv(4096)
        except ConnectionResetError:
            return found
        if not more:
            return found
        found += more
    return found


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"POST /echo HTT",
        head(5)[:-2],
        head(len(BODY)),
        head(len(BODY)) + BODY[:1000],
    ],
    ids=["nothing", "half a line", "half a head", "no body", "half a body"],
)
def test_silence_is_not_waited_for(address: tuple[str, int], said: bytes) -> None:
    with socket.create_connection(address) as connection:
        connection.sendall(said)
        assert answered(connection) == b""


@pytest.mark.parametrize("step", [1, 40_000])
def test_a_head_that_never_ends(address: tuple[str, int], step: int) -> None:
    """Neither slowly nor fast."""
    with socket.create_connection(address) as connection:
        connection.sendall(head(5)[:-2] + b"X-More: ")
        for _ in range(1000):
            try:
                connection.sendall(b"y" * step)
            except OSError:
                return
            time.sleep(0.01)
    raise AssertionError("It is still read.")


def test_a_slow_body_and_the_next_request(address: tuple[str, int]) -> None:
    """Longer than the patience for a piece in all, and a request in one packet with a long body."""
    with socket.create_connection(address) as connection:
        connection.sendall(head(len(BODY)))
        for at in range(0, len(BODY), 25_000):
            connection.sendall(BODY[at : at + 25_000])
            time.sleep(0.1)
        assert b"200 OK" in answered(connection)
        for _ in range(2):
            connection.sendall(head(len(BODY)) + BODY)
            assert b"200 OK" in answered(connection)


def echoing() -> tuple[FastAPI, Guard]:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    bundle = Bundle.build([("email", "jane.doe@example.org")], release="2026.2.0", kdf="testing")
    return app, Guard(bundle, GatePolicy(), allow_testing=True)


def test_idle_connections_make_room() -> None:
    """Of those on which nothing is asked the oldest goes; one in the middle of a request stays."""
    app, guard = echoing()
    with running.running(app, guard=guard, connections=3) as url, ExitStack() as stack:
        parts = urlsplit(url)

        def connected() -> socket.socket:
            made = socket.create_connection((str(parts.hostname), int(parts.port or 0)))
            return stack.enter_context(made)

        busy = connected()
        busy.sendall(head(len(BODY)) + BODY[:1000])
        time.sleep(0.2)
        idle = [connected() for _ in range(2)]
        time.sleep(0.2)
        new = connected()
        assert closed(idle[0])
        for one in (new, idle[1]):
            one.sendall(head(len(BODY)) + BODY)
            assert b"200 OK" in answered(one)
        busy.sendall(BODY[1000:])
        assert b"200 OK" in answered(busy)


def test_where_all_are_busy_no_more_are_let_in() -> None:
    app, guard = echoing()
    with running.running(app, guard=guard, connections=2) as url, ExitStack() as stack:
        parts = urlsplit(url)
        address = (str(parts.hostname), int(parts.port or 0))
        busy = [stack.enter_context(socket.create_connection(address)) for _ in range(2)]
        for one in busy:
            one.sendall(head(len(BODY)) + BODY[:1000])
        time.sleep(0.2)
        new = stack.enter_context(socket.create_connection(address))
        assert closed(new)
        for one in busy:
            one.sendall(BODY[1000:])
            assert b"200 OK" in answered(one)
        assert b"200 OK" in asked_again(address)


def closed(connection: socket.socket) -> bool:
    """Whether it is, earlier than silence is no longer waited for."""
    connection.settimeout(connections.HEAD_S / 2)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


def asked_again(address: tuple[str, int]) -> bytes:
    with socket.create_connection(address) as connection:
        connection.sendall(head(len(BODY)) + BODY)
        return answered(connection)


def test_what_follows_a_body_may_not_go_on(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as connection:
        chunked = head(0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        connection.sendall(chunked + b"1\r\nx\r\n0\r\n")
        for number in range(2000):
            try:
                connection.sendall(b"X-%d: " % number + b"y" * 1000 + b"\r\n")
            except OSError:
                return
            time.sleep(0.001)
    raise AssertionError("It is still read.")


def test_descriptors_suffice() -> None:
    code = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 400))
from model_gate.web.connections import served, take_descriptors
print(take_descriptors(), served().keywords["at_most"], served(7).keywords["at_most"])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["400", "112", "7"]
