"""IP addresses, their digits and delimiters possibly set apart."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from filter.candidates.model import Candidate
from filter.errors import InputError
from filter.identifiers import IdentifierKind
from filter.recognisers import ip

if TYPE_CHECKING:
    from collections.abc import Iterator

_S = r"[ \n*_~`]{0,3}"


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    octet = f"[0-9](?:{_S}[0-9]){{0,2}}"
    group = f"[0-9a-f](?:{_S}[0-9a-f]){{0,3}}"
    return (
        re.compile(rf"(?<![0-9])(?=({octet}(?:{_S}\.{_S}{octet}){{3}})(?![0-9]))"),
        re.compile(
            rf"(?<![0-9a-z:])(?=([23]{_S}[0-9a-f](?:{_S}[0-9a-f]){{2}}"
            rf"(?:{_S}:{_S}(?:{group})?){{1,7}})(?![0-9a-z:]))"
        ),
    )


def find(island: str, offset: int) -> Iterator[Candidate]:
    """Every reading of every public address of an island."""
    for pattern in _patterns():
        for match in pattern.finditer(island):
            first, end = match.span(1)
            written = match[1]
            # A last group after white space may be the next word: be, 12, ...
            while True:
                try:
                    value = ip.canonicalize(re.sub(r"[^0-9a-f.:]", "", written))
                except InputError:
                    value = ""
                if value:
                    yield Candidate(offset + first, offset + end - 1, IdentifierKind.IP, value)
                shorter = re.match(r"(.*[0-9a-f:])[ \n]+[0-9a-f]{1,4}\Z", written, re.DOTALL)
                if shorter is None:
                    break
                written = shorter[1]
                end = first + len(written)
