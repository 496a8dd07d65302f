"""From a text to its reading, every character of which knows where it stands in the text.

Before nv1 stands a bounded decoder: HTML's character references, percent-encoded UTF-8 (RFC 3986,
section 2.1), and ``(at)`` and ``[dot]`` in brackets. It reads each once, never what it made itself.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter.nv1 import BREAK, OTHER, nv1

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    U32 = npt.NDArray[np.uint32]
    Offsets = npt.NDArray[np.int64]

IGNORED_RUN = 16
"""Ignored characters in a row that hide nothing; one more is a break."""

_IGNORED = 0xFFFFFFFF
_LONGER = 0xFFFFFFFE
"""In the array: folds to several characters."""

_AT = "at|arroba|arobase|chiocciola"
_DOT = "dot|punkt|point|punto"
_T = "%[89ABab][0-9A-Fa-f]"
"""A continuation octet of UTF-8."""
_UTF8 = (
    "(?:[0-7][0-9A-Fa-f]"
    f"|(?:[Cc][2-9A-Fa-f]|[Dd][0-9A-Fa-f]){_T}"
    f"|(?:[Ee]0%[ABab][0-9A-Fa-f]|[Ee][1-9A-Ca-cEeFf]{_T}|[Ee][Dd]%[89][0-9A-Fa-f]){_T}"
    f"|(?:[Ff]0%[9ABab][0-9A-Fa-f]|[Ff][1-3]{_T}|[Ff]4%8[0-9A-Fa-f]){_T}{_T})"
)

ENCODED_MARKS = "&%([{"
"""A text without one of these decodes to itself."""
LONGEST_ENCODED = 20
"""Code points that one decoded character takes at most."""


class Decoded(NamedTuple):
    """A text with its encodings read; without offsets where it had none."""

    text: str
    starts: Offsets | None
    ends: Offsets | None


class Reading(NamedTuple):
    """The reading of a text as an array, and where each of its characters stands."""

    codes: U32
    starts: Offsets | None
    """Offsets into the text, in code points; `None` where character i is code point i."""
    ends: Offsets | None
    """`None` where a character ends one code point behind its start."""

    def text(self) -> str:
        """The reading as a string."""
        return self.codes.astype("<u4").tobytes().decode("utf-32-le")

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where characters ``first`` to ``last`` (included) stand in the text: start and end."""
        if self.starts is None:
            return first, last + 1
        end = int(self.starts[last]) + 1 if self.ends is None else int(self.ends[last])
        return int(self.starts[first]), end


@cache
def encoded() -> re.Pattern[str]:
    """What the decoder reads as one character."""
    word = rf" {{0,2}}(?ai:{_AT}|{_DOT}) {{0,2}}[)\]}}]"
    # Every alternative begins with a character of its own, so that the engine leaps to these.
    return re.compile(
        r"&(?:#(?P<dec>[0-9]{1,7})|#[xX](?P<hex>[0-9A-Fa-f]{1,6})|(?P<name>[A-Za-z][A-Za-z0-9]{1,7}));"
        rf"|%(?P<utf8>{_UTF8})|\({word}|\[{word}|\{{{word}"
    )


@cache
def unfinished() -> re.Pattern[str]:
    """At the end of a text: what might still become an encoded character."""
    return re.compile(
        r"(?:&(?:#?[0-9]{0,7}|#[xX][0-9A-Fa-f]{0,6}|[A-Za-z][A-Za-z0-9]{0,7})"
        r"|%[0-9A-Fa-f]?|%[C-Fc-f][0-9A-Fa-f](?:%[0-9A-Fa-f]{0,2}){0,3}"
        r"|[(\[{] {0,2}[A-Za-z]{0,10} {0,2})\Z"
    )


def decoded_character(match: re.Match[str]) -> str | None:
    """What one match of `encoded` stands for; `None` where it stands for itself."""
    if match["utf8"]:
        return bytes.fromhex(match["utf8"].replace("%", "")).decode()
    if match["name"]:
        return nv1().entities.get(match["name"])
    if match["dec"] or match["hex"]:
        code = int(match["dec"] or match["hex"], 10 if match["dec"] else 16)
        return chr(code) if code < 0x110000 and not 0xD800 <= code < 0xE000 else None
    return "@" if match[0][1:-1].strip().lower() in _AT.split("|") else "."


