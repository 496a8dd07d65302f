"""Connections that hold on to the server are closed; what is read slowly, but is read, is not."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
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
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    bundle = Bundle.build([("email", "jane.doe@example.org")], release="2026.2.0", kdf="testing")
    guard = Guard(bundle, GatePolicy(), allow_testing=True)
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
