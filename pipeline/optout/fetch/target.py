"""Addresses as a crawler may use them: http or https, a canonical host, no credentials."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from filter.errors import MalformedHost
from filter.hosts import Host, split_authority

if TYPE_CHECKING:
    import httpx

_MAX_URL = 1 << 13
"""Characters of an address: RFC 9110, 4.1, recommends that at least 8,000 octets be supported."""


class BadUrl(Exception):
    """An address that cannot be asked."""


class BadScheme(BadUrl):
    """Neither http nor https."""


@dataclass(frozen=True, slots=True)
class Target:
    """What one request asks for."""

    url: httpx.URL
    """Without credentials and fragment, percent-encoded."""
    host: Host
    """The key of politeness: canonical, without port and scheme."""

    @classmethod
    def parse(cls, text: str, base: Target | None = None) -> Target:
        """Read an address, relative to ``base`` where it is one (RFC 3986, section 5).

        Raises:
            BadScheme: it is neither http nor https.
            BadUrl: it names no host, or is too long.

        """
        import httpx

        try:
            parts = urlsplit(text if base is None else urljoin(str(base.url), text))
            if parts.scheme not in {"http", "https"}:
                raise BadScheme
            host, port = split_authority(parts.netloc)
            where = host if port is None else f"{host}:{port}"
            query = f"?{parts.query}" if parts.query else ""
            url = httpx.URL(f"{parts.scheme}://{where}{parts.path or '/'}{query}")
        except (MalformedHost, httpx.InvalidURL, ValueError):
            raise BadUrl from None
        if len(str(url)) > _MAX_URL:
            raise BadUrl
        return cls(url, host)

    @property
    def hostname(self) -> str:
        """The host without the brackets of an IPv6 address: for names, certificates, sockets."""
        return self.host.strip("[]")

    @property
    def port(self) -> int:
        """The port to connect to."""
        return self.url.port or (443 if self.url.scheme == "https" else 80)

    def __str__(self) -> str:
        """The address."""
        return str(self.url)
