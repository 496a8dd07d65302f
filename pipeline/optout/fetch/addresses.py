"""Which addresses a name stands for, and which of them a crawler may connect to.

A redirect is a stranger's wish: without this check it could make the crawler talk to machines that
only the crawler can reach (server-side request forgery). Names are resolved here, the addresses are
checked, and the client then connects to a checked address and not to the name, so that a name which
answers differently the second time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_TRIED = 3
"""Addresses of one name that are tried, one after the other."""
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052, section 2.1


class Network(Protocol):
    """Which addresses a name has, and which of them are open to the crawler."""

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses of ``host`` (a name, or an address without brackets), best first.

        Raises:
            OSError: there are none.
            UnicodeError: no such name can exist.

        """
        ...

    def permits(self, address: str) -> bool:
        """Whether ``address`` may be connected to."""
        ...

    def close(self) -> None:
        """Give back what resolving needed."""
        ...


class SystemNetwork:
    """The resolver of the operating system (``getaddrinfo``), in threads of its own.

    asyncio's shared threads are few, and a name server that does not answer holds one for seconds.
    """

    def __init__(self, threads: int, *, allow_private: bool) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolve")
        self._allow_private = allow_private

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Addresses in the order of RFC 6724, as the system sorts them."""
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads,
            lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM),
        )
        return [str(where[0]) for *_, where in found]

    def permits(self, address: str) -> bool:
        """Whether ``address`` is public, or everything is allowed."""
        return self._allow_private or is_public(address)

    def close(self) -> None:
        """Start no more look-ups; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def connectable(addresses: Iterable[str], permits: Callable[[str], bool]) -> list[str]:
    """The first few distinct addresses that may be connected to; empty where none may."""
    return [a for a in dict.fromkeys(addresses) if permits(a)][:_TRIED]


def is_public(address: str) -> bool:
    """Whether ``address`` is a unicast address of the public internet.

    By the IANA special-purpose registries (RFC 6890); an IPv6 address that carries an IPv4 address
    (mapped, 6to4, Teredo, NAT64) is as public as that one. What is no address is not public.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if parsed.scope_id is not None or parsed.is_site_local:
            return False
        if not all(_unicast(inner) for inner in _carried(parsed)):
            return False
        if parsed.ipv4_mapped is not None or parsed in _NAT64:
            return True
    return _unicast(parsed)


def _unicast(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _carried(address: IPv6Address) -> list[IPv4Address]:
    inside = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64:
        inside.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [a for a in inside if a is not None]
