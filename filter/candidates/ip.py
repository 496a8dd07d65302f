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
            rf"(?<![0-9])(?<![0-9a-f]:)(?<!::)(?=([23]{_S}[0-9a-f](?:{_S}[0-9a-f]){{2}}"
            rf"(?:{_S}:{_S}(?:{group})?){{1,8}}))"
        ),
    )


def find(island: str, offset: int) -> Iterator[Candidate]:
    """Every reading of every public address of an island."""
    for pattern in _patterns():
        for match in pattern.finditer(island):
            first, end = match.span(1)
            for written in _cuts(match[1], island[end : end + 1]):
                try:
                    value = ip.canonicalize(re.sub(r"[^0-9a-f.:]", "", written))
                except InputError:
                    continue
                last = offset + first + len(written) - 1
                yield Candidate(offset + first, last, IdentifierKind.IP, value)


def _cuts(written: str, after: str) -> Iterator[str]:
    """What was matched, and without what may be the next word: be, 12, the f of "for"."""
    yield written
    for _ in range(6):
        spaced = re.match(r"(.*[0-9a-f:])[ \n]+[0-9a-f]{1,4}\Z", written, re.DOTALL)
        if spaced is not None:
            written = spaced[1]
        elif written.endswith(":") or (written[-1:] in "abcdef" and after.isalpha()):
            written = written[:-1]
        else:
            return
        yield written
