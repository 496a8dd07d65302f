"""Sees each request through: counts it, times it, logs it, answers where something broke; safe headers."""

from __future__ import annotations

import time

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from model_gate.web import logs, problems
from model_gate.web.metrics import Metrics

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
"""RFC 9110, section 9.3; another one is somebody's word."""
UNKNOWN = "unknown"
GONE = 499
"""Counted as the status of a request whose client left before the answer."""
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class Observed:
    """Around everything that may fail. ``logged``: each request is a line of the log."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, logged: bool = False) -> None:
        self.app = app
        self._metrics = metrics
        self._logged = logged

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
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        begun = time.perf_counter()
        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            status = status or GONE
        except Exception as error:  # whatever it is, its text must not get out
            logs.failure("unexpected", error)
            if status:
                raise  # half an answer is out: the server breaks the connection
            await problems.of(error).response(scope, receive, watched)
        finally:
            duration_s = time.perf_counter() - begun
            found = scope.get("route")
            route: str = getattr(found, "path_format", getattr(found, "path", UNKNOWN))
            method = scope["method"] if scope["method"] in METHODS else UNKNOWN
            self._metrics.request(route, method, status or GONE, duration_s)
            if self._logged:
                ms = round(1000 * duration_s, 1)
                logs.event("request", route=route, method=method, status=status or GONE, ms=ms)
