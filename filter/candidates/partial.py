"""Identifiers that a text was cut off in: what might be the beginning of one at its end."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.identifiers import IdentifierKind

if TYPE_CHECKING:
    from collections.abc import Collection

_S = r"[ \n.\-/()*_~`'¦]{0,8}"


@cache
def _patterns() -> tuple[tuple[IdentifierKind, re.Pattern[str]], ...]:
    """A beginning of each kind, up to the end: so much that it tells something."""
    digits = rf"(?:{_S}[0-9])"
    return (
        (
            IdentifierKind.EMAIL,
            re.compile(r"[^ \n\x00@]{1,100}[ \n]?[*_~`]{0,4}@[*_~`]{0,4}[ \n]?[^ \n\x00]*\Z"),
        ),
        (
            IdentifierKind.PHONE,
            re.compile(
                rf"(?:(?:\+{_S}|(?<![0-9])0)[0-9]?{digits}{{3,}}|(?<![0-9])[1-9]{digits}{{6,}}){_S}\Z"
            ),
        ),
        (IdentifierKind.AHV, re.compile(rf"(?<![0-9])7{_S}5{_S}6{digits}{{2,}}{_S}\Z")),
        (IdentifierKind.CREDIT_CARD, re.compile(rf"(?<![0-9])[2-6]{digits}{{6,}}{_S}\Z")),
        (
            IdentifierKind.IBAN,
            re.compile(rf"[a-z]{_S}[a-z]{_S}[0-9]{_S}[0-9](?:{_S}[0-9a-z]){{4,}}{_S}\Z"),
        ),
        (
            IdentifierKind.IP,
            re.compile(
                r"(?:(?<![0-9])[0-9]{1,3}(?:[ *_~`]{0,3}\.[ *_~`]{0,3}[0-9]{1,3}){1,3}\.?"
                r"|(?<![0-9a-z])[23][0-9a-f]{3}(?::[0-9a-f]{0,4}){1,7})\Z"
            ),
        ),
    )


def open_candidates(
    tail: str, offset: int, kinds: Collection[IdentifierKind]
) -> list[tuple[int, IdentifierKind]]:
    """Where in the last characters of a reading, from ``offset`` on, what may be cut off begins."""
    found = []
    for kind, pattern in _patterns():
        if kind in kinds and (match := pattern.search(tail)) is not None:
            found.append((offset + match.start(), kind))
    return found