def decode(text: str) -> Decoded:
    """Read the encodings of a text, from left to right, each once."""
    parts: list[str] = []
    lengths: list[int] = []
    widths: list[int] = []
    done = 0
    pattern = encoded()
    for at in sorted(_marks(text)):
        if at < done or (match := pattern.match(text, at)) is None:
            continue
        char = decoded_character(match)
        if char is not None:
            parts += (text[done : match.start()], char)
            lengths += (match.start() - done, 1)
            widths += (1, match.end() - match.start())
            done = match.end()
    if not parts:
        return Decoded(text, None, None)
    parts.append(text[done:])
    lengths.append(len(text) - done)
    widths.append(1)
    ends = np.cumsum(np.repeat(np.array(widths, np.int64), lengths))
    return Decoded("".join(parts), np.concatenate(([0], ends[:-1])), ends)


def _marks(text: str) -> Iterator[int]:
    """Where an encoded character may begin."""
    for mark in ENCODED_MARKS:
        at = text.find(mark)
        while at >= 0:
            yield at
            at = text.find(mark, at + 1)


class _Arrays(NamedTuple):
    single: U32
    """Code point -> the one character that it reads as, `_IGNORED` or `_LONGER`."""
    longer: U32
    """The code points that fold to several characters, ascending."""
    offsets: Offsets
    """Where the characters of each begin in ``folded``; one more at the end."""
    folded: U32


@cache
def _arrays() -> _Arrays:
    table = nv1().table
    single = np.full(0x110000, ord(OTHER), np.uint32)
    for first, last in table.runs:
        single[first : last + 1] = np.arange(first, last + 1, dtype=np.uint32)
    for code, text in table.items():
        single[code] = ord(text) if len(text) == 1 else _LONGER if text else _IGNORED
    single[0xAC00:0xD7A4] = _LONGER  # Hangul's syllables
    longer = np.flatnonzero(single == _LONGER)
    texts = [table[code] for code in longer.tolist()]
    offsets = np.cumsum([0, *map(len, texts)])
    folded = np.frombuffer("".join(texts).encode("utf-32-le"), "<u4")
    return _Arrays(single, longer.astype(np.uint32), offsets, folded)


def read(text: str) -> Reading:
    """The reading of a text; the spans of one character that folds to several are the same."""
    return read_all([text])[0]


def read_all(texts: Sequence[str]) -> list[Reading]:
    """The readings of many texts, most of the work done once for all of them."""
    decoded = [decode(text) for text in texts]
    joined = "".join([one.text for one in decoded])
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), "<u4")
    found = np.take(_arrays().single, codes.astype(np.intp), mode="clip")
    special = np.flatnonzero(found >= _LONGER)
    ends = np.cumsum([len(one.text) for one in decoded])
    bounds = np.searchsorted(special, ends).tolist()
    readings: list[Reading] = []
    begin = known = 0
    for one, end, until in zip(decoded, ends.tolist(), bounds, strict=True):
        if known == until:
            readings.append(Reading(found[begin:end], one.starts, one.ends))
        else:
            places = special[known:until] - begin
            readings.append(_folded(codes[begin:end], found[begin:end], places, one))
        begin, known = end, until
    return readings


def _folded(codes: U32, found: U32, special: Offsets, decoded: Decoded) -> Reading:
    """The reading of a text some characters of which, the ``special``, do not read as one."""
    ignored = found[special] == _IGNORED
    if len(special) > IGNORED_RUN:
        _break_ignored_runs(found, special[ignored])
    if ignored.all():
        sources = np.flatnonzero(found != _IGNORED)
        return _placed(found.take(sources), sources, decoded)
    longer = special[~ignored]
    arrays = _arrays()
    which = np.searchsorted(arrays.longer, codes[longer])
    lengths = np.diff(arrays.offsets)[which]
    width = (found != _IGNORED).astype(np.int64)
    width[longer] = lengths
    sources = np.repeat(np.arange(len(codes)), width)
    read_as = found.take(sources)
    # Each run of characters that one folds to: the first of them, and the others behind it.
    behind = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first = np.searchsorted(sources, longer)
    read_as[np.repeat(first, lengths) + behind] = arrays.folded[
        np.repeat(arrays.offsets[which], lengths) + behind
    ]
    return _placed(read_as, sources, decoded)


def _placed(codes: U32, sources: Offsets, decoded: Decoded) -> Reading:
    """A reading whose characters come from these places of the decoded text."""
    if decoded.starts is None or decoded.ends is None:
        return Reading(codes, sources, None)
    return Reading(codes, decoded.starts[sources], decoded.ends[sources])


def _break_ignored_runs(found: U32, places: Offsets) -> None:
    """Read every 17th ignored character in a row as a break."""
    if len(places) <= IGNORED_RUN:
        return
    begins = np.concatenate(([True], np.diff(places) > 1))
    starts = places[begins][np.cumsum(begins) - 1]
    found[places[(places - starts + 1) % (IGNORED_RUN + 1) == 0]] = ord(BREAK)
