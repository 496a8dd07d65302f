"""Running an application with uvicorn, and keeping its guard up to date meanwhile.

Asked to end (SIGTERM, SIGINT) it takes no new request; what is under way gets ``grace_s`` seconds to come
to its end, then is ended.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging.config import dictConfig

import uvicorn
from fastapi import FastAPI

from filter.errors import InputError
from model_gate.guard import Guard
from model_gate.web import logs
from model_gate.web.connections import served

REFRESH_S = 5.0
PROBE_S = 60.0
GRACE_S = 30.0
_KEEP_ALIVE_S = 30
_SWITCH_S = 0.0005
"""A token passes several threads: each waits so long at most for one that computes in Python."""
_TO_CLOSE_S = 2
"""For a stream that was ended to say so."""


class Keeper:
    """Looks for a newer release every few seconds, tries the canaries every minute and after a reload."""

    def __init__(
        self, guard: Guard, *, refresh_s: float = REFRESH_S, probe_s: float = PROBE_S
    ) -> None:
        self._guard = guard
        self._refresh_s = refresh_s
        self._probe_s = probe_s
        self._probed = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lethe-keeper", daemon=True)

    def start(self) -> None:
        """Try the canaries once, then go on beside the caller."""
        self._guard.probe()
        self._probed = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End; a probe under way is awaited."""
        self._end.set()
        if self._thread.ident is not None:
            self._thread.join()

    def look(self) -> None:
        """Look for a newer release once, and try the canaries if it is time to."""
        newer = self._guard.refresh()
        if newer:
            logs.event("newer release", release=self._guard.release)
        if newer or time.monotonic() - self._probed >= self._probe_s:
            self._guard.probe()
            self._probed = time.monotonic()

    def _keep(self) -> None:
        while not self._end.wait(self._refresh_s):
            try:
                self.look()
            except Exception as error:  # noqa: BLE001 -- whatever it is, the next round must come
                logs.failure("keeper", error)


class _Server(uvicorn.Server):
    """Says when it is ready, and ends what outlives its grace."""

    def __init__(
        self,
        config: uvicorn.Config,
        ready: Callable[[], None],
        ending: Callable[[], None],
        grace_s: float,
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._ending = ending
        self._grace_s = grace_s

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        timer = asyncio.get_running_loop().call_later(self._grace_s, self._ending)
        await super().shutdown(sockets)
        timer.cancel()


def _nothing() -> None:
    pass


def run(
    app: FastAPI,
    listener: socket.socket,
    *,
    guard: Guard,
    ready: Callable[[str], None],
    ending: Callable[[], None] = _nothing,
    grace_s: float = GRACE_S,
    keeper: Keeper | None = None,
    connections: int | None = None,
) -> None:
    """Serve until asked to end.

    Args:
        app: the application.
        listener: of `listening`.
        guard: kept up to date meanwhile.
        ready: told the address (``http://host:port``) when requests are taken.
        ending: called on the event loop when the grace is over: ends all streams, with an event that says so.
        grace_s: seconds for what is under way.
        keeper: how it is kept up to date; `Keeper` by default.
        connections: at once; by default as many as descriptors suffice for.
    """
    with _kept(keeper or Keeper(guard)), _outliving_signals():
        server = _server(app, listener, ready, ending, grace_s, connections)
        server.run([listener])


@contextmanager
def running(
    app: FastAPI,
    *,
    guard: Guard,
    host: str = "127.0.0.1",
    port: int = 0,
    ending: Callable[[], None] = _nothing,
    grace_s: float = GRACE_S,
    keeper: Keeper | None = None,
    connections: int | None = None,
) -> Iterator[str]:
    """Serve from a thread of its own; yields the address (``http://host:port``), ends on leaving. As `run`."""
    up = threading.Event()
    with listening(host, port) as listener, _kept(keeper or Keeper(guard)):
        server = _server(app, listener, lambda _: up.set(), ending, grace_s, connections)
        thread = threading.Thread(target=server.run, args=([listener],), name="lethe-web")
        thread.start()
        try:
            while not up.wait(0.05):
                if not thread.is_alive():
                    raise InputError("The server could not be started: see the log.")
            yield _address(listener)
        finally:
            server.should_exit = True
            thread.join()


def _server(
    app: FastAPI,
    listener: socket.socket,
    ready: Callable[[str], None],
    ending: Callable[[], None],
    grace_s: float,
    connections: int | None,
) -> _Server:
    config = uvicorn.Config(
        app,
        loop="auto",  # uvloop, where there is one
        http=served(connections),  # type: ignore[arg-type]  # makes protocols, as a class does
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(grace_s) + _TO_CLOSE_S,
    )
    dictConfig(logs.LOGGING)
    sys.setswitchinterval(_SWITCH_S)
    return _Server(config, lambda: ready(_address(listener)), ending, grace_s)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _kept(keeper: Keeper) -> Iterator[None]:
    keeper.start()
    try:
        yield
    finally:
        keeper.stop()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens, closed at the end; port 0 takes a free one.

    Raises:
        InputError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        found = socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or "no such address"
        raise InputError(
            f"{host}:{port} cannot be listened on ({why}): choose another --host or --port."
        ) from None
    with found:
        yield found


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
