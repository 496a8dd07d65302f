"""Which IP addresses are on the public internet."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_BARRED_V4 = (
    IPv4Network("192.0.0.0/24"),  # IETF protocol assignments, though some of them are global
    IPv4Network("192.88.99.0/24"),  # 6to4 relays (RFC 7526)
)
_GLOBAL_V6 = IPv6Network("2000::/3")
"""All that IANA has given out for the public internet. Mapped, compatible, NAT64, translated, unique local,
link-local, site-local and multicast addresses lie outside."""
_BARRED_V6 = (
    IPv6Network("2001::/23"),  # Teredo, benchmarking, ORCHID and other protocol assignments
    IPv6Network("2002::/16"),  # 6to4: as public as the IPv4 address inside it
    IPv6Network("3fff::/20"),  # documentation (RFC 9637), which older tables do not know
)


def is_public(address: str) -> bool:
    """Whether an IP address is a unicast address of the public internet; what is no address is not.

    By the IANA special-purpose registries (RFC 6890) as Python knows them, and stricter: of IPv6 only
    ``2000::/3``, and no address that carries an IPv4 address. So hosts that have only IPv4 are not reached
    from behind NAT64.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        barred = any(parsed in network for network in _BARRED_V4)
        return parsed.is_global and not (barred or parsed.is_multicast or parsed.is_reserved)
    return _is_public_v6(parsed)


def _is_public_v6(address: IPv6Address) -> bool:
    if address.scope_id is not None or address not in _GLOBAL_V6 or not address.is_global:
        return False
    return not any(address in network for network in _BARRED_V6)
