"""What the candidates of all recognised kinds have in common."""

from __future__ import annotations

from typing import NamedTuple

from filter.identifiers import IdentifierKind
from filter.nv1 import SEPARATORS

LONGEST_GAP = 8
"""Separators between two letters or digits of one candidate at most."""


class Candidate(NamedTuple):
    """One way to read a stretch of a reading as an identifier."""

    first: int
    """Its first character in the reading."""
    last: int
    """Its last one."""
    kind: IdentifierKind
    value: str
    """What the slow hash is taken of, see `canonical.comparable`."""


class Glyphs(NamedTuple):
    """The letters and digits of an island, and what stands between them."""

    text: str
    places: list[int]
    """Where each stands in the reading."""
    gaps: list[str]
    """What stands before each; before the first, what the island begins with."""


def glyphs(island: str, offset: int) -> Glyphs:
    """Letters and digits of an island that begins at ``offset`` of the reading."""
    text: list[str] = []
    places: list[int] = []
    gaps: list[str] = []
    gap = ""
    for place, char in enumerate(island, offset):
        if char in SEPARATORS:
            gap += char
        else:
            text.append(char)
            places.append(place)
            gaps.append(gap)
            gap = ""
    return Glyphs("".join(text), places, gaps)
