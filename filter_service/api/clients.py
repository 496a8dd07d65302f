"""Where a request comes from: the address of a client, as far as it can be believed.

A peer on the Unix socket or in one of the trusted networks is a proxy. What it adds to
``X-Forwarded-For`` is believed, so the client is the right-most address there that is no proxy of ours; all
further left is the client's own word (RFC 7239, section 8.1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Scope

from filter_service.errors import UnsafeSettings

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Client:
    """A client, by its network; never its whole IPv6 address."""

    counted_as: str
    """The address, or the /64 network of an IPv6 one, which a single customer has."""
    shown_as: str
    """The /24 or /48 network, for the log."""
    direct: bool
    """No proxy stands between."""


class Clients:
    """Tells clients from proxies."""

    def __init__(self, trusted: Iterable[str]) -> None:
        """``trusted`` are the networks of proxies.

        Raises:
            UnsafeSettings: one is no network.
        """
        try:
            self._trusted = [ipaddress.ip_network(one) for one in trusted]
        except ValueError:
            raise UnsafeSettings(
                "trusted_proxies must be networks such as 192.0.2.0/24: correct them."
            ) from None

    def of(self, scope: Scope) -> Client:
        """The client of a request."""
        peer = scope.get("client")
        found = _address(peer[0]) if peer else None
        hops = [
            hop
            for value in Headers(scope=scope).getlist("x-forwarded-for")
            for hop in value.split(",")
        ]
        direct = not hops
        while hops and (found is None or self._is_proxy(found)):
            before = _address(hops.pop())
            if before is None:
                break
            found = before
        if found is None:
            return Client(LOCAL, LOCAL, direct)
        return Client(_network(found, 32, 64), _network(found, 24, 48), direct)

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address(text: str) -> Address | None:
    """An address as proxies write it, perhaps with a port."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _network(address: Address, bits4: int, bits6: int) -> str:
    bits = bits4 if address.version == 4 else bits6
    network = ipaddress.ip_network((address, bits), strict=False)
    return str(address) if bits == address.max_prefixlen else str(network)
