"""The first filter of an answer whose model can go back: it says where to, and what must not follow.

Where a listed identifier was about to be said the model goes back to the token in which it began
and goes on without any value of its kind up to the end of the sentence, since what it would say
instead may be a near-miss, or a stranger's. What it says in that stretch is handed on only when the
stretch is over and nothing in it looks like such a value. After some tries the place is redacted.
Where a person was named no value of a recognised kind may follow either: without the name it would
be a stranger's.

Only whole tokens are handed on: a token that may be taken back must not have been read in part.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from filter import candidates
from filter.candidates.model import glyphs
from filter.identifiers import PHRASES, RECOGNISED, IdentifierKind
from filter.nv1 import fold
from filter.output_filter import CONTEXT, Match
from filter.reading import read_all

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from filter import OutputFilter
    from filter.stream import Piece, StreamFilter

_SENTENCE_END = re.compile(r"(?:(?<=\w{4})\.|[!?…])(?=\s)|[。！？]|\n\s*\n")
"""A full stop behind a short word may be an abbreviation: better too late than in "St. Gallen"."""
_LONGEST_STRETCH = 1000
"""Code points after which a sentence is taken to be over."""
_SHORTEST_SHARE = 6
"""Letters that a text must share with what was taken back to be taken for it."""
_BY_CASE = (IdentifierKind.NAME, IdentifierKind.POSTAL_ADDRESS)
"""Phrases of which strangers' values can be kept out, in scripts that have capital letters: without
them there is none. Other phrases are redacted at once."""


class Back(NamedTuple):
    """Where the model has to go back to."""

    offset: int
    """Code points of the text that stay at most; what stays must be whole tokens."""
    text: str
    """What began there, as far as it was said."""


class _Stretch:
    """From where a value is forbidden up to the end of the sentence."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.kinds: set[IdentifierKind] = set()
        self.values: dict[str, IdentifierKind] = {}
        """Folded letters of what was taken back."""
        self.tries = 0


