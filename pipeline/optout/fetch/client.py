"""Asking for one address: redirects, retries, limits, and every failure as a coded answer.

One request, one connection: it is opened to an address that was checked, asks once, and is closed
before the host's turn ends. Nothing is remembered between two requests; there is no cookie jar, no
proxy from the environment, no credential.
"""

from __future__ import annotations

import asyncio
import math
import socket
import ssl
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.optout.fetch.addresses import connectable
from pipeline.optout.fetch.body import BadEncoding, BoundedBody
from pipeline.optout.fetch.limits import Crowded, backoff, retry_after
from pipeline.optout.fetch.target import BadScheme, BadUrl, Target

if TYPE_CHECKING:
    import httpx

    from pipeline.optout.fetch.addresses import Network
    from pipeline.optout.fetch.limits import HostGate
    from pipeline.optout.fetch.options import FetchOptions

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BROKEN = frozenset({"reset", "protocol"})
"""Failures of a connection that stood: worth another request, as a 5xx is."""
_MAX_HEADER = 256
"""Characters kept of a content type."""


class Answer(NamedTuple):
    """What one address gave; the fields mean what they mean in `snapshot.Row`."""

    url: str
    final_url: str
    fetched_at: datetime
    status: int = 0
    content: bytes | None = None
    truncated: bool = False
    content_type: str | None = None
    redirects: int = 0
    error: str | None = None
    reached: bool = False
    """Whether a connection to the host of ``url`` came about."""


class PrivateAddress(Exception):
    """The host has no address that may be connected to."""


class Unresolvable(Exception):
    """The name has no address."""


@dataclass(slots=True)
class _Reply:
    """The answer to one request, redirects not followed."""

    status: int = 0
    content: bytes | None = None
    truncated: bool = False
    content_type: str | None = None
    location: str | None = None
    retry_after_s: float | None = None
    error: str | None = None
    connected: bool = False

    @property
    def passing(self) -> bool:
        """Whether asking again may help (RFC 9309, 2.3.1.4: server errors may be temporary)."""
        if self.error is not None and self.status == 0:
            return self.connected and self.error in _BROKEN
        return self.status == 429 or self.status >= 500


