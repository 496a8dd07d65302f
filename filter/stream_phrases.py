"""Phrases of a stream, letter by letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filter.nv1 import BREAK, SEPARATORS
from filter.phrase_index import LONGEST_GAP, Candidate, Hit, PhraseIndex, may_not_touch
from filter.phrases import ALPHABETIC, DENSE, KINDS, LONGEST, Anchor, gram_length, is_spaceless

if TYPE_CHECKING:
    from filter.identifiers import IdentifierKind
    from filter.questions import Asker, Question
    from filter.stream_reading import StreamReading

_CACHE = 8192
"""Openings of one stream that are remembered; words come again."""


class PhraseTracker:
    """Candidates that are open at the end of a stream."""

    def __init__(self, index: PhraseIndex, reading: StreamReading, asker: Asker) -> None:
        self._index = index
        self._reading = reading
        self._asker = asker
        self._anchors = tuple(sorted(index.anchors))
        self._free = Anchor.NOWHERE in index.anchors
        self._addressed = Anchor.ADDRESSED in index.anchors
        self._found: list[Question] = []
        self._letters = ""
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
        self._cache: dict[str, tuple[int, ...]] = {}

    def advance(self, first: int) -> None:
        """Look at the characters of the reading from ``first`` on."""
        reading = self._reading
        separators = SEPARATORS
        for place, char in enumerate(reading.text[first - reading.base :], first):
            if char in separators:
                self._gap += 1
                if char == "@" or char == "/":
                    self._address = True
                if self._ended:
                    self._settle(0)
                if char == BREAK:
                    self._broken = True
                if (self._broken or self._gap > LONGEST_GAP) and self._open:
                    self._open.clear()
            else:
                self._letter(char, place)

    def _letter(self, char: str, place: int) -> None:
        code = ord(char)
        letters = self._letters
        number = self._base + len(letters)
        if self._broken or self._gap > LONGEST_GAP:
            self._chain = number
            self._open.clear()
            edge, touching = True, False
        else:
            touching = self._gap == 0
            edge = not touching or is_spaceless(code) or is_spaceless(ord(letters[-1]))
        if self._ended:
            self._settle(code if touching else 0)
        starts = 1 if edge else 0
        if self._address:
            starts |= 2
        if self._free and not (touching and may_not_touch(Anchor.NOWHERE, ord(letters[-1]), code)):
            starts |= 4
        self._gap = 0
        self._broken = self._address = False
        self._letters = letters = letters + char
        self._places.append(place)
        self._starts.append(starts)
        if self._open:
            self._follow(code, number)
        self._openings(number)
        if len(letters) > 8 * LONGEST:
            cut = len(letters) - 2 * LONGEST
            self._letters = letters[cut:]
            del self._places[:cut], self._starts[:cut]
            self._base += cut

    def _openings(self, number: int) -> None:
        """Open the candidates whose first letters end with this one."""
        for gram in (ALPHABETIC, DENSE):
            first = number - gram + 1
            if first < self._chain:
                continue
            at = first - self._base
            starts = self._starts[at]
            if not starts:
                continue
            letters = self._letters[at:]
            if (gram == DENSE and ord(letters[0]) < 0x3005) or gram_length(ord(letters[0])) != gram:
                continue
            limits = self._cache.get(letters)
            if limits is None:
                codes = list(map(ord, letters))
                limits = tuple(self._index.opening(anchor, codes) for anchor in self._anchors)
                if len(self._cache) >= _CACHE:
                    self._cache.clear()
                self._cache[letters] = limits
            for anchor, limit in zip(self._anchors, limits, strict=True):
                if limit and starts >> anchor & 1:
                    codes = list(map(ord, letters))
                    candidate = self._index.candidate(anchor, first, codes, limit)
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
            self._ended.append((candidate, self._index.hit(candidate, number, value)))

    def _settle(self, after: int) -> None:
        """Decide about phrases that ended with the last letter; ``after`` is one that touches it."""
        last = ord(self._letters[-1])
        for _, hit in self._ended:
            if after and may_not_touch(hit.anchor, last, after):
                continue
            base = self._base
            question = self._asker.of_hit(
                hit,
                self._places[hit.first - base],
                self._places[hit.last - base],
                self._letters[hit.first - base : hit.last + 1 - base],
            )
            if question is not None:
                self._found.append(question)
        self._ended.clear()

    @property
    def hold(self) -> int:
        """The first character that a phrase still to be found may have."""
        end = self._base + len(self._letters)
        first = end
        for candidate in self._open:
            first = min(first, candidate.first)
        for candidate, _ in self._ended:
            first = min(first, candidate.first)
        if not self._broken and self._gap <= LONGEST_GAP:
            for number in range(max(self._chain, end - ALPHABETIC + 1), first):
                at = number - self._base
                if self._may_begin(self._starts[at]) and end - number < gram_length(
                    ord(self._letters[at])
                ):
                    first = number
                    break
        if first == end:
            return self._reading.size
        return self._places[first - self._base]

    def _may_begin(self, starts: int) -> bool:
        return any(starts >> anchor & 1 for anchor in self._anchors)

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
        found, self._found = self._found, []
        return found

    def open_at_end(self) -> list[tuple[int, IdentifierKind]]:
        """First character and kind of phrases past their checkpoint; before `finish`."""
        return [
            (self._places[candidate.first - self._base], KINDS[candidate.anchor][0])
            for candidate in self._open
            if candidate.past_half
        ]
