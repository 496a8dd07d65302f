"""``HEAD`` and ``OPTIONS`` for all that can be read, and ``Allow`` with all that a resource knows."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEAD = "lethe.head"
"""Where in a scope it stands that nobody will read the content."""
_TRIED = ("GET", "POST", "PUT", "PATCH", "DELETE")


class Methods:
    """Serves ``HEAD`` as ``GET``, and ``OPTIONS`` by what the routes say (RFC 9110, section 9.3).

    That the answer to ``HEAD`` has no content is for the server to see to.
    """

    def __init__(self, app: ASGIApp, routes: FastAPI) -> None:
        self.app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        if method == "OPTIONS":
            allowed = self._allowed(scope)
            if allowed or scope["path"] == "*":
                await Response(status_code=204, headers={"Allow": allowed})(scope, receive, send)
                return

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 405:
                MutableHeaders(raw=message["headers"])["Allow"] = self._allowed(scope)
            await send(message)

        if method != "HEAD":
            await self.app(scope, receive, watched)
            return
        inner = {**scope, "method": "GET", HEAD: True}
        try:
            await self.app(inner, receive, watched)
        finally:
            scope["route"] = inner.get("route")

    def _allowed(self, scope: Scope) -> str:
        known = [
            method
            for method in _TRIED
            if any(
                route.matches({**scope, "method": method})[0] is Match.FULL
                for route in self._routes.router.routes
            )
        ]
        if not known:
            return ""
        return ", ".join([*known, *(["HEAD"] if "GET" in known else []), "OPTIONS"])
