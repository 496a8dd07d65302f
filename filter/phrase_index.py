"""Where phrases of a bundle may stand in a text: letters in, hits for the slow hash out.

A stream opens and follows its candidates one by one (`Candidate`), `PhraseIndex.scan` those of a whole
batch at once. Property tests hold the two equal.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from filter.fuse import Fuse
from filter.identifiers import IdentifierKind
from filter.nv1 import BREAK, OTHER
from filter.phrases import (
    ALPHABETIC,
    DENSE,
    DENSE_FROM,
    DENSE_RANGES,
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
    is_spaceless,
    lengths_behind,
)

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    import numpy.typing as npt

    from filter.reading import U32

    Numbers = npt.NDArray[np.int64]

LONGEST_GAP = 12
"""Separators between two letters of one phrase at most."""
_STEP = 1 << 15
"""Places looked at in one go, so that what is made of them stays in a processor's cache."""
_FEW = 16
"""Candidates that are followed one by one, since sorting them out would take longer."""


class Letters(NamedTuple):
    """The letters and digits of a reading, numbered from zero."""

    codes: U32
    places: Numbers
    """Where each stands in the reading."""
    breaks: Numbers
    """Letters that no phrase reaches from before, ascending."""
    addressed: Numbers
    """Letters with an @ or a slash among the separators before them, ascending."""

    def touches(self, at: int) -> bool:
        """Whether no separator stands before a letter."""
        return at > 0 and bool(self.places[at] - self.places[at - 1] == 1)

    def is_edge(self, at: Numbers) -> npt.NDArray[np.bool_]:
        """Whether a word may begin with each of these letters."""
        before = np.maximum(at - 1, 0)
        found: npt.NDArray[np.bool_] = (self.places[at] - self.places[before] != 1) | (at == 0)
        found |= _within(self.codes[at], SPACELESS) | _within(self.codes[before], SPACELESS)
        return found

    def ends_of_chains(self, at: Numbers) -> Numbers:
        """For each letter the first behind it that no phrase reaches from it."""
        ends = np.append(self.breaks, len(self.codes))
        found: Numbers = ends[np.searchsorted(self.breaks, at, "right")]
        return found


class Openings(NamedTuple):
    """Candidates for phrases, in parallel arrays."""

    starts: Numbers
    """Number of the first letter."""
    values: npt.NDArray[np.uint16]
    """What *grams* says of the opening."""
    anchors: Numbers


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
    far = np.flatnonzero(places[1:] - places[:-1] > LONGEST_GAP + 1) + 1
    broken = np.flatnonzero(reading == ord(BREAK))
    behind = np.searchsorted(places, broken)
    breaks = np.unique(np.concatenate(([0], far, behind)))
    marks = np.flatnonzero((reading == ord("@")) | (reading == ord("/")))
    addressed = np.searchsorted(places, marks)
    # Not across a break: the next one must stand behind the letter.
    following = np.append(broken, len(reading))[np.searchsorted(broken, marks)]
    known = addressed < len(places)
    known[known] = following[known] >= places[addressed[known]]
    return Letters(
        reading.take(places),
        places,
        breaks[breaks < len(places)],
        np.unique(addressed[known]),
    )


def _prefix_sums(codes: U32, length: Numbers, base: int) -> U32:
    """The polynomials of prefixes: of each letter and those before it since ``length`` was one.

    Horner's rule is a running sum of the letters times powers of the inverse: an odd base has one.
    """
    inverse = pow(base, -1, MASK + 1)
    down, up = _powers(inverse), _powers(base)
    running = np.cumsum(codes * down.take(length - 1), dtype=np.uint32)
    begins = np.flatnonzero(length == 1)
    before = np.append(np.zeros(1, np.uint32), running)[begins]
    running -= np.repeat(before, np.diff(begins, append=len(codes)))
    running *= up.take(length - 1)
    return running


@cache
def _powers(base: int) -> U32:
    """The first powers of a base, modulo 2^32."""
    return np.array([pow(base, n, MASK + 1) for n in range(LONGEST)], np.uint32)


