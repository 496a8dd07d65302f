"""Whether a rightsholder controls a domain: they put a text where only they can, and it is looked for there.

Either as a TXT record (RFC 1035, section 3.3.14) of exactly ``_lethe.<domain>``, parents are not climbed
to; or as a line of ``https://<domain>/.well-known/lethe-verification.txt`` (RFC 8615). The text holds a
token that belongs to one request and one domain, so that what an earlier owner left behind proves nothing.

Not covered: name servers or networks between them and us that lie. A domain under which strangers register
(a public suffix of several labels) cannot be told by its form; but only its registry can put anything there.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from enum import StrEnum

from filter.errors import MalformedHost
from filter.hosts import Host, canonical_host
from filter_service.errors import Unacceptable
from filter_service.evidence.names import Names, NoAnswer, NoSuchRecord
from filter_service.safe_http import SafeHttp, Unreached, public_name

LABEL = "_lethe"
PATH = "/.well-known/lethe-verification.txt"
_PREFIX = "lethe-verification="
_TOKEN_BYTES = 16
_KEY_BYTES = 32
_MAX_DOMAIN = 253 - len(LABEL) - 1
_NOBODYS = (
    # RFC 6761, section 6, RFC 6762, section 3, RFC 7686, RFC 8375, RFC 9476, and ICANN's for private use
    "test", "example", "invalid", "localhost", "local", "onion", "alt", "internal", "arpa",
    "example.com", "example.net", "example.org",
)  # fmt: skip


class UnusableDomain(Unacceptable):
    """A domain that nobody can show to be theirs."""

    def __init__(self, message: str) -> None:
        super().__init__("unusable_domain", message)


class Method(StrEnum):
    """Where the text is looked for."""

    DNS = "dns"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The text is there."""

    method: Method


@dataclass(frozen=True, slots=True)
class NotFound:
    """It is not there."""

    method: Method
    code: str
    """``no-record``, ``no-file``, ``different``, ``redirect``, ``encoding`` or ``too-large``."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """It could not be found out: to be tried again."""

    method: Method
    code: str
    """``server-error``, or one of `Unreached`."""


Result = Confirmed | NotFound | Unreachable
_ANSWERED = frozenset({"redirect", "encoding", "too-large"})
"""Failures that are an answer: something else is there."""


def controllable(domain: str, *, allow_reserved: bool = False) -> Host:
    """The canonical form of a domain that somebody can control.

    ``allow_reserved`` also takes names that are reserved for tests, documentation and private networks.

    Raises:
        UnusableDomain: not a host, an IP address, a name of one label, too long, or reserved.
    """
    if set(domain) & set("@:/%"):
        raise UnusableDomain("Give the domain alone, such as www.example.org.")
    try:
        host = canonical_host(domain)
        public_name(host)
    except MalformedHost as error:
        raise UnusableDomain(str(error)) from None
    if len(host) > _MAX_DOMAIN:
        raise UnusableDomain(f"This domain is longer than {_MAX_DOMAIN} octets.")
    if not allow_reserved and any(f".{host}".endswith(f".{name}") for name in _NOBODYS):
        raise UnusableDomain("This domain is reserved, and nobody can show that it is theirs.")
    return host


class DomainControl:
    """Looks for challenges."""

    def __init__(self, names: Names, http: SafeHttp, *, allow_reserved: bool = False) -> None:
        self._names = names
        self._http = http
        self._allow_reserved = allow_reserved

    async def check(self, method: Method, domain: str, expected: str) -> Result:
        """Whether ``expected``, a `challenge`, is there. What else is there is not told.

        Raises:
            UnusableDomain: as `controllable`.
        """
        host = controllable(domain, allow_reserved=self._allow_reserved)
        if method is Method.DNS:
            return await self._by_dns(host, expected)
        return await self._by_file(host, expected)

    async def _by_dns(self, host: Host, expected: str) -> Result:
        try:
            texts = await self._names.texts(f"{LABEL}.{host}")
        except NoSuchRecord:
            return NotFound(Method.DNS, "no-record")
        except NoAnswer:
            return Unreachable(Method.DNS, "dns")
        return _compared(Method.DNS, texts, expected)

    async def _by_file(self, host: Host, expected: str) -> Result:
        try:
            reply = await self._http.get(f"https://{host}{PATH}")
        except Unreached as error:
            kind = NotFound if error.code in _ANSWERED else Unreachable
            return kind(Method.FILE, error.code)
        if reply.status == 200:
            return _compared(Method.FILE, reply.body.splitlines(), expected)
        if reply.status == 429 or not 200 <= reply.status < 500:
            return Unreachable(Method.FILE, "server-error")
        return NotFound(Method.FILE, "no-file")


def _compared(method: Method, found: list[bytes], expected: str) -> Result:
    wanted = expected.encode()
    if any([hmac.compare_digest(text.strip(), wanted) for text in found]):  # noqa: C419  (all of them)
        return Confirmed(method)
    return NotFound(method, "different")
