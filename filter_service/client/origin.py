"""Where requests may go: an origin is scheme, host and port (RFC 6454)."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from filter_service.client.errors import UnsafeUrl

_PORTS = {"https": 443, "http": 80}


class Origin(NamedTuple):
    """A server."""

    scheme: str
    host: str
    port: int

    @property
    def is_private(self) -> bool:
        """Whether nobody on the way can listen: https, or this very machine."""
        return self.scheme == "https" or _is_loopback(self.host)


def parsed(url: str, *, insecure_http: bool = False) -> tuple[Origin, str]:
    """The origin of an address and its path, which begins with a slash.

    Args:
        url: https, or http to this machine.
        insecure_http: accept http to other machines too.

    Raises:
        UnsafeUrl: another scheme, http to another machine, a user name, or no address at all.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UnsafeUrl("This is no address: write https://host/path.") from None
    if parts.scheme not in _PORTS or not parts.hostname or not url.isascii():
        raise UnsafeUrl("This is no address: write https://host/path.")
    if parts.username is not None or parts.password is not None:
        raise UnsafeUrl("An address must not hold a user name: give the key by itself.")
    origin = Origin(parts.scheme, parts.hostname, port or _PORTS[parts.scheme])
    if not origin.is_private and not insecure_http:
        raise UnsafeUrl(f"{origin.host} is asked without encryption: use https.")
    path = parts.path or "/"
    if any(c <= " " or c == "\x7f" for c in path + parts.query):
        raise UnsafeUrl("An address must not hold spaces: write %20.")
    return origin, f"{path}?{parts.query}" if parts.query else path


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
