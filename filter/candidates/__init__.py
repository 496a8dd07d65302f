"""Candidates of recognised kinds in a reading: every plausible way to read each of them.

The recognisers of `filter.recognisers` cut personal data out of a text and must be sure; candidates
are looked up in a list, so they may be many: whatever might be a listed identifier, however it is
spelt, is one. What that costs strangers is in ``docs/threat-model.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filter.candidates import email, iban, ip, numbers
from filter.candidates.islands import islands
from filter.candidates.model import Candidate, glyphs
from filter.identifiers import IdentifierKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Candidate", "each", "find", "find_in_island"]


def find(
    reading: str, kinds: Collection[IdentifierKind], regions: tuple[str, ...]
) -> list[Candidate]:
    """All candidates of these kinds in a reading, ordered by their end, then their beginning."""
    found = {
        candidate
        for first, end in islands(reading)
        for candidate in find_in_island(reading[first:end], first, kinds, regions)
    }
    return sorted(found, key=lambda c: (c.last, c.first, c.kind, c.value))


def each(
    reading: str, kinds: Collection[IdentifierKind], regions: tuple[str, ...]
) -> Iterator[Candidate]:
    """The same one by one, for whoever needs only some: island by island, in no order within one."""
    for first, end in islands(reading):
        yield from find_in_island(reading[first:end], first, kinds, regions)


def find_in_island(
    island: str, offset: int, kinds: Collection[IdentifierKind], regions: tuple[str, ...]
) -> Iterator[Candidate]:
    """The candidates of one island, or window of one, that begins at ``offset``."""
    text = glyphs(island, offset)
    if IdentifierKind.EMAIL in kinds:
        yield from email.find(text, island, offset)
    if IdentifierKind.IP in kinds:
        yield from ip.find(island, offset)
    if IdentifierKind.IBAN in kinds:
        yield from iban.find(text)
    yield from numbers.find(text, kinds, regions)