class Client:
    """Asks politely. Lives inside one event loop."""

    def __init__(
        self,
        options: FetchOptions,
        gate: HostGate,
        network: Network,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """``tls`` names the certificates to trust, by default those that httpx brings."""
        import httpx

        self._options = options
        self._gate = gate
        self._network = network
        self._tls = tls or httpx.create_ssl_context(trust_env=False)
        self._connections = asyncio.Semaphore(options.concurrency)

    async def get(self, url: str, *, foreign: bool = False) -> Answer:
        """Ask for ``url`` and follow its redirects; whatever goes wrong is in the answer.

        ``foreign`` says that the host is not the one whose files are wanted: its queue is then
        waited in for ``max_wait_s`` at most, as it is at the target of a redirect. Else one host to
        which thousands of parked domains redirect would hold up everybody.
        """
        try:
            asked = Target.parse(url)
        except BadUrl:
            url = url[:_MAX_HEADER]
            return Answer(url, url, datetime.now(UTC), error="bad-url")
        target, reply = asked, await self._persist(asked, foreign=foreign)
        reached = reply.connected
        seen = {str(asked)}
        while reply.location is not None:
            following = self._following(reply, target, seen)
            if following is None:
                break
            answered = await self._persist(following, foreign=following.host != asked.host)
            if answered.error == "private-address":
                reply.error = answered.error
                break
            seen.add(str(following))
            target, reply = following, answered
        return Answer(
            url=str(asked),
            final_url=str(target),
            fetched_at=datetime.now(UTC),
            status=reply.status,
            content=reply.content,
            truncated=reply.truncated,
            content_type=reply.content_type,
            redirects=len(seen) - 1,
            error=reply.error,
            reached=reached,
        )

    def _following(self, reply: _Reply, target: Target, seen: set[str]) -> Target | None:
        """Where a redirect leads; ``None``, with the reason in ``reply``, if it is not followed."""
        assert reply.location is not None
        try:
            following = Target.parse(reply.location, target)
        except BadScheme:
            reply.error = "redirect-scheme"
        except BadUrl:
            reply.error = "bad-redirect"
        else:
            if str(following) in seen:
                reply.error = "redirect-loop"
            elif len(seen) > self._options.max_redirects:
                reply.error = "too-many-redirects"
            else:
                return following
        return None

    async def _persist(self, target: Target, *, foreign: bool) -> _Reply:
        """Ask, and ask again while that may help; the pauses are the host's, not only ours."""
        options = self._options
        patience_s = options.max_wait_s if foreign else math.inf
        for attempt in range(options.retries + 1):
            reply = await self._once(target, patience_s)
            if not reply.passing:
                break
            pause_s = reply.retry_after_s
            if pause_s is None and attempt < options.retries:
                pause_s = backoff(attempt, options.backoff_s, options.max_wait_s)
            self._gate.rest(target.host, min(pause_s or 0.0, options.max_wait_s))
            patience_s = math.inf
        return reply

    async def _once(self, target: Target, patience_s: float) -> _Reply:
        import httpx

        reply = _Reply()
        try:
            async with (
                self._gate.turn(target.host, patience_s=patience_s),
                self._connections,
                asyncio.timeout(self._options.timeout_s),
            ):
                await self._exchange(target, reply)
        except Crowded:
            return _Reply(error="busy")
        except (
            PrivateAddress,
            Unresolvable,
            BadEncoding,
            httpx.HTTPError,
            httpx.InvalidURL,
            OSError,
            ValueError,
        ) as error:
            # A part of an answer is no answer: the rest might have held the refusal.
            return _Reply(error=_code(error), connected=reply.connected)
        if reply.passing:
            reply.error = "server-error" if reply.status >= 500 else "too-many-requests"
        elif not 200 <= reply.status < 300 and not 400 <= reply.status < 500:
            reply.error = None if reply.location is not None else "unexpected-status"
        return reply

    async def _exchange(self, target: Target, reply: _Reply) -> None:
        """Fill ``reply``, over the first address of the host that can be connected to."""
        import httpx

        try:
            found = await self._network.resolve(target.hostname, target.port)
        except (OSError, UnicodeError) as error:
            if isinstance(error, TimeoutError):
                raise
            raise Unresolvable from error
        addresses = connectable(found, self._network.permits)
        if not addresses:
            raise PrivateAddress if found else Unresolvable
        share_s = self._options.timeout_s / len(addresses)
        for address in addresses:
            try:
                await self._over(address, target, reply, share_s)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if address == addresses[-1] or _code(error) == "tls":
                    raise
            else:
                return

    async def _over(self, address: str, target: Target, reply: _Reply, connect_s: float) -> None:
        """Ask over a connection of its own to ``address``."""
        import httpx

        async def trace(event: str, _: dict[str, Any]) -> None:
            if event.startswith("http11."):
                reply.connected = True

        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        request = httpx.Request(
            "GET",
            target.url.copy_with(host=address),
            headers={
                "Host": target.url.netloc.decode("ascii"),
                "User-Agent": self._options.user_agent,
                "Accept": "*/*",
                "Accept-Encoding": "gzip",
                "Connection": "close",
            },
            extensions={
                "timeout": {"connect": connect_s},
                "sni_hostname": target.hostname,
                "trace": trace,
            },
        )
        async with transport, aclosing(await transport.handle_async_request(request)) as response:
            await self._read(response, reply)

    async def _read(self, response: httpx.Response, reply: _Reply) -> None:
        headers = response.headers
        reply.status = response.status_code
        reply.content_type = headers.get("content-type", "")[:_MAX_HEADER] or None
        reply.retry_after_s = retry_after(headers.get("retry-after"), datetime.now(UTC))
        if reply.status in _REDIRECTS:
            reply.location = headers.get("location")
        if not 200 <= reply.status < 300:
            return
        body = BoundedBody(headers.get("content-encoding", ""), self._options.max_bytes)
        async for chunk in response.aiter_raw():
            if not body.feed(chunk):
                break
        reply.content, reply.truncated = body.finish()


_CODES: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (PrivateAddress, "private-address"),
    (Unresolvable, "dns"),
    (BadEncoding, "encoding"),
    (ssl.SSLError, "tls"),
    (TimeoutError, "timeout"),
    (ConnectionRefusedError, "refused"),
    ((ConnectionResetError, BrokenPipeError), "reset"),
    (socket.gaierror, "dns"),
)


def _code(error: BaseException) -> str:
    """The code of a failure, by the most telling exception in its chain of causes."""
    import httpx

    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    for kinds, code in _CODES:
        if any(isinstance(e, kinds) for e in chain):
            return code
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    if isinstance(error, httpx.ConnectError):
        return "unreachable"
    return "reset" if isinstance(error, httpx.NetworkError) else "protocol"
