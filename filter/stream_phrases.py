"""Phrases of a stream, letter by letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filter.nv1 import BREAK, SEPARATORS
from filter.phrase_index import LONGEST_GAP, Candidate, Hit, PhraseIndex, may_not_touch
from filter.phrases import (
    ALPHABETIC,
    DENSE,
    DENSE_FROM,
    GRAM_LENGTH_BITS,
    GRAM_VALUE_BITS,
    KINDS,
    LONGEST,
    MASK,
    Anchor,
    gram_length,
    is_spaceless,
)

if TYPE_CHECKING:
    from filter.identifiers import IdentifierKind
    from filter.questions import Asker, Question
    from filter.stream_reading import StreamReading


class PhraseTracker:
    """Candidates that are open at the end of a stream."""

    def __init__(self, index: PhraseIndex, reading: StreamReading, asker: Asker) -> None:
        self._index = index
        self._reading = reading
        self._asker = asker
        self._mask = index.mask
        self._sieve = index.sieve.data
        self._shift = index.sieve_shift
        self._factor = index.key.base1
        self._leaving = pow(index.key.base1, ALPHABETIC, MASK + 1)
        self._roll = 0
        """The key of the last letters in *grams*."""
        self.found: list[Question] = []
        """Questions not yet taken."""
        self._codes: list[int] = []
        """The last letters, at least as many as a phrase has."""
        self._places: list[int] = []
        """Where each stands in the reading."""
        self._starts: list[int] = []
        """For each, the anchors of phrases that may begin with it, as bits."""
        self._base = 0
        """Number of the first letter kept."""
        self._gap = LONGEST_GAP + 1
        """Separators since the last letter; too many at the beginning."""
        self._broken = True
        self._address = False
        self._chain = 0
        """Number of the first letter since nothing was broken."""
        self._open: list[Candidate] = []
        self._ended: list[tuple[Candidate, Hit]] = []
        """Whole phrases that the next letter may still continue."""

    def advance(self, first: int) -> None:  # noqa: C901, PLR0912, PLR0915 -- the innermost loop of a stream
        """Look at the characters of the reading from ``first`` on."""
        codes, places, starts = self._codes, self._places, self._starts
        gap, broken, address, roll = self._gap, self._broken, self._address, self._roll
        chain = self._chain - self._base
        mask, factor, leaving = self._mask, self._factor, self._leaving
        sieve, shift = self._sieve, self._shift
        for place, char in enumerate(self._reading.text[first - self._reading.base :], first):
            if char in SEPARATORS:
                gap += 1
                if char in "@/":
                    address = True
                elif char == BREAK:
                    broken, address = True, False
                if self._ended:
                    self._settle(0)
                if self._open and (broken or gap > LONGEST_GAP):
                    self._open.clear()
                continue
            code = ord(char)
            at = len(codes)
            touching = gap == 0
            if broken or gap > LONGEST_GAP:
                chain, broken, touching = at, False, False
                self._open.clear()
            begins = 4 if touching else 5
            if touching:
                before = codes[-1]
                if code > 0xDFF or before > 0xDFF:
                    if is_spaceless(code) or is_spaceless(before):
                        begins = 5
                elif code < 58 and before < 58:
                    begins = 0  # in the middle of a number
            if address:
                begins |= 2
                address = False
            if self._ended:
                self._settle(code if touching else 0)
            gap = 0
            codes.append(code)
            places.append(place)
            starts.append(begins & mask)
            roll = roll * factor + code & MASK
            if at >= ALPHABETIC:
                roll = roll - codes[at - ALPHABETIC] * leaving & MASK
            if self._open:
                self._follow(code, self._base + at)
            begin = at - ALPHABETIC + 1
            if begin >= chain and starts[begin]:
                bit = roll >> shift
                if sieve[bit >> 3] >> (bit & 7) & 1 and gram_length(codes[begin]) == ALPHABETIC:
                    self._open_at(begin, roll, self._base + at)
            if at - DENSE + 1 >= chain and codes[at - DENSE + 1] >= DENSE_FROM:
                self._dense(at - DENSE + 1, self._base + at)
        self._gap, self._broken, self._address, self._roll = gap, broken, address, roll
        self._chain = chain + self._base
        if len(codes) > 8 * LONGEST:
            self._shorten(len(codes) - 2 * LONGEST)

    def _dense(self, first: int, number: int) -> None:
        """Open what begins in Han or kana with the letters from ``first`` on."""
        if self._starts[first] and gram_length(self._codes[first]) == DENSE:
            key = 0
            for code in self._codes[first:]:
                key = key * self._factor + code & MASK
            bit = key >> self._shift
            if self._sieve[bit >> 3] >> (bit & 7) & 1:
                self._open_at(first, key, number)

    def _shorten(self, cut: int) -> None:
        del self._codes[:cut], self._places[:cut], self._starts[:cut]
        self._base += cut

    def _open_at(self, first: int, key: int, number: int) -> None:
        """Open the candidates that begin with the letters from ``first`` on."""
        value = self._index.grams.get(key, key)
        if value >> GRAM_VALUE_BITS:
            return
        codes = self._codes[first:]
        anchors = value >> GRAM_LENGTH_BITS & self._starts[first]
        for anchor in Anchor:
            if anchors >> anchor & 1:
                candidate = self._index.candidate(anchor, first + self._base, codes, value)
                self._step(candidate, codes[-1], number)
                if candidate.is_open():
                    self._open.append(candidate)

    def _follow(self, code: int, number: int) -> None:
        for candidate in self._open:
            self._step(candidate, code, number)
        self._open = [candidate for candidate in self._open if candidate.is_open()]

    def _step(self, candidate: Candidate, code: int, number: int) -> None:
        value = candidate.push(code)
        if value >= 0:
            hit = self._index.hit(candidate.anchor, candidate.first, number, value)
            self._ended.append((candidate, hit))

    def _settle(self, after: int) -> None:
        """Decide about phrases that ended with the last letter; ``after`` is one that touches it."""
        last = self._codes[-1]
        for _, hit in self._ended:
            if after and may_not_touch(hit.anchor, last, after):
                continue
            base = self._base
            question = self._asker.of_hit(
                hit,
                self._places[hit.first - base],
                self._places[hit.last - base],
                "".join(map(chr, self._codes[hit.first - base : hit.last + 1 - base])),
            )
            if question is not None:
                self.found.append(question)
        self._ended.clear()

    @property
    def hold(self) -> int:
        """The first character that a phrase still to be found may have."""
        base = self._base
        end = len(self._codes)
        first = end
        for candidate in self._open:
            first = min(first, candidate.first - base)
        for candidate, _ in self._ended:
            first = min(first, candidate.first - base)
        if not self._broken and self._gap <= LONGEST_GAP:
            for at in range(max(self._chain - base, end - ALPHABETIC + 1), first):
                if self._starts[at] and end - at < gram_length(self._codes[at]):
                    first = at
                    break
        return self._reading.size if first == end else self._places[first]

    @property
    def frontier(self) -> int:
        """Every phrase still to be found ends at this character or behind it."""
        if self._ended:
            return self._places[-1]
        return self._reading.size

    def finish(self) -> None:
        """The text is over."""
        if self._ended:
            self._settle(0)
        self._open.clear()
        self._broken = True

    def taken(self) -> list[Question]:
        """The questions found since the last time."""
        found, self.found = self.found, []
        return found

    def open_at_end(self) -> list[tuple[int, IdentifierKind]]:
        """First character and kind of phrases past their checkpoint; before `finish`."""
        return [
            (self._places[candidate.first - self._base], KINDS[candidate.anchor][0])
            for candidate in self._open
            if candidate.past_half
        ]
