"""Requests that were meant for somebody else: the header ``Host`` must name this service.

Otherwise a page elsewhere whose name is made to point here could read answers (DNS rebinding).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from filter.errors import MalformedHost
from filter.hosts import canonical_host
from filter_service.api.problems import answer
from filter_service.errors import UnsafeSettings

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\s]+)(:[0-9]{1,5})?")
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
FOR_ALL = frozenset({"/health", "/metrics"})
"""Monitors ask for these by address."""


class OwnHost:
    """Refuses requests for other hosts (RFC 9110, sections 7.2 and 15.5.20)."""

    def __init__(self, app: ASGIApp, base_url: str) -> None:
        self.app = app
        own = _name(urlsplit(base_url).netloc.rpartition("@")[2])
        if own is None:
            raise UnsafeSettings("base_url must be an address such as https://registry.example.")
        loopback = {name for one in _LOOPBACK if (name := _name(one)) is not None}
        self._own = loopback if own in loopback else {own}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "http" and scope["path"] not in FOR_ALL:
            values = Headers(scope=scope).getlist("host")
            name = _name(values[0]) if len(values) == 1 else None
            if name is None:
                refused = answer(400, "bad_host", "Send one header Host with the name of a host.")
                await refused(scope, receive, send)
                return
            if name not in self._own:
                refused = answer(421, "misdirected", "This host is not served here.")
                await refused(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _name(authority: str) -> str | None:
    match = _HOST.fullmatch(authority)
    if match is None:
        return None
    try:
        return str(canonical_host(match[1]))
    except MalformedHost:
        return None
