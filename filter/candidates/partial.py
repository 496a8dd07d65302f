"""Identifiers that a text was cut off in: what might be the beginning of one at its end."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.candidates.model import LONGEST_GAP
from filter.identifiers import IdentifierKind
from filter.nv1 import BREAK, SEPARATORS

if TYPE_CHECKING:
    from collections.abc import Collection

_BEFORE_AT = 160
"""Characters before an ``@`` that may belong to an address."""


@cache
def _patterns() -> tuple[tuple[IdentifierKind, re.Pattern[str]], ...]:
    """A beginning of each kind, up to the end: so much that it tells something."""
    s = f"[{re.escape(''.join(sorted(SEPARATORS - {BREAK})))}]{{0,{LONGEST_GAP}}}"
    digits = f"(?:{s}[0-9])"
    return (
        (
            IdentifierKind.PHONE,
            re.compile(
                rf"(?:(?:\+{s}|(?<![0-9])0)[0-9]?{digits}{{3,}}|(?<![0-9])[1-9]{digits}{{6,}}){s}\Z"
            ),
        ),
        (IdentifierKind.AHV, re.compile(rf"(?<![0-9])7{s}5{s}6{digits}{{2,}}{s}\Z")),
        (IdentifierKind.CREDIT_CARD, re.compile(rf"(?<![0-9])[2-6]{digits}{{6,}}{s}\Z")),
        (
            IdentifierKind.IBAN,
            re.compile(rf"[a-z]{s}[a-z]{s}[0-9]{s}[0-9](?:{s}[0-9a-z]){{4,}}{s}\Z"),
        ),
        (
            IdentifierKind.IP,
            re.compile(
                rf"(?:(?<![0-9])[0-9]{digits}{{0,2}}(?:[^0-9a-z.]{{0,4}}\.{digits}{{1,3}}){{1,3}}"
                rf"|(?<![0-9])[23]{s}[0-9a-f]{s}[0-9a-f]{s}[0-9a-f](?:{s}:{s}[0-9a-f]{{0,4}}){{1,8}}){s}\Z"
            ),
        ),
    )


def open_candidates(
    island: str, offset: int, kinds: Collection[IdentifierKind]
) -> list[tuple[int, IdentifierKind]]:
    """Where in the island at the end, which begins at ``offset``, what may be cut off begins."""
    found = []
    at = island.rfind("@")
    if IdentifierKind.EMAIL in kinds and at >= 0:
        # Whatever stands in one island with an @ may be spelt out, or broken.
        found.append((offset + max(0, at - _BEFORE_AT), IdentifierKind.EMAIL))
    for kind, pattern in _patterns():
        if kind in kinds and (match := pattern.search(island)) is not None:
            found.append((offset + match.start(), kind))
    return found
