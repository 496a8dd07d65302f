"""HTTP connections that do not let themselves be held: a head comes soon and is short, a body keeps coming.

uvicorn closes what is idle behind an answer; what says nothing from the beginning, or goes on saying
its head, it keeps. Each is a connection less for the others.
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 10.0
"""From the first octet of a request, or the beginning of the connection, to the end of its headers."""
BODY_S = 30.0
"""Between two pieces of a body."""
LONGEST_HEAD = 1 << 16
"""Octets of request line and headers."""


class Connection(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._in_head = True
        self._head = 0
        self._ended = False
        """Whether the octets that are being read hold more than the beginning of a head."""

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._await(HEAD_S)

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
            self._close()

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._in_head, self._ended = False, True
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
        self._timer = None if seconds is None else self.loop.call_later(seconds, self._close)

    def _close(self) -> None:
        self._await(None)
        if self.transport is not None and not self.transport.is_closing():
            self.transport.close()


def take_descriptors() -> None:
    """Let this process open as many connections as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
