"""Where phrases of a bundle may stand in a text: letters in, hits for the slow hash out.

Bulk and streams open candidates in different ways, many positions at once and one by one, and follow
each with the same `Candidate`; so they cannot disagree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter.fuse import Fuse
from filter.identifiers import IdentifierKind
from filter.nv1 import BREAK, OTHER
from filter.phrases import (
    ALPHABETIC,
    DENSE,
    DENSE_FROM,
    GRAM_LENGTH_BITS,
    GRAM_VALUE_BITS,
    KINDS,
    LONGEST,
    MASK,
    SPACELESS,
    WHOLE_VALUE_BITS,
    Anchor,
    Maps,
    PhraseKey,
    checkpoint,
    gram_length,
    is_spaceless,
    lengths_behind,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from filter.reading import U32

LONGEST_GAP = 12
"""Separators between two letters of one phrase at most."""


class Letters(NamedTuple):
    """The letters and digits of a reading, in parallel arrays."""

    codes: U32
    places: npt.NDArray[np.int64]
    """Where each stands in the reading."""
    touching: npt.NDArray[np.bool_]
    """No separator stands before it."""
    broken: npt.NDArray[np.bool_]
    """No phrase reaches it from before."""
    edges: npt.NDArray[np.bool_]
    """A word may begin with it."""
    addressed: npt.NDArray[np.bool_]
    """An @ or a slash is among the separators before it."""


class Hit(NamedTuple):
    """A phrase that only its slow hash can tell from a listed one."""

    first: int
    """Number of its first letter."""
    last: int
    kind: IdentifierKind
    anchor: Anchor
    code: int
    """What the upper 16 bits of the slow hash must be."""


def letters_of(reading: U32) -> Letters:
    """The letters of a reading; both ends of it are breaks."""
    # Small letters, digits, and whatever is beyond ASCII; differences wrap around.
    spells = reading - np.uint32(ord("a")) < 26
    spells |= reading - np.uint32(ord("0")) < 10
    spells |= (reading > 127) & (reading != ord(OTHER))
    places = np.flatnonzero(spells)
    codes = reading[spells]
    gaps = np.empty_like(places)
    gaps[:1] = places[:1] + 1
    np.subtract(places[1:], places[:-1], out=gaps[1:])
    touching = gaps == 1
    broken = gaps > LONGEST_GAP + 1
    broken[:1] = True
    breaks = np.flatnonzero(reading == ord(BREAK))
    behind = np.searchsorted(places, breaks)
    broken[behind[behind < len(places)]] = True
    touching &= ~broken
    addressed = np.zeros(len(codes), np.bool_)
    marks = np.flatnonzero((reading == ord("@")) | (reading == ord("/")))
    behind = np.searchsorted(places, marks)
    known = behind < len(places)
    marks, behind = marks[known], behind[known]
    # Not across a break: the next one must stand behind the letter.
    following = np.append(breaks, len(reading))[np.searchsorted(breaks, marks)]
    addressed[behind[following >= places[behind]]] = True
    edges = ~touching
    if len(codes) and codes.max() >= SPACELESS[0][0]:
        spaceless = np.zeros(len(codes), np.bool_)
        for first, last in SPACELESS:
            spaceless |= (codes >= first) & (codes <= last)
        edges |= spaceless
        edges[1:] |= spaceless[:-1]
    return Letters(codes, places, touching, broken, edges, addressed)


class Candidate:
    """One place where a phrase may have begun, letter by letter."""

    __slots__ = (
        "anchor",
        "first",
        "gram",
        "index",
        "last",
        "length",
        "one",
        "past_half",
        "possible",
        "two",
    )

    def __init__(self, index: PhraseIndex, anchor: Anchor, first: int, gram: int) -> None:
        self.index = index
        self.anchor = anchor
        self.first = first
        """Number of its first letter."""
        self.gram = gram
        self.one = self.two = self.length = 0
        self.possible: tuple[int, ...] = (gram,)
        """Lengths of phrases that the prefixes so far allow."""
        self.last = gram
        """The longest phrase that may still come of it."""
        self.past_half = False

    def push(self, code: int) -> int:
        """Take one letter; what *wholes* says of a whole phrase, -1 where there is none."""
        index = self.index
        key = index.key
        self.one = one = self.one * key.base1 + code & MASK
        self.two = two = self.two * key.base2 + code & MASK
        self.length = length = self.length + 1
        if length < self.gram:
            return -1
        x = one + length * key.length + self.anchor * key.anchor & MASK
        found = -1
        if length in self.possible:
            found = index.wholes.get(x, two)
            if found >> WHOLE_VALUE_BITS:
                found = -1
        behind = lengths_behind(self.gram)[length] if length <= self.last else ()
        if behind and not index.halves.get(x, two):
            self.possible += behind
            self.past_half = True
        return found

    def is_open(self) -> bool:
        """Whether a listed phrase may still become whole with the letters that follow."""
        length = self.length
        return length < self.last and (
            length < checkpoint(self.last, self.gram) or self.possible[-1] > length
        )


class PhraseIndex:
    """The maps of a bundle, ready to be asked."""

    def __init__(self, key: PhraseKey, maps: Maps, anchors: frozenset[Anchor]) -> None:
        self.key = key
        self.sieve = maps.sieve
        self.sieve_shift = 32 - (8 * len(maps.sieve)).bit_length() + 1
        """What is left of an opening's key when shifted so is its bit in the sieve."""
        self.grams = Fuse(maps.parameters[0], maps.grams)
        self.halves = Fuse(maps.parameters[1], maps.halves)
        self.wholes = Fuse(maps.parameters[2], maps.wholes)
        self.anchors = anchors
        self.mask = sum(1 << anchor for anchor in anchors)
        """The anchors that occur, as bits; nothing is looked up for the others."""

    def candidate(self, anchor: Anchor, first: int, codes: list[int], value: int) -> Candidate:
        """A candidate that was opened by these letters, all but the last taken.

        ``value`` is what *grams* says of them.
        """
        candidate = Candidate(self, anchor, first, len(codes))
        candidate.last = 4 * ((value & (1 << GRAM_LENGTH_BITS) - 1) + 1)
        for code in codes[:-1]:
            candidate.push(code)
        return candidate

    def scan(self, letters: Letters) -> list[Hit]:
        """Every phrase in the text that the maps let through, in no order."""
        starts = letters.edges.astype(np.uint8)
        starts |= letters.addressed.astype(np.uint8) << np.uint8(1)
        starts |= np.uint8(1 << Anchor.NOWHERE)
        starts &= np.uint8(self.mask)
        found: list[Hit] = []
        for gram in (ALPHABETIC, DENSE):
            opened = [
                (start, value, anchor)
                for start, value in self._openings(letters.codes, starts, gram)
                for anchor in Anchor
                if value >> GRAM_LENGTH_BITS & int(starts[start]) & 1 << anchor
            ]
            for at in self._promising(letters, gram, opened):
                start, value, anchor = opened[at]
                found += self._follow(letters, anchor, start, gram, value)
        return found

    def _promising(
        self, letters: Letters, gram: int, opened: list[tuple[int, int, Anchor]]
    ) -> list[int]:
        """Which candidates reach a checkpoint, or are whole at once; all together, not in turn."""
        if len(opened) < 16:
            return list(range(len(opened)))
        key = self.key
        table = np.array(opened, np.int64)
        lengths = (table[:, 1] & (1 << GRAM_LENGTH_BITS) - 1) * 4 + 4
        until = np.array([checkpoint(n, gram) for n in range(LONGEST + 1)])[lengths]
        extra = (table[:, 2] * key.anchor).astype(np.uint32)
        active = np.arange(len(opened))
        one = np.zeros(len(opened), np.uint32)
        two = np.zeros(len(opened), np.uint32)
        promising: list[int] = []
        for length in range(1, LONGEST + 1):
            place = table[active, 0] + length - 1
            alive = place < len(letters.codes)
            if length > 1:
                alive[alive] &= ~letters.broken[place[alive]]
            active, place = active[alive], place[alive]
            if not len(active):
                break
            codes = letters.codes[place]
            one[active] = one[active] * np.uint32(key.base1) + codes
            two[active] = two[active] * np.uint32(key.base2) + codes
            if length < gram:
                continue
            x = one[active] + extra[active] + np.uint32(length * key.length & MASK)
            hit = np.zeros(len(active), np.bool_)
            if lengths_behind(gram)[length]:
                hit |= self.halves.get_array(x, two[active]) == 0
            if length == gram:
                hit |= self.wholes.get_array(x, two[active]) >> WHOLE_VALUE_BITS == 0
            promising += active[hit].tolist()
            active = active[~hit & (until[active] > length)]
        return promising

    def _openings(
        self, codes: U32, starts: npt.NDArray[np.uint8], gram: int
    ) -> Iterator[tuple[int, int]]:
        """First letter and value in *grams* of the candidates of one gram length."""
        size = len(codes) - gram + 1
        if size <= 0 or (gram == DENSE and codes.max() < DENSE_FROM):
            return
        base = np.uint32(self.key.base1)
        cube = np.uint32(self.key.base1**3 & MASK)
        shift = np.uint32(self.sieve_shift)
        everywhere = self.mask >> Anchor.NOWHERE & 1 and gram == ALPHABETIC
        step = 1 << 15
        for low in range(0, size, step):
            high = min(size, low + step)
            if everywhere:
                # Three letters, then six, so that each is multiplied twice and not five times.
                x = codes[low : high + gram - 1] * base
                x[:-1] += codes[low + 1 : high + gram - 1]
                x = x[:-2] * base
                x += codes[low + 2 : high + gram - 1]
                x = x[: high - low] * cube + x[3:]
            else:
                wanted = starts[low:high] != 0
                if gram == DENSE:
                    wanted &= codes[low:high] >= DENSE_FROM
                places = np.flatnonzero(wanted) + low
                x = codes[places]
                for offset in range(1, gram):
                    x *= base
                    x += codes[places + offset]
            bits = x >> shift
            passed = np.flatnonzero(self.sieve[bits >> np.uint32(3)] >> (bits & np.uint32(7)) & 1)
            if not len(passed):
                continue
            x = x[passed]
            values = self.grams.get_array(x, x)
            for at in np.flatnonzero(values < 1 << GRAM_VALUE_BITS).tolist():
                place = int(passed[at])
                start = low + place if everywhere else int(places[place])
                if gram_length(int(codes[start])) == gram:
                    yield start, int(values[at])

    def _follow(
        self, letters: Letters, anchor: Anchor, start: int, gram: int, value: int
    ) -> Iterator[Hit]:
        if anchor is Anchor.NOWHERE and cuts_number(letters, start):
            return
        end = min(len(letters.codes), start + LONGEST)
        broken = np.flatnonzero(letters.broken[start + 1 : end])
        if len(broken):
            end = start + 1 + int(broken[0])
        codes = letters.codes[start:end].tolist()
        if len(codes) < gram:
            return
        candidate = self.candidate(anchor, start, codes[:gram], value)
        for last in range(start + gram - 1, end):
            whole = candidate.push(codes[last - start])
            if whole >= 0 and ends(letters, anchor, last):
                yield self.hit(candidate, last, whole)
            if not candidate.is_open():
                break

    def hit(self, candidate: Candidate, last: int, value: int) -> Hit:
        """A whole phrase of a candidate, up to the letter ``last``."""
        kinds = KINDS[candidate.anchor]
        kind = kinds[min(value >> 16, len(kinds) - 1)]
        return Hit(candidate.first, last, kind, candidate.anchor, value & 0xFFFF)


def cuts_number(letters: Letters, start: int) -> bool:
    """Whether the letter before ``start`` is a digit of the same number."""
    return (
        start > 0
        and bool(letters.touching[start])
        and may_not_touch(Anchor.NOWHERE, int(letters.codes[start - 1]), int(letters.codes[start]))
    )


def ends(letters: Letters, anchor: Anchor, last: int) -> bool:
    """Whether a phrase may end with the letter ``last``."""
    after = last + 1
    if after == len(letters.codes) or not letters.touching[after]:
        return True
    return not may_not_touch(anchor, int(letters.codes[last]), int(letters.codes[after]))


def may_not_touch(anchor: Anchor, last: int, after: int) -> bool:
    """Whether a phrase that ends with ``last`` is none where ``after`` follows directly."""
    if 0x11A8 <= after <= 0x11FF:
        return True  # the consonant belongs to the syllable
    if anchor is Anchor.WORDS:
        return not (is_spaceless(last) or is_spaceless(after))
    return chr(last).isdigit() and chr(after).isdigit()
