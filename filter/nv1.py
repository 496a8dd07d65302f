"""The normaliser nv1: what a character is to the filter. The table is explained in ``docs/nv1.md``.

A character folds to a short string of letters and digits, separates, or is ignored. `read` turns a
text into its *reading*: folded letters, and between them separators, each shown as the ASCII
character that it stands for or as `OTHER`. Nothing else in this package folds, strips or lower-cases.
"""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import NamedTuple

OTHER = "¦"
"""Any separator that stands for nothing in ASCII."""
BREAK = "\x00"
"""No identifier reaches across it: the edge of a text, or a run of ignored characters."""
SEPARATORS = frozenset(chr(c) for c in range(0x80) if not chr(c).isalnum()) | {OTHER}
"""Every character of a reading that is no letter and no digit."""

_HANGUL = range(0xAC00, 0xD7A4)


class Table(dict[int, str]):
    """Code point -> what it reads as: folded letters, one separator, or nothing where ignored.

    Serves `str.translate`; what the file does not list separates.
    """

    def __init__(self, runs: tuple[tuple[int, int], ...]) -> None:
        super().__init__()
        self.runs = runs
        """First and last code points of runs that fold to themselves."""

    def __missing__(self, code: int) -> str:
        if code in _HANGUL:  # conjoining jamo: Unicode, section 3.12
            lead, rest = divmod(code - _HANGUL.start, 588)
            vowel, tail = divmod(rest, 28)
            syllable = chr(0x1100 + lead) + chr(0x1161 + vowel)
            found = syllable + chr(0x11A7 + tail) if tail else syllable
        elif any(first <= code <= last for first, last in self.runs):
            found = chr(code)
        else:
            found = OTHER
        self[code] = found
        return found


class Nv1(NamedTuple):
    """The file, read."""

    table: Table
    entities: dict[str, str]
    """HTML's named characters."""
    digest: str
    """SHA-256 of the file, in hexadecimal; every bundle names the one that it was made with."""


@cache
def nv1() -> Nv1:
    """The table, read at first use."""
    octets = (files("filter") / "data" / "nv1.txt").read_bytes()
    plain = {c: chr(c) for c in range(0x20, 0x7F) if chr(c) in SEPARATORS}
    plain[0x0A] = "\n"
    runs: list[tuple[int, int]] = []
    entities: dict[str, str] = {}
    for line in octets.decode("ascii").splitlines():
        where, _, what = line.partition(" ")
        if where == "#":
            continue
        name, _, value = what.partition(" ")
        if where == "entity":
            entities[name] = chr(int(value, 16))
            continue
        first, _, last = where.partition("..")
        span = int(first, 16), int(last or first, 16)
        if name == "keep":
            runs.append(span)
        elif name != "hangul":
            text = "".join(chr(int(code, 16)) for code in value.split())
            plain.update(dict.fromkeys(range(span[0], span[1] + 1), text))
    table = Table(tuple(runs))
    table.update(plain)
    return Nv1(table, entities, hashlib.sha256(octets).hexdigest())


def read(text: str) -> str:
    """The reading of a text: its characters folded, ignored ones left out, separators as ASCII."""
    return text.translate(nv1().table)


def letters(reading: str) -> str:
    """The letters and digits of a reading."""
    return "".join(c for c in reading if c not in SEPARATORS)


def fold(text: str) -> str:
    """The canonical letters and digits of a text, without what separates them."""
    return letters(read(text))
