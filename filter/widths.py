"""How many bits of a slow hash a bundle keeps, by kind, and what that means for strangers.

With ``T`` entries of ``b`` bits a stranger's identifier hits with a probability of T / 2^b for each
way to read it, and each code fits 1 + N / 2^b members of a dictionary of N. Both are printed with
every bundle. `docs/threat-model.md` derives them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from filter.identifiers import IdentifierKind

if TYPE_CHECKING:
    from collections.abc import Mapping

STRANGERS_HIT = 0.001
"""At most this share of strangers' identifiers may be taken for a listed one."""


class Width(NamedTuple):
    """The starting width of one kind."""

    bits: int
    dictionary: int
    """Members of the dictionary that an attacker is assumed to have."""
    readings: int
    """Codes that are looked up for one identifier in a text, on the average (real pages)."""


WIDTHS: Mapping[IdentifierKind, Width] = MappingProxyType(
    {
        IdentifierKind.EMAIL: Width(26, 10**9, 5),
        IdentifierKind.PHONE: Width(22, 10**8, 1),
        IdentifierKind.IBAN: Width(26, 10**9, 1),
        IdentifierKind.AHV: Width(24, 10**9, 1),
        IdentifierKind.CREDIT_CARD: Width(26, 10**9, 1),
        IdentifierKind.IP: Width(24, 3_700_000_000, 1),
    }
)
"""Dictionaries: addresses of known leaks; Swiss telephone numbers; accounts of a large bank; AHV
numbers with a valid check digit; cards of one issuer's prefix; public IPv4 addresses."""


def capacity(kind: IdentifierKind, bits: int) -> int:
    """How many entries a width holds until too many strangers are hit."""
    return int(STRANGERS_HIT * (1 << bits) / WIDTHS[kind].readings)


def width_for(kind: IdentifierKind, entries: int) -> int:
    """The starting width, or the first above it that holds so many entries; 32 at most."""
    bits = WIDTHS[kind].bits
    while bits < 32 and entries > capacity(kind, bits):
        bits += 1
    return bits


def members(kind: IdentifierKind, bits: int) -> float:
    """The k of a width: how many members of the dictionary share one code."""
    return 1 + WIDTHS[kind].dictionary / (1 << bits)


def rounded_up(count: int) -> int:
    """To two significant digits: what a bundle says of how many it holds."""
    if count <= 0:
        return 0
    step = max(10, int("1" + "0" * (len(str(count)) - 2)))
    return -(-count // step) * step
