"""HTTP connections that do not let themselves be held: a head comes soon and is short, a body keeps coming.

uvicorn closes what is idle behind an answer; what says nothing from the beginning, or goes on saying
its head, it keeps. Each is a connection less for the others.
"""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

HEAD_S = 10.0
"""From the first octet of a request, or the beginning of the connection, to the end of its headers."""
BODY_S = 30.0
"""Between two pieces of a body."""
LONGEST_HEAD = 1 << 16
"""Octets of request line and headers; as many again of what may follow a body (RFC 9112, section 7.1.2)."""
CONNECTIONS = 4096
"""At once, where the process may open so many descriptors."""
_DESCRIPTORS = 3
"""Of one connection: the proxy asks its engine over another one, and over a third where an answer is cut."""
_KEPT = 64
"""Descriptors for everything else."""

_turns = count()


class Connection(HttpToolsProtocol):
    """One connection; ``at_most``: as many are open at once."""

    def __init__(self, *arguments: Any, at_most: int = CONNECTIONS, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._at_most = at_most
        self.turn = 0
        """When it last began to be idle, counted among all."""
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head = 0
        self._behind = 0
        self._ended = False
        """Whether the octets that are being read hold more than the beginning of a head."""

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request; where there are too many, one that waits for nothing goes."""
        super().connection_made(transport)
        self.turn = next(_turns)
        self._await(HEAD_S)
        if len(self.connections) > self._at_most:
            self._make_room()

    def _make_room(self) -> None:
        """Close the connection that has been idle for longest, or else this one."""
        idle = [one for one in self.connections if isinstance(one, Connection) and one.is_idle]
        oldest = min(idle, key=lambda one: one.turn, default=self)
        oldest.close()
        oldest.connections.discard(oldest)  # it is lost a moment later

    @property
    def is_idle(self) -> bool:
        """Whether no request is answered on it."""
        return self.cycle is None or bool(self.cycle.response_complete)

    def on_response_complete(self) -> None:
        """An answer has gone out."""
        self.turn = next(_turns)
        super().on_response_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or a field behind a body: no more of these either."""
        if not self._in_head:
            self._behind += len(name) + len(value) + 4
            if self._behind > LONGEST_HEAD:
                self.close()
                return
        super().on_header(name, value)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._await(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take octets; closes where a head is too long."""
        if self._in_head and self._timer is None:
            self._await(HEAD_S)
        elif not self._in_head:
            self._await(BODY_S)
        self._ended = not self._in_head
        super().data_received(data)
        self._head = 0 if self._ended else self._head + len(data)
        if self._head > LONGEST_HEAD:
            self.close()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head, self._ended, self._behind = False, True, 0
        self._await(BODY_S)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        self._in_head = True
        self._await(None)
        super().on_message_complete()

    def _await(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if seconds is None else self.loop.call_later(seconds, self.close)

    def close(self) -> None:
        """Hang up."""
        self._await(None)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def served(at_most: int | None = None) -> Callable[..., Connection]:
    """What makes connections for uvicorn; by default as many at once as descriptors suffice for."""
    if at_most is None:
        at_most = max(1, min(CONNECTIONS, (take_descriptors() - _KEPT) // _DESCRIPTORS))
    return partial(Connection, at_most=at_most)


def take_descriptors() -> int:
    """Let this process open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with suppress(OSError, ValueError):  # where the system allows fewer than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
