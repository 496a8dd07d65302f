"""Sees each request through: counts it, times it, logs it, and answers where something broke."""

from __future__ import annotations

import random
import time
from uuid import UUID

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from filter_service.api.clients import Client
from filter_service.api.limiting import CLIENT
from filter_service.api.logs import Log
from filter_service.api.metrics import Metrics
from filter_service.api.problems import unexpected

METHODS = frozenset(
    {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"}
)
"""RFC 9110, section 9.3; another one is somebody's word."""
UNKNOWN = "unknown"
GONE = 499
"""Logged as the status of a request whose client left before the answer."""


_random = random.Random()  # noqa: S311 -- no secret is made of it


class Observed:
    """Around everything that may fail."""

    def __init__(self, app: ASGIApp, metrics: Metrics, log: Log) -> None:
        self.app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        # Only to find a line of the log again; asking the system for randomness would cost a switch of threads.
        instance = str(UUID(int=_random.getrandbits(128), version=4))
        begun = time.perf_counter()
        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:  # whatever it is, its text must not get out
            self._log.error("unexpected", error=type(error).__qualname__, id=instance)
            if status:
                raise  # half an answer is out: the server breaks the connection
            status = 500
            await unexpected(instance)(scope, receive, send)
        finally:
            self._note(scope, status, time.perf_counter() - begun, instance)

    def _note(self, scope: Scope, status: int, duration_s: float, instance: str) -> None:
        found = scope.get("route")
        route: str = getattr(found, "path_format", getattr(found, "path", UNKNOWN))
        method = scope["method"] if scope["method"] in METHODS else UNKNOWN
        client = scope.get(CLIENT)
        self._metrics.request(route, method, status, duration_s)
        self._log.info(
            "request",
            route=route,
            method=method,
            status=status,
            ms=round(1000 * duration_s, 1),
            client=client.shown_as if isinstance(client, Client) else UNKNOWN,
            id=instance,
        )
