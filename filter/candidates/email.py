"""E-mail addresses, also spelt out, broken, emphasised, or touching the words around them.

Around every ``@`` stand letters, digits and what separates them. What separates is not compared, so
that it only matters where the address begins and ends. Where that is uncertain there are several
readings; each costs a slow hash, and each is counted in the share of strangers that are hit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from filter.candidates.domains import LONGEST as LONGEST_TOP
from filter.candidates.domains import TOP_LEVEL
from filter.candidates.islands import PAIRS
from filter.candidates.model import LONGEST_GAP, Candidate, Glyphs
from filter.canonical import LONGEST_DOMAIN
from filter.identifiers import IdentifierKind
from filter.nv1 import fold
from filter.phrases import is_spaceless

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOFT = frozenset(".-_+*~`'^%$&\\")
"""May stand within an address, or hide in it."""
_DEFANGED = frozenset({"[.]", "(.)", "{.}"})
"""A dot that was made harmless."""
_USUAL = frozenset({"", ".", "_", "-", "+", "'", "\\_", "\\."})
"""What stands within a local part; anything else may part it from a word before it."""
_LOCAL = 64
"""Letters and digits of a local part at most (RFC 5321, section 4.5.3.1.1, in octets)."""
_GLUED = range(2, 15)
"""Letters of a touching word. One letter is an initial more often than a word (j + mueller)."""
_LEAST = 6
"""Letters and digits of a local part behind a touching word at least: a shorter one is the end of
somebody else's too often (joh + anna)."""
_MOST = 40
"""Readings of one ``@`` at most."""


def find(text: Glyphs, island: str, offset: int) -> Iterator[Candidate]:
    """Every reading of every address of an island."""
    behind = 0
    at = island.find("@")
    while at >= 0:
        while behind < len(text.places) and text.places[behind] < offset + at:
            behind += 1
        readings = 0
        for end, domain in _ends(text, behind):
            for start in _starts(text, behind):
                readings += 1
                if readings > _MOST:
                    break
                value = f"{text.text[start:behind]}@{domain}"
                yield Candidate(text.places[start], text.places[end], IdentifierKind.EMAIL, value)
        at = island.find("@", at + 1)


def _crossable(gap: str) -> bool:
    if gap in _DEFANGED:
        return True
    # A backslash before a letter begins an escape: \\n, \\t.
    return len(gap) <= LONGEST_GAP and not gap.endswith("\\") and all(c in _SOFT for c in gap)


def _changes_script(text: Glyphs, at: int) -> bool:
    """Whether a script without spaces ends or begins before a glyph."""
    return is_spaceless(ord(text.text[at - 1])) != is_spaceless(ord(text.text[at]))


def _starts(text: Glyphs, behind: int) -> list[int]:
    """Where the local part before the glyph ``behind`` may begin, the nearest edge first."""
    last = behind - 1
    if last < 0 or len(text.gaps[behind] if behind < len(text.gaps) else "") > LONGEST_GAP:
        return []
    starts: list[int] = []
    edge = None
    first = last
    floor = max(0, behind - _LOCAL)
    while True:
        while first > floor and _crossable(text.gaps[first]):
            if _changes_script(text, first):
                floor = first
                break
            if text.gaps[first] not in _USUAL and behind - first >= _LEAST and len(starts) < 3:
                starts.append(first)
            first -= 1
        gap = text.gaps[first]
        spelt = first > 0 and bool(gap) and _is_spelt(text, first)
        if not spelt:
            starts.append(first)
            edge = first if edge is None else edge
        # Over white space that an island joined: a line break, or letters spelt one by one.
        if first <= floor or len(starts) > 2 or not _is_space(gap):
            break
        first -= 1
    if first not in starts:
        starts.append(first)
    if first + 1 < last and text.gaps[first + 1] and _is_space(text.gaps[first + 1]):
        starts.append(first + 1)  # a word of one letter stood before it
    if text.gaps[first].endswith("\\") and text.text[first] in "ntr" and first + 1 < behind:
        starts.append(first + 1)
    starts += [s for s in _glued(text, first if edge is None else edge, behind) if s not in starts]
    return list(dict.fromkeys(starts))


def _is_space(gap: str) -> bool:
    """Whether white space stands there, and nothing else that matters."""
    return (
        len(gap) <= LONGEST_GAP
        and (" " in gap or "\n" in gap)
        and all(c in " \n" or c in _SOFT for c in gap)
    )


