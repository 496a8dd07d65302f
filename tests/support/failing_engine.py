"""An engine that misbehaves as it is told: a raw socket, a thread for each connection."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Talk:
    """One request and its connection."""

    def __init__(self, link: socket.socket, path: str, body: Any) -> None:
        self.link = link
        self.path = path
        self.body = body
        self.sent = 0
        """Octets that the connection has taken so far."""
        self.left = threading.Event()
        """The other side has closed the connection."""

    def send(self, octets: bytes) -> None:
        """Octets as they are."""
        view = memoryview(octets)
        while view:
            taken = self.link.send(view)
            self.sent += taken
            view = view[taken:]

    def answer(
        self, octets: bytes, status: str = "200 OK", kind: str = "application/json", head: str = ""
    ) -> None:
        """A whole answer."""
        self.send(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{head}"
            f"Content-Length: {len(octets)}\r\n\r\n".encode()
            + octets
        )

    def begin(self, head: str = "") -> None:
        """The head of a stream."""
        self.send(
            f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n{head}"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    def part(self, octets: bytes) -> None:
        """Octets of a stream."""
        self.send(f"{len(octets):x}\r\n".encode() + octets + b"\r\n")

    def event(self, content: Any) -> None:
        """One event of a stream."""
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.part(b"data: " + data + b"\n\n")

    def say(self, text: str, finish: Any = None, index: Any = 0) -> None:
        """Text of a choice, in the shape of the route that was asked."""
        chat = self.path.endswith("/chat/completions")
        said = {"delta": {"content": text}} if chat else {"text": text}
        self.event({"choices": [{"index": index, **said, "finish_reason": finish}]})

    def done(self) -> None:
        """The end of a stream, as it should be."""
        self.event(b"[DONE]")
        self.end()

    def end(self) -> None:
        """The end of the body without that of the stream."""
        self.send(b"0\r\n\r\n")

    def gone(self, seconds: float = 20) -> bool:
        """Whether the other side hangs up within the time."""
        self.link.settimeout(seconds)
        try:
            while self.link.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        self.left.set()
        return True


Behaviour = Callable[[Talk], None]


def well(talk: Talk) -> None:
    """Nothing is wrong."""
    talk.begin()
    talk.say("All is well.")
    talk.say("", "stop")
    talk.done()


class FailingEngine:
    """The running engine."""

    def __init__(self, listener: socket.socket) -> None:
        self.behave: Behaviour = well
        self.owned_by = "vllm"
        self.talks: list[Talk] = []
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._listener = listener

    def run(self) -> None:
        """Take connections until the listener is closed."""
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(link,), daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with link, link.makefile("rb") as read:
            try:
                while line := read.readline():
                    path = line.split()[1].decode()
                    size = 0
                    while (line := read.readline().strip()) != b"":
                        if line.lower().startswith(b"content-length:"):
                            size = int(line[15:])
                    talk = Talk(link, path, json.loads(read.read(size)) if size else None)
                    if path == "/v1/models":
                        models = [{"id": "fake", "object": "model", "owned_by": self.owned_by}]
                        talk.answer(json.dumps({"object": "list", "data": models}).encode())
                        continue
                    self.talks.append(talk)
                    try:
                        self.behave(talk)
                    except OSError:
                        talk.left.set()
                        return
            except OSError:
                return


@contextmanager
def failing_engine() -> Iterator[FailingEngine]:
    """One on a free port of 127.0.0.1, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        made = FailingEngine(listener)
        threading.Thread(target=made.run, daemon=True).start()
        try:
            yield made
        finally:
            listener.shutdown(socket.SHUT_RDWR)
