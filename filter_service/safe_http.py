"""Asking strangers' servers by HTTPS without becoming their tool.

A registry fetches from domains and posts to callbacks that strangers name. Unguarded, they could make it
talk to machines that only it can reach (server-side request forgery). So: https on port 443 only; a name
with at least two labels, never an address; the name is resolved once, every address of it must be public,
and the connection goes to an address that was checked and not to the name, so that a name which answers
differently the second time (DNS rebinding) gains nothing. The certificate must be the name's. No redirects,
no proxy from the environment, no cookies, no content coding, a few kilobytes, a few seconds.

Not covered: revocation of certificates, and a public address that one's own router leads to a private
machine: whoever runs the registry must keep it from reaching what it need not reach.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

import httpx

from filter.errors import LetheError, MalformedHost
from filter.hosts import Host, is_ip_address, split_authority
from filter_service.errors import Unacceptable
from filter_service.evidence.addresses import is_public
from filter_service.evidence.names import Names, NoAnswer, NoSuchRecord

PORT = 443
_MAX_URL = 2048
_TRIED = 3
"""Addresses of one name that are tried, one after the other."""
# RFC 3986, appendix A; a backslash or a space is read differently by different readers.
_url = re.compile(r"[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=%-]+").fullmatch
_number = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*").fullmatch
_seconds = re.compile(r"[0-9]{1,6}").fullmatch

Network = IPv4Network | IPv6Network


class UnusableUrl(Unacceptable):
    """An address that is never asked."""

    def __init__(self, message: str) -> None:
        super().__init__("unusable_url", message)


class Unreached(LetheError):
    """No answer came, or none that is read; ``code`` says why.

    The name: ``dns`` (its servers fail), ``no-address``, ``not-public`` (one address is not). The
    connection: ``refused``, ``tls``, ``timeout``, ``broken``. The answer: ``redirect``, ``encoding``,
    ``too-large``.
    """

    def __init__(self, code: str) -> None:
        super().__init__(f"The server gave no answer that can be used ({code}).")
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes: https, port 443, a name."""

    host: Host
    path: str
    """With its query."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address.

        Raises:
            UnusableUrl: it is not https, or has a port, user information, a fragment, an IP address or a
                name of one label, or is no address at all.
        """
        try:
            parts = urlsplit(text)
        except ValueError:
            raise UnusableUrl("This address cannot be read: write https://host/path.") from None
        if not _url(text) or len(text) > _MAX_URL:
            raise UnusableUrl(
                f"Write the address in ASCII, without a fragment, in at most {_MAX_URL} characters."
            )
        if parts.scheme != "https":
            raise UnusableUrl("Only https addresses are used.")
        if set(parts.netloc) & set("@%"):
            raise UnusableUrl("Write the host plainly, without user information or percent signs.")
        try:
            host, port = split_authority(parts.netloc)
            public_name(host)
        except MalformedHost as error:
            raise UnusableUrl(str(error)) from None
        if port not in {None, PORT}:
            raise UnusableUrl("Only the usual port of https is used: leave it away.")
        query = f"?{parts.query}" if parts.query else ""
        target = cls(host, f"{parts.path or '/'}{query}")
        try:
            httpx.URL(str(target))
        except httpx.InvalidURL:
            raise UnusableUrl("This address cannot be read: write https://host/path.") from None
        return target

    def __str__(self) -> str:
        return f"https://{self.host}{self.path}"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes = field(repr=False)
    """Of an answer with the status 200 to a GET; else empty."""
    retry_after_s: int | None
    """What it asks for, where it does so in seconds (RFC 9110, section 10.2.3)."""