def _is_spelt(text: Glyphs, after: int) -> bool:
    """Whether the glyphs on both sides of the gap before ``after`` stand alone: j a n e."""
    before, beyond = after - 1, after + 1
    if not text.gaps[before] and PAIRS.fullmatch(text.text, max(0, after - 2), after):
        before -= 1
    if PAIRS.match(text.text, after) and beyond < len(text.gaps) and not text.gaps[beyond]:
        beyond += 1
    return bool(text.gaps[before] or before == 0) and (
        beyond >= len(text.gaps) or bool(text.gaps[beyond])
    )


def _glued(text: Glyphs, start: int, behind: int) -> Iterator[int]:
    """Where an address may begin behind a word, or a number, that touches it."""
    digits = text.text[start].isdigit()
    for at in range(start + 1, behind - 1):
        if text.gaps[at]:
            return
        char, before = text.text[at], text.text[at - 1]
        if is_spaceless(ord(before)) and not is_spaceless(ord(char)):
            yield at
            return
        if digits:
            if not char.isdigit():
                yield at
                return
        elif char.isdigit():
            return
        elif behind - at >= _LEAST and at - start in _GLUED:
            yield at


def _ends(text: Glyphs, behind: int) -> Iterator[tuple[int, str]]:
    """Last glyph and folded domain of every way to end the address, the longest first."""
    if behind >= len(text.text) or len(text.gaps[behind]) > LONGEST_GAP:
        return
    seen = set()
    for number, edge in enumerate(_edges(text, behind)):
        for last in _label_ends(text, behind, edge, crossed=number > 0):
            domain = _domain(text, behind, last)
            if domain not in seen:
                seen.add(domain)
                yield last - 1, domain


def _edges(text: Glyphs, behind: int) -> list[int]:
    """Behind which glyphs a domain may end that begins with the glyph ``behind``."""
    size = len(text.text)
    stop = min(size, behind + LONGEST_DOMAIN)
    end = behind + 1
    stops: list[int] = []
    while True:
        while end < stop and _crossable(text.gaps[end]):
            if is_spaceless(ord(text.text[end])) and text.text[end - 1].isascii():
                stops.append(end)
            end += 1
        if end < stop and _is_space(text.gaps[end]):
            if not _is_spelt(text, end):
                stops.append(end)
            if len(stops) > 3:
                break
            end += 1
            continue
        break
    if end not in stops:
        stops.append(end)
        if end - behind > 4 and "." not in text.gaps[end - 1] and _is_space(text.gaps[end - 1]):
            stops.append(end - 1)  # a word of one letter stands behind it
    return stops


def _label_ends(text: Glyphs, behind: int, edge: int, *, crossed: bool) -> Iterator[int]:
    """Where a domain may end that reaches to ``edge``: there, or behind a last label inside."""
    label = edge - 1
    while label > behind and "." not in text.gaps[label]:
        label -= 1
    if label == behind:
        if crossed and edge - behind > 4 and all(text.gaps[behind + 1 : edge]):
            yield edge  # spelt out
        return
    name = text.text[label:edge]
    known = name in TOP_LEVEL
    spelt = all(text.gaps[behind + 1 : edge])
    if known or spelt or not crossed:
        yield edge
    if known and len(name) < 4:
        return
    shorter = (n for n in range(min(len(name) - 1, LONGEST_TOP), 1, -1) if name[:n] in TOP_LEVEL)
    yield from (label + n for n in list(shorter)[:3])
    if not known:
        # A sentence follows without a space: example.org.Please
        inner = label - 1
        while inner > behind and "." not in text.gaps[inner]:
            inner -= 1
        if inner > behind and text.text[inner:label] in TOP_LEVEL:
            yield label


def _domain(text: Glyphs, behind: int, end: int) -> str:
    """The folded domain of some glyphs, internationalised labels read as Unicode."""
    plain = text.text[behind:end]
    if "xn" not in plain:
        return plain
    labels: list[str] = [""]
    for at in range(behind, end):
        gap = text.gaps[at] if at > behind else ""
        if "." in gap:
            labels.append("")
        elif gap and set(gap) == {"-"}:
            labels[-1] += gap
        labels[-1] += text.text[at]
    return "".join(map(_unicode, labels))


def _unicode(label: str) -> str:
    if label.startswith("xn--"):
        try:
            return fold(label[4:].encode("ascii").decode("punycode"))
        except (UnicodeError, OverflowError):
            pass
    return label.replace("-", "")