class Resampling:
    """A stage of `Speech` over one `filter.StreamFilter` after the other.

    After each `pieces`, `back` says whether to go back; then `went_back` must be called, and the
    text of the new tokens given. `whole` says that what was given ends with a whole token.
    Offsets are code points of the answer as the model said it.
    """

    def __init__(
        self,
        output_filter: OutputFilter,
        tries: int,
        context: str = "",
        background: Executor | None = None,
    ) -> None:
        self._filter = output_filter
        self._tries = tries
        self._background = background
        self._said = context
        """The end of what the reader has."""
        self._base = 0
        """Offset up to which everything was handed on: the end of a token."""
        self._text = ""
        """What was taken behind it."""
        self._whole = [0]
        """Ends of tokens from there on."""
        self._stretch: _Stretch | None = None
        self.back: Back | None = None
        """Where the model has to go back to."""
        self._past = (0, 0)
        """Slow hashes, and what was undecided, of earlier streams."""
        self._begin()

    def _begin(self) -> None:
        self._stream: StreamFilter = self._filter.stream(self._said, background=self._background)
        self._origin = self._at = self._base
        """Offsets of the stream's beginning, and up to which it is decided."""
        self._ready: list[tuple[int, Piece]] = []
        """Decided, not handed on, with the offset where each begins."""
        self._settled = False

    @property
    def held(self) -> int:
        """Code points taken and not handed on."""
        return len(self._text)

    @property
    def waiting(self) -> bool:
        """Whether a slow hash is computed in the background."""
        return self._stream.waiting

    @property
    def slow_hashes(self) -> int:
        """Distinct slow hashes asked for, by each stream alone."""
        return self._past[0] + self._stream.slow_hashes

    @property
    def undecided(self) -> int:
        """What was removed undecided."""
        return self._past[1] + self._stream.undecided

    @property
    def forbidden(self) -> frozenset[IdentifierKind]:
        """Kinds of which no value may be said next."""
        return frozenset(self._stretch.kinds) if self._stretch is not None else frozenset()

    def pieces(self, text: str) -> list[Piece]:
        """Take text; returns what is decided, in whole tokens; nothing where `back` is set."""
        self._text += text
        self._decide(self._stream.pieces(text))
        return self._handed_on()

    def whole(self) -> None:
        """What was taken ends with a whole token."""
        self._whole.append(self._base + len(self._text))

    def settle(self) -> None:
        """The answer ends here, unless `back` says otherwise."""
        self._decide(self._stream.last_pieces())
        self._settled = self.back is None
        if self._settled and self._stretch is not None:
            self._settled = not self._judge(self._base + len(self._text))

    def look_ahead(self, text: str) -> bool:
        """As `StreamFilter.look_ahead`; from here on nothing is taken back any more."""
        self._tries = -1
        return self._stream.look_ahead(text)

    def last_pieces(self, *, truncated: bool = False) -> list[Piece]:
        """The rest; what is to be removed is redacted."""
        self._tries = -1
        if not self._settled:
            self._decide(self._stream.last_pieces(truncated=truncated))
        end = self._base + len(self._text)
        if self._stretch is not None:
            self._judge(end)
        self._stretch = None
        return self._upto(max(end, self._at))

    def went_back(self, offset: int) -> None:
        """The model has gone back: the text ends at ``offset``, with a whole token."""
        assert self.back is not None
        self.back = None
        self._past = self.slow_hashes, self.undecided
        text = self._text[: offset - self._base]
        self._whole = [end for end in self._whole if end <= offset]
        self._text = ""
        self._begin()
        if text:
            self._text = text
            self._decide(self._stream.pieces(text))

    def _decide(self, pieces: list[Piece]) -> None:
        """Take what the stream hands out; set `back` where one is to be resampled."""
        for piece in pieces:
            if isinstance(piece, str):
                self._ready.append((self._at, piece))
                self._at += len(piece)
                continue
            start = max(piece.start + self._origin, self._base)
            end = piece.end + self._origin
            if self._may_go_back(piece, start, end):
                self._go_back(start, end, piece.kind)
                return
            self._ready.append((start, piece))
            self._at = end

    def _may_go_back(self, match: Match, start: int, end: int) -> bool:
        if match.start + self._origin < self._base:
            return False  # it began before: what is there already cannot be taken back
        tries = self._stretch.tries if self._stretch is not None else 0
        if self.back is not None or tries >= self._tries:
            return False
        if match.kind in RECOGNISED:
            return True
        text = self._text[start - self._base : end - self._base]
        return match.kind in _BY_CASE and text.lower() != text.upper()

    def _go_back(self, start: int, end: int, kind: IdentifierKind) -> None:
        if self._stretch is None:
            self._stretch = _Stretch(start)
        self._stretch.start = min(self._stretch.start, start)
        text = self._text[start - self._base : end - self._base]
        self._stretch.kinds.update((kind, *(RECOGNISED if kind in PHRASES else ())))
        self._stretch.values[fold(text)] = kind
        if kind is IdentifierKind.EMAIL and (local := fold(text.partition("@")[0])):
            # It says who, however long the domain is.
            self._stretch.values[local] = kind
        self._stretch.tries += 1
        self.back = Back(start, text)

    def _handed_on(self) -> list[Piece]:
        if self.back is not None:
            return []
        if self._stretch is not None:
            end = self._stretch_end()
            if end is None:
                return []
            if self._judge(end):
                return []
            self._stretch = None
        return self._upto(max((end for end in self._whole if end <= self._at), default=self._base))

    def _stretch_end(self) -> int | None:
        """Where the sentence ends in which values are forbidden, once all of it is decided."""
        assert self._stretch is not None
        start = self._stretch.start
        found = _SENTENCE_END.search(self._text, max(0, start - self._base))
        end = start + _LONGEST_STRETCH if found is None else self._base + found.end()
        return end if end <= self._at else None

    def _judge(self, end: int) -> bool:
        """Look for anything in the stretch that looks like a value of a forbidden kind.

        Returns whether to go back because of it; else it is removed.
        """
        assert self._stretch is not None
        start = max(self._stretch.start, self._base)
        text = self._text[start - self._base : end - self._base]
        reading = read_all([text])[0]
        for low, high, kind in self._strangers(reading.text()):
            first = start + reading.span(low, low)[0]
            after = high + 1
            last = start + (
                reading.span(after, after)[0] if after < len(reading.codes) else len(text)
            )
            match = Match(first - self._origin, last - self._origin, kind, "resampled")
            if self._may_go_back(match, first, last):
                self._go_back(first, last, kind)
                return True
            self._remove(first, last, match)
        return False

    def _strangers(self, reading: str) -> list[tuple[int, int, IdentifierKind]]:
        """First and last character of what must not stand in a stretch, and its kind."""
        assert self._stretch is not None
        kinds = self._stretch.kinds.intersection(RECOGNISED)
        found = [
            (candidate.first, candidate.last, candidate.kind)
            for candidate in candidates.find(reading, kinds, self._filter.bundle.regions)
        ]
        letters = glyphs(reading, 0)
        for value, kind in self._stretch.values.items():
            # A near-miss, or the value in a spelling that is none: half of it in one piece.
            size = min(len(value), max(_SHORTEST_SHARE, -(-len(value) // 2)))
            shares = {value[at : at + size] for at in range(len(value) - size + 1)}
            found += (
                (letters.places[at], letters.places[at + size - 1], kind)
                for at in range(len(letters.text) - size + 1)
                if letters.text[at : at + size] in shares
            )
        merged: list[tuple[int, int, IdentifierKind]] = []
        for first, last, kind in sorted(found):
            if merged and first <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(last, merged[-1][1]), merged[-1][2])
            else:
                merged.append((first, last, kind))
        return merged

    def _remove(self, first: int, last: int, match: Match) -> None:
        """Put a match in the place of text that was decided to stay."""
        ready: list[tuple[int, Piece]] = []
        placed = False
        for at, piece in self._ready:
            end = at + len(piece) if isinstance(piece, str) else piece.end + self._origin
            if end <= first or at >= last:
                if at >= last and not placed:
                    ready.append((first, match))
                    placed = True
                ready.append((at, piece))
                continue
            if isinstance(piece, str) and at < first:
                ready.append((at, piece[: first - at]))
            if not placed:
                ready.append((first, match))
                placed = True
            if isinstance(piece, str) and end > last:
                ready.append((last, piece[last - at :]))
        if not placed:
            ready.append((first, match))
        self._ready = ready

    def _upto(self, limit: int) -> list[Piece]:
        """Hand on what lies before ``limit``."""
        out: list[Piece] = []
        left: list[tuple[int, Piece]] = []
        for at, piece in self._ready:
            end = at + len(piece) if isinstance(piece, str) else piece.end + self._origin
            if end <= limit:
                out.append(piece)
            elif isinstance(piece, str) and at < limit:
                out.append(piece[: limit - at])
                left.append((limit, piece[limit - at :]))
            else:
                left.append((at, piece))
        if left and not isinstance(left[0][1], str):
            limit = min(limit, left[0][0])
        self._ready = left
        if limit > self._base:
            self._text = self._text[limit - self._base :]
            self._base = limit
            self._whole = [end for end in self._whole if end >= limit]
            markers = self._filter.policy.markers
            said = [piece if isinstance(piece, str) else markers[piece.kind] for piece in out]
            self._said = (self._said + "".join(said))[-CONTEXT:]
        return out