class SafeHttp:
    """A client for servers that are not trusted."""

    def __init__(
        self,
        names: Names,
        *,
        permitted: Collection[Network] = (),
        ca_file: Path | None = None,
        port: int = PORT,
        deadline_s: float = 10.0,
        max_bytes: int = 4096,
        user_agent: str = "lethe-registry",
    ) -> None:
        """Make a client; it holds nothing open.

        ``permitted`` networks may be connected to although they are not public; the authorities in
        ``ca_file`` are trusted instead of the usual ones; ``port`` is where 443 is: all for a test or
        a closed network. ``deadline_s`` is the time for one request, names and all addresses included;
        ``max_bytes`` the most that a body may have.

        Raises:
            OSError: ``ca_file`` cannot be read.
        """
        self._names = names
        self._permitted = tuple(permitted)
        self._port = port
        self._deadline_s = deadline_s
        self._max_bytes = max_bytes
        self._user_agent = user_agent
        self._tls = (
            httpx.create_ssl_context(trust_env=False)
            if ca_file is None
            else ssl.create_default_context(cafile=str(ca_file))
        )

    async def get(self, url: str) -> Reply:
        """Ask for a small resource.

        Raises:
            UnusableUrl: the address is never asked.
            Unreached: no answer came, or one that is not read: a redirect, a coded or a large one.
        """
        return await self._within(Target.parse(url), "GET", {}, b"")

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Post a body. Its answer is not read; a connection that was made is never made again.

        Raises:
            UnusableUrl: the address is never asked.
            Unreached: no answer came, or a redirect.
        """
        return await self._within(Target.parse(url), "POST", headers, body)

    async def _within(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        try:
            async with asyncio.timeout(self._deadline_s):
                return await self._anywhere(target, method, headers, body)
        except TimeoutError:
            raise Unreached("timeout") from None
        except (httpx.HTTPError, OSError, UnicodeError) as error:  # (names that ssl cannot encode)
            raise Unreached(_code(error)) from None

    async def _anywhere(
        self, target: Target, method: str, headers: Mapping[str, str], body: bytes
    ) -> Reply:
        """Ask over the first address that can be connected to."""
        addresses = await self._checked(target.host)
        for address in addresses:
            # Connecting to one silent address must leave time for the others.
            request = self._request(target, address, method, headers, body, len(addresses))
            try:
                return await self._exchange(request)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if address == addresses[-1] or _code(error) == "tls":
                    raise
        raise Unreached("no-address")

    async def _checked(self, host: Host) -> list[str]:
        """The first addresses of a host, all of whose addresses are public."""
        try:
            addresses = await self._names.addresses(host)
        except NoSuchRecord:
            raise Unreached("no-address") from None
        except NoAnswer:
            raise Unreached("dns") from None
        if not all(map(self._permits, addresses)):
            raise Unreached("not-public")
        return list(dict.fromkeys(addresses))[:_TRIED]

    def _permits(self, address: str) -> bool:
        if is_public(address):
            return True
        return any(ip_address(address) in network for network in self._permitted)

    def _request(
        self,
        target: Target,
        address: str,
        method: str,
        headers: Mapping[str, str],
        body: bytes,
        shares: int,
    ) -> httpx.Request:
        url = httpx.URL(str(target)).copy_with(host=address, port=self._port)
        standing = {
            "Host": target.host,
            "User-Agent": self._user_agent,
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        extensions = {
            "timeout": {"connect": self._deadline_s / shares},
            "sni_hostname": target.host,
        }
        content = body if method == "POST" else None
        return httpx.Request(
            method, url, headers={**standing, **headers}, content=content, extensions=extensions
        )

    async def _exchange(self, request: httpx.Request) -> Reply:
        """Ask over a connection of its own; there is no client that could remember anything."""
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        async with transport, aclosing(await transport.handle_async_request(request)) as response:
            if 300 <= response.status_code < 400:
                raise Unreached("redirect")
            wanted = request.method == "GET" and response.status_code == 200
            body = await self._body(response) if wanted else b""
            wait = _seconds(response.headers.get("retry-after", "").strip())
            return Reply(response.status_code, body, int(wait[0]) if wait else None)

    async def _body(self, response: httpx.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
            raise Unreached("encoding")
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > self._max_bytes:
                raise Unreached("too-large")
        return body


def public_name(host: Host) -> None:
    """Refuse a host that is no name of the public domain name system.

    Raises:
        MalformedHost: an IP address, also in the spellings that end in a number (``0x7f.1``; WHATWG URL,
            section 3.5), or a name of one label.
    """
    _, dot, last = host.rpartition(".")
    if is_ip_address(host) or _number(last):
        raise MalformedHost("An IP address cannot be used here: give a domain name.")
    if not dot:
        raise MalformedHost("A name of one label cannot be used here: give a whole domain name.")


def _code(error: BaseException) -> str:
    """The code of a failure, by the most telling exception in its chain of causes."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(e, ssl.SSLError) for e in chain):
        return "tls"
    if isinstance(error, httpx.TimeoutException):
        return "timeout"
    return "refused" if isinstance(error, httpx.ConnectError) else "broken"
