"""Recognisers of personal identifiers: one file a kind, all with the same three names.

- ``find(text)`` yields the `Span` of every identifier, ascending, in time linear in the text;
- ``canonicalize(text)`` gives the canonical form of one identifier, or raises `InputError`;
- ``TRIGGER`` is a regular expression that matches somewhere in the UTF-8 bytes of every text in
  which ``find`` finds something: a bulk scan skips all other texts. It keeps to what `re` on bytes,
  RE2 and Hyperscan read alike, and looks at nothing outside of the identifier, so that a buffer of
  many texts can be scanned at once.

What each finds and misses is in ``docs/recognisers.md``.
"""

from __future__ import annotations

from bisect import bisect_left
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from filter.identifiers import IdentifierKind
from filter.recognisers import ahv, credit_card, email, iban, ip, phone

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from filter.identifiers import Span

__all__ = ["RECOGNISERS", "Recogniser", "find_all"]


class Recogniser(Protocol):
    """What a module of this package offers."""

    TRIGGER: str

    def find(self, text: str, /) -> Iterator[Span]:
        """The identifiers of a text, ascending and apart."""

    def canonicalize(self, text: str, /) -> str:
        """The canonical form of one identifier."""


RECOGNISERS: Mapping[IdentifierKind, Recogniser] = MappingProxyType(
    {
        IdentifierKind.EMAIL: email,
        IdentifierKind.IBAN: iban,
        IdentifierKind.AHV: ahv,
        IdentifierKind.CREDIT_CARD: credit_card,
        IdentifierKind.IP: ip,
        IdentifierKind.PHONE: phone,
    }
)
"""In the order in which they win where two of them claim the same characters."""


def find_all(
    text: str, kinds: Iterable[IdentifierKind], *, regions: Collection[str] = ("CH",)
) -> list[Span]:
    """The identifiers of these kinds, ascending and apart.

    Where two overlap the longer stays, then the one whose kind comes first in `RECOGNISERS`.
    ``regions`` says whose national telephone numbers count, see `phone.find`.

    Raises `InputError` where there is no such region.
    """
    spans: list[Span] = []
    for kind in RECOGNISERS.keys() & set(kinds):
        if kind is IdentifierKind.PHONE:
            spans.extend(phone.find(text, regions))
        else:
            spans.extend(RECOGNISERS[kind].find(text))
    return _apart(spans)


def _apart(spans: Iterable[Span]) -> list[Span]:
    order = list(RECOGNISERS)
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start - s.end, order.index(s.kind), s.start)):
        at = bisect_left(kept, span)
        if (at == 0 or kept[at - 1].end <= span.start) and (
            at == len(kept) or span.end <= kept[at].start
        ):
            kept.insert(at, span)
    return kept
