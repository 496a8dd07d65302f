"""The web server: uvicorn, set up so that it logs nothing of a request and closes in order."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from filter_service.api.logs import LOGGING

_TO_FINISH_S = 20
"""For requests that are under way when the server is asked to end."""
_KEEP_ALIVE_S = 30
_SWITCH_S = 0.0005


def config(app: ASGIApp, host: str = "127.0.0.1", port: int = 8000) -> uvicorn.Config:
    """How the server is set up. Its own log of requests, with paths and addresses, is off."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_config=LOGGING,
        server_header=False,
        proxy_headers=False,  # `clients` knows better whom to believe
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_TO_FINISH_S,
    )


def serve(app: ASGIApp, host: str, port: int, uds: Path | None = None) -> None:
    """Serve until asked to end (SIGINT, SIGTERM), finishing what is under way.

    Args:
        app: the application.
        host: address to listen on.
        port: 0 for any.
        uds: a Unix socket to listen on as well, for the owner of its folder alone.
    """
    with listening(host, port, uds) as sockets:
        run(app, sockets)


def run(app: ASGIApp, sockets: list[socket.socket]) -> None:
    """Serve on sockets that listen, until asked to end."""
    # A request passes through several threads: each waits so long for one that computes.
    sys.setswitchinterval(_SWITCH_S)
    with _outliving_signals():
        uvicorn.Server(config(app)).run(sockets)


@contextmanager
def listening(host: str, port: int, uds: Path | None = None) -> Iterator[list[socket.socket]]:
    """Sockets that listen, closed at the end."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sockets = [socket.create_server((host, port), family=family, backlog=2048)]
    try:
        if uds is not None:
            sockets.append(_private(uds))
        yield sockets
    finally:
        for one in sockets:
            one.close()
        if uds is not None:
            uds.unlink(missing_ok=True)


@contextmanager
def _outliving_signals() -> Iterator[None]:
    """The server ends at a signal and raises it once more; what stands around it must still be closed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {one: signal.signal(one, lambda *_: None) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _private(path: Path) -> socket.socket:
    """A Unix socket that only its owner may use, from its first moment on."""
    with suppress(FileNotFoundError):
        path.unlink()
    found = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        found.bind(str(path))
    finally:
        os.umask(before)
    found.listen(128)
    return found
