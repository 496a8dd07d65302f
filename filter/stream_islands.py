"""Islands of a stream: found word by word, judged as soon as they end."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from filter.candidates import find_in_island
from filter.candidates.islands import LONGEST, OVERLAP, PAIRS, TRIGGER, joins
from filter.candidates.partial import open_candidates

if TYPE_CHECKING:
    from filter.identifiers import IdentifierKind
    from filter.questions import Asker, Question
    from filter.stream_reading import StreamReading

_SPACE = re.compile("[ \n\x00]")
_LETTER = re.compile("[^ \n\x00]")
_STEP = LONGEST - OVERLAP


class IslandTracker:
    """The island that is open at the end of a stream."""

    def __init__(self, reading: StreamReading, asker: Asker, regions: tuple[str, ...]) -> None:
        self._reading = reading
        self._asker = asker
        self._regions = regions
        self._active = bool(asker.recognised)
        self.found: list[Question] = []
        """Questions not yet taken."""
        self._first: int | None = None
        """Where the open island, or its next window, begins."""
        self._before: tuple[int, int] | None = None
        """The last whole word of the open island."""
        self._word: int | None = None
        """Where the word began that is not whole."""
        self._joined = True
        """Whether that word is known to belong to the island."""
        self._scanned = 0
        self._plain = 0
        """The length of the last whole word if it is a few letters and nothing else, else zero."""

    @property
    def hold(self) -> int:
        """The first character that a candidate still to be found may have."""
        if self._first is not None:
            return self._first
        return self._word if self._word is not None else self._scanned

    frontier = hold
    """Every candidate still to be found ends at this character or behind it."""

    @property
    def needed(self) -> int:
        """The first character that is still looked at."""
        return min(self.hold, self._before[0] if self._before is not None else self.hold)

    def advance(self) -> None:
        """Look at the new characters of the reading."""
        reading = self._reading
        text, base = reading.text, reading.base
        size = base + len(text)
        if not self._active:
            self._scanned = size
            return
        scanned = self._scanned
        while scanned < size:
            if self._word is None:
                match = _LETTER.search(text, scanned - base)
                if match is None:
                    self._gap(size)
                    scanned = size
                    break
                self._begin(match.start() + base)
                scanned = match.start() + base
            space = _SPACE.search(text, scanned - base)
            scanned = space.start() + base if space is not None else size
            self._grow(scanned, whole=space is not None)
        self._scanned = scanned

    def _gap(self, size: int) -> None:
        """Close the island where the gap behind it is too long, or known to break it."""
        if self._before is not None:
            end = self._before[1]
            gap = self._slice(end, min(size, end + 8))
            if gap != " " and joins("0", gap, "0") is False:
                self._close(end)

    def _begin(self, at: int) -> None:
        self._word = at
        self._joined = self._before is None
        if self._before is None:
            self._first = at

    def _grow(self, end: int, *, whole: bool) -> None:
        """Take the open word up to ``end``."""
        word = self._word
        assert word is not None
        if not self._joined:
            joined = self._joins(word, end, whole=whole)
            if joined is None:
                return
            if not joined:
                assert self._before is not None
                self._close(self._before[1])
                self._first = word
            self._joined = True
        assert self._first is not None
        if end - self._first > LONGEST:
            self._windows(end)
        if whole:
            self._before = (word, end)
            self._word = None
            length = end - word
            base = self._reading.base
            text = self._reading.text[word - base : end - base] if 1 < length < 40 else ""
            prose = text.isascii() and text.isalpha() and not PAIRS.fullmatch(text)
            self._plain = length if prose else 0

    def _joins(self, word: int, end: int, *, whole: bool) -> bool | None:
        """Whether the open word, known up to ``end``, belongs to the island before it."""
        assert self._before is not None
        low, high = self._before
        base = self._reading.base
        text = self._reading.text
        if self._plain and word == high + 1 and text[high - base] == " ":
            # Words of prose, of which `joins` says no, or that it does not know yet.
            start = text[word - base : min(end, word + 5) - base]
            if self._plain > 4:
                if start[0].isalpha():
                    return False
            elif start.isalpha() and start.isascii():
                if len(start) > 4:
                    return False
                if not whole:
                    return None
                if len(start) > 1 and not PAIRS.search(start):
                    return False
        return joins(
            self._slice(max(low, high - LONGEST), high),
            self._slice(high, min(word, high + 8)),
            self._slice(word, min(end, word + 100)),
            whole=whole,
        )

    def _windows(self, end: int) -> None:
        """Judge the windows of a long island that are whole."""
        assert self._first is not None
        while end - self._first > LONGEST:
            self._judge(self._first, self._first + LONGEST)
            self._first += _STEP

    def _close(self, end: int) -> None:
        if self._first is not None:
            self._judge(self._first, end)
        self._first = None
        self._before = None

    def _judge(self, first: int, end: int) -> None:
        island = self._slice(first, end)
        if TRIGGER.search(island) is None:
            return
        for candidate in find_in_island(island, first, self._asker.recognised, self._regions):
            question = self._asker.of_candidate(candidate)
            if question is not None:
                self.found.append(question)

    def _slice(self, first: int, end: int) -> str:
        base = self._reading.base
        return self._reading.text[first - base : end - base]

    def finish(self) -> None:
        """The text is over."""
        if not self._active:
            return
        size = self._reading.size
        if self._word is not None:
            self._grow(size, whole=True)
        if self._before is not None:
            self._close(self._before[1])
        self._scanned = size

    def taken(self) -> list[Question]:
        """The questions found since the last time."""
        found, self.found = self.found, []
        return found

    def open_at_end(self) -> list[tuple[int, IdentifierKind]]:
        """First character and kind of what the text was cut off in; before `finish`."""
        if not self._active or self._first is None:
            return []
        first = max(self._first, self._reading.size - LONGEST)
        return open_candidates(
            self._slice(first, self._reading.size), first, self._asker.recognised
        )