@cache
def _checkpoints(gram: int) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """For each length its checkpoint, and whether a length is one."""
    found = np.array([checkpoint(n, gram) if n > gram else 1 for n in range(LONGEST + 1)])
    return found, np.array([bool(behind) for behind in lengths_behind(gram)])


def _within(codes: U32, ranges: tuple[tuple[int, int], ...]) -> npt.NDArray[np.bool_]:
    """Which code points lie in one of some ranges, ends included."""
    found = np.zeros(len(codes), np.bool_)
    for first, last in ranges:
        found |= (codes >= first) & (codes <= last)
    return found


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

    def scan(self, letters: Letters, anchors: Container[Anchor] = frozenset(Anchor)) -> list[Hit]:
        """Every phrase of these anchors that the maps let through, in no order."""
        mask = sum(1 << anchor for anchor in self.anchors if anchor in anchors)
        found: list[Hit] = []
        for gram in (ALPHABETIC, DENSE):
            opened = self._openings(letters, mask, gram)
            follow = self._followed if len(opened.starts) < _FEW else self._followed_together
            found += follow(letters, gram, opened)
        return found

    def _openings(self, letters: Letters, mask: int, gram: int) -> Openings:
        """The candidates of one gram length and of the anchors in ``mask``."""
        starts, values = self._opened(letters, gram)
        allowed = np.full(len(starts), 1 << Anchor.NOWHERE)
        allowed |= letters.is_edge(starts).astype(np.int64) << Anchor.WORDS
        known = np.searchsorted(letters.addressed, starts)
        addressed = np.append(letters.addressed, -1)[known] == starts
        allowed |= addressed.astype(np.int64) << Anchor.ADDRESSED
        allowed &= values >> np.uint16(GRAM_LENGTH_BITS)
        allowed &= mask
        each = [np.flatnonzero(allowed >> anchor & 1) for anchor in Anchor]
        which = np.concatenate(each)
        anchors = np.repeat(np.array(Anchor), list(map(len, each)))
        return Openings(starts[which], values[which], anchors)

    def _opened(self, letters: Letters, gram: int) -> tuple[Numbers, npt.NDArray[np.uint16]]:
        """Where letters open something in *grams*, and what it says of them."""
        codes = letters.codes
        size = len(codes) - gram + 1
        found = [(np.zeros(0, np.int64), np.zeros(0, np.uint16))]
        if gram == ALPHABETIC:
            for low in range(0, size, _STEP):
                x = self._keys(codes[low : low + _STEP + gram - 1])
                places, values = self._known(x)
                found.append((places + low, values))
        elif size > 0 and codes.max() >= DENSE_FROM:
            starts = np.flatnonzero(codes[:size] >= DENSE_FROM)
            x = np.zeros(len(starts), np.uint32)
            for offset in range(gram):
                x *= np.uint32(self.key.base1)
                x += codes.take(starts + offset)
            places, values = self._known(x)
            found.append((starts[places], values))
        places, values = map(np.concatenate, zip(*found, strict=True))
        right = _within(codes.take(places), DENSE_RANGES) == (gram == DENSE)
        return places[right], values[right]

    def _keys(self, codes: U32) -> U32:
        """The key in *grams* of the six letters from each on."""
        base = np.uint32(self.key.base1)
        # Three letters, then six, so that each is multiplied twice and not five times.
        x = codes[:-1] * base
        x += codes[1:]
        x = x[:-1] * base
        x += codes[2:]
        six = x[:-3] * np.uint32(self.key.base1**3 & MASK)
        six += x[3:]
        return six

    def _known(self, x: U32) -> tuple[Numbers, npt.NDArray[np.uint16]]:
        """Which of some keys are in *grams*, and their values."""
        bits = x >> np.uint32(self.sieve_shift)
        octets = self.sieve.take((bits >> np.uint32(3)).astype(np.intp), mode="clip")
        octets >>= (bits & np.uint32(7)).astype(np.uint8)
        octets &= np.uint8(1)
        passed = np.flatnonzero(octets.view(np.bool_))
        x = x.take(passed)
        values = self.grams.get_array(x, x)
        known = np.flatnonzero(values < 1 << GRAM_VALUE_BITS)
        return passed.take(known), values.take(known)

    def _followed(self, letters: Letters, gram: int, opened: Openings) -> Iterator[Hit]:
        """What becomes of some candidates, one after the other."""
        ends = letters.ends_of_chains(opened.starts)
        for start, end, value, number in zip(
            opened.starts.tolist(),
            ends.tolist(),
            opened.values.tolist(),
            opened.anchors.tolist(),
            strict=True,
        ):
            codes = letters.codes[start : min(end, start + LONGEST)].tolist()
            if len(codes) < gram:
                continue
            candidate = self.candidate(Anchor(number), start, codes[:gram], value)
            for last, code in enumerate(codes[gram - 1 :], start + gram - 1):
                whole = candidate.push(code)
                if whole >= 0 and stands(letters, candidate.anchor, start, last):
                    yield self.hit(candidate.anchor, start, last, whole)
                if not candidate.is_open():
                    break

    def _followed_together(self, letters: Letters, gram: int, opened: Openings) -> Iterator[Hit]:
        """The same for many candidates, all their prefixes at once."""
        longest = (opened.values.astype(np.int64) & (1 << GRAM_LENGTH_BITS) - 1) * 4 + 4
        room = letters.ends_of_chains(opened.starts) - opened.starts
        sizes = np.minimum(np.maximum(longest, gram), room)
        # One element for each prefix of each candidate.
        begins = np.cumsum(sizes) - sizes
        owner = np.repeat(np.arange(len(sizes)), sizes)
        length = np.arange(1, len(owner) + 1) - begins[owner]
        codes = letters.codes.take(opened.starts[owner] + length - 1)
        two = _prefix_sums(codes, length, self.key.base2)
        x = _prefix_sums(codes, length, self.key.base1)
        x += length.astype(np.uint32) * np.uint32(self.key.length)
        x += (opened.anchors[owner] * self.key.anchor & MASK).astype(np.uint32)
        checkpoints, is_checkpoint = _checkpoints(gram)
        asked = np.flatnonzero(is_checkpoint[length] & (length <= longest[owner]))
        halfway = np.zeros(len(owner), np.bool_)
        halfway[asked] = self.halves.get_array(x.take(asked), two.take(asked)) == 0
        confirmed = halfway[np.minimum(begins[owner] + checkpoints[length] - 1, len(owner) - 1)]
        asked = np.flatnonzero((length == gram) | (length > gram) & confirmed)
        values = self.wholes.get_array(x.take(asked), two.take(asked))
        known = np.flatnonzero(values >> WHOLE_VALUE_BITS == 0)
        for at, value in zip(asked[known].tolist(), values[known].tolist(), strict=True):
            candidate = owner[at]
            anchor, start = Anchor(opened.anchors[candidate]), int(opened.starts[candidate])
            last = start + int(length[at]) - 1
            if stands(letters, anchor, start, last):
                yield self.hit(anchor, start, last, value)

    def hit(self, anchor: Anchor, first: int, last: int, value: int) -> Hit:
        """A whole phrase between two letters, of which *wholes* says ``value``."""
        kinds = KINDS[anchor]
        kind = kinds[min(value >> 16, len(kinds) - 1)]
        return Hit(first, last, kind, anchor, value & 0xFFFF)


def stands(letters: Letters, anchor: Anchor, first: int, last: int) -> bool:
    """Whether a phrase may stand between two letters, for what touches it there."""
    codes = letters.codes
    cut = anchor is Anchor.NOWHERE and letters.touches(first)
    if cut and may_not_touch(anchor, int(codes[first - 1]), int(codes[first])):
        return False
    after = last + 1
    if after == len(codes) or not letters.touches(after):
        return True
    return not may_not_touch(anchor, int(codes[last]), int(codes[after]))


def may_not_touch(anchor: Anchor, last: int, after: int) -> bool:
    """Whether a phrase that ends with ``last`` is none where ``after`` follows directly."""
    if 0x11A8 <= after <= 0x11FF:
        return True  # the consonant belongs to the syllable
    if anchor is Anchor.WORDS:
        return not (is_spaceless(last) or is_spaceless(after))
    return chr(last).isdigit() and chr(after).isdigit()
