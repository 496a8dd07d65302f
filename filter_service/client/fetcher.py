"""HTTP as strict as a download of signed files can have it.

Every request has a limit of size, of silence and of total time, the latter held by a timer that cuts
the connection: a server that drips headers is cut as one that drips content is. Redirects lead to the
same origin, or to hosts that the caller names; the key goes to the one origin only. A proxy is used for
https where the environment names one (``HTTPS_PROXY``, ``NO_PROXY``).
"""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import IO
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

from filter_service.client.errors import UnsafeUrl
from filter_service.client.limits import Limits
from filter_service.client.origin import Origin, parsed
from filter_service.publishing.layout import AUDIENCE, TIMESTAMP

_PIECE = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


class Unanswered(DownloadError):
    """No answer, or not all of it, within the limits."""


class WrongAnswer(DownloadError):
    """An answer that no repository gives: a foreign redirect, another audience."""


class Fetcher(FetcherInterface):
    """Fetches from one origin."""

    def __init__(
        self,
        origin: Origin,
        audience: str,
        *,
        user_agent: str,
        limits: Limits,
        key: str | None = None,
        redirect_hosts: Collection[str] = (),
        insecure_http: bool = False,
    ) -> None:
        """Prepare; nothing is asked yet.

        Args:
            origin: the server.
            audience: the one that every timestamp must name.
            user_agent: of the request header.
            limits: of size and time.
            key: sent as ``Authorization: Bearer`` (RFC 6750) to the origin only.
            redirect_hosts: other hosts to which redirects may lead, over https.
            insecure_http: follow redirects inside an http origin on another machine.
        """
        self._origin = origin
        self._audience = audience
        self._user_agent = user_agent
        self._limits = limits
        self._key = key
        self._redirect_hosts = frozenset(redirect_hosts)
        self._insecure_http = insecure_http
        self._until = 0.0

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """A temporary file with what is at ``url``.

        Raises:
            DownloadError: `Unanswered`, `WrongAnswer`, or one of tuf's.
        """
        self._until = time.monotonic() + self._limits.seconds(max_length)
        with super().download_file(url, max_length) as file:
            yield file

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """What is at ``url``; a timestamp must name the audience.

        tuf remembers a timestamp as soon as its signature is right. Remembering one of the other
        repository would make this client refuse its own as a rollback, so it is refused here.

        Raises:
            DownloadError: `Unanswered`, `WrongAnswer`, or one of tuf's.
        """
        octets = super().download_bytes(url, max_length)
        if urlsplit(url).path.endswith(f"/{TIMESTAMP}"):
            try:
                named = json.loads(octets)["signed"].get(AUDIENCE)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                raise WrongAnswer("the timestamp is none") from None
            if named != self._audience:
                raise WrongAnswer("the timestamp is that of another audience")
        return octets

    def _fetch(self, url: str) -> Iterator[bytes]:
        for _ in range(self._limits.redirects + 1):
            with self._watched(url) as (response, was_cut):
                if response.status in _REDIRECTS:
                    url = self._redirected(url, response.getheader("Location", ""))
                    continue
                if response.status != 200:
                    raise DownloadHTTPError(f"status {response.status}", response.status)
                while piece := response.read1(_PIECE):
                    yield piece
                # Without an announced length the end of the connection is the end of the content.
                if response.length or was_cut.is_set():
                    raise Unanswered("the answer is cut short")
                return
        raise WrongAnswer("too many redirects")

    @contextmanager
    def _watched(self, url: str) -> Iterator[tuple[HTTPResponse, threading.Event]]:
        """The answer to a request, whose connection is cut when its time is over."""
        was_cut = threading.Event()
        origin, path = self._accepted(url)
        headers = {
            "User-Agent": self._user_agent,
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if self._key is not None and origin == self._origin:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            with closing(_connection(origin, self._limits.idle_s)) as connection:
                connection.connect()
                timer = threading.Timer(
                    max(0.0, self._until - time.monotonic()), _cut, [connection.sock, was_cut]
                )
                timer.daemon = True
                timer.start()
                try:
                    connection.request("GET", path, headers=headers)
                    with connection.getresponse() as response:
                        yield response, was_cut
                finally:
                    timer.cancel()
        except (OSError, HTTPException) as error:
            raise Unanswered(type(error).__name__) from error

    def _accepted(self, url: str) -> tuple[Origin, str]:
        try:
            return parsed(url, insecure_http=self._insecure_http)
        except UnsafeUrl as error:
            raise WrongAnswer(str(error)) from None

    def _redirected(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        origin, _ = self._accepted(target)
        if origin == self._origin:
            return target
        if origin.scheme == "https" and origin.host in self._redirect_hosts:
            return target
        raise WrongAnswer(f"the server redirects to {origin.host}")


def _cut(connected: socket.socket, was_cut: threading.Event) -> None:
    """End a connection under its reader, who then reads its end.

    The method of the plain socket is called: that of an `ssl.SSLSocket` would drop its TLS object
    while the reader uses it.
    """
    was_cut.set()
    with suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)


def _connection(origin: Origin, timeout: float) -> HTTPConnection:
    """A connection, not yet made; through a proxy where the environment names one for https."""
    if origin.scheme == "http":
        return HTTPConnection(origin.host, origin.port, timeout=timeout)
    context = ssl.create_default_context()
    proxy = None if proxy_bypass(origin.host) else getproxies().get("https")
    if not proxy:
        return HTTPSConnection(origin.host, origin.port, timeout=timeout, context=context)
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = HTTPSConnection(
        parts.hostname or "", parts.port or 8080, timeout=timeout, context=context
    )
    headers = {}
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    connection.set_tunnel(origin.host, origin.port, headers)
    return connection
