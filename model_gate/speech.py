"""The text of one choice on its way to the reader: filter, contexts, modes, stop sequences, cuts.

::

    text ─► filter ─► filter behind a context ─► ... ─► stop sequences ─► reader

A context is what the reader may have before this text: the end of the answer's last turn, of the
user's message. The first filter has none, since behind a letter a value would not stand alone. The
others only guard the seam between their context and the text: as soon as nothing stands open there
they are taken out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Protocol

from filter.errors import LetheError
from model_gate.policy import Mode
from model_gate.stops import StopMatcher

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor

    from filter import OutputFilter
    from filter.stream import Piece, StreamFilter
    from model_gate.policy import GatePolicy

STOP = "stop"
CONTENT_FILTER = "content_filter"


class Stage(Protocol):
    """Text in, text and matches out: `filter.StreamFilter`, or what wraps one."""

    @property
    def held(self) -> int:
        """Code points taken and not yet decided."""

    @property
    def waiting(self) -> bool:
        """Whether a slow hash is computed in the background."""

    @property
    def slow_hashes(self) -> int:
        """Distinct slow hashes asked for."""

    @property
    def undecided(self) -> int:
        """What was removed undecided."""

    def pieces(self, text: str) -> list[Piece]:
        """Take text; returns what is decided."""

    def look_ahead(self, text: str) -> bool:
        """Take text behind the end; returns whether something before it is undecided."""

    def last_pieces(self, *, truncated: bool = False) -> list[Piece]:
        """The rest."""


class Speech:
    """One choice. Not for several threads at once.

    After an error nothing goes out any more.
    """

    def __init__(
        self,
        output_filter: OutputFilter,
        policy: GatePolicy,
        *,
        contexts: Sequence[str] = (),
        stop: Sequence[str] = (),
        background: Executor | None = None,
        first: Stage | None = None,
    ) -> None:
        """Prepare to speak.

        Args:
            output_filter: the filter with the prompt's exemptions.
            policy: the gate's.
            contexts: what the text may continue.
            stop: stop sequences; neither they nor what follows goes out.
            background: where slow hashes are computed; in `push` without one.
            first: stands in the place of the first filter.
        """
        self._markers = output_filter.policy.markers
        self._refuses = policy.mode is Mode.REFUSE
        self._first = first or output_filter.stream(background=background)
        self._seams: list[StreamFilter] = [
            output_filter.stream(context, background=background) for context in contexts if context
        ]
        self._stops = StopMatcher(stop)
        self._past = (0, 0)
        """Slow hashes, and what was undecided, of filters that were taken out."""
        self._ahead: list[str] = []
        self._refused = ""
        """The marker of what ended it."""
        self._failed = False
        self.removed: Counter[str] = Counter()
        """How often something of a kind was removed."""
        self.ended: str | None = None
        """``stop`` or ``content_filter`` once nothing more goes out."""

    @property
    def waiting(self) -> bool:
        """Whether a slow hash is still computed in the background; see `push`."""
        return self._first.waiting or any(stage.waiting for stage in self._seams)

    @property
    def held(self) -> int:
        """Code points that are held back, those of a possible stop sequence not counted."""
        return self._first.held + sum(stage.held for stage in self._seams)

    @property
    def slow_hashes(self) -> int:
        """Distinct slow hashes that it took so far."""
        return self._past[0] + sum(stage.slow_hashes for stage in (self._first, *self._seams))

    @property
    def undecided(self) -> int:
        """What was removed undecided so far, being beyond the budget."""
        return self._past[1] + sum(stage.undecided for stage in (self._first, *self._seams))

    def push(self, text: str) -> str:
        """Take the next piece of text; returns what may go out now.

        An empty piece only looks whether slow hashes in the background are done.
        """
        if self.ended:
            return ""
        try:
            pieces = self._first.pieces(text)
            if not self._seams:
                return self._said(pieces) if pieces else ""
            return self._through(pieces)
        except BaseException:
            self._failed = True
            raise

    def look_ahead(self, text: str) -> bool:
        """Take text from behind the place where the answer is cut, which never goes out.

        Returns whether something before the cut is still undecided: while it is, more text helps.
        """
        if self.ended:
            return False
        self._ahead.append(text)
        return self._first.look_ahead(text)

    def finish(self, *, truncated: bool = False) -> str:
        """The rest. ``truncated``: cut off, so what stands open and may be listed is removed."""
        if self.ended:
            return ""
        if self._failed:
            raise LetheError("This answer has failed: what it still held is lost, ask again.")
        self._failed = True
        said = self._through(self._first.last_pieces(truncated=truncated), cut=truncated)
        if not self.ended:
            said += self._stops.finish()
        self._failed = False
        return said

    def _through(self, pieces: list[Piece], *, cut: bool | None = None) -> str:
        """Take the first filter's pieces through the seams and to the reader.

        They are the last ones where ``cut`` says whether the text was cut off.
        """
        refused = False
        kept: list[StreamFilter] = []
        for stage in self._seams:
            text, refused = self._text(pieces, refused=refused)
            pieces = stage.pieces(text)
            if (cut is not None or refused) and stage.waiting:
                pieces += stage.awaited()
            if stage.past_context:
                hashes, undecided = self._past
                self._past = hashes + stage.slow_hashes, undecided + stage.undecided
                pieces.append(stage.unfiltered_rest())
            elif cut is not None or refused:
                # What would follow decides about what stands open: where it is refused, its marker.
                ahead = self._refused if refused else "".join(self._ahead)
                undecided = stage.look_ahead(ahead) if ahead else bool(cut)
                pieces += stage.last_pieces(truncated=undecided)
            else:
                kept.append(stage)
        self._seams = kept
        return self._said(pieces, refused=refused)

    def _said(self, pieces: list[Piece], *, refused: bool = False) -> str:
        text, refused = self._text(pieces, refused=refused)
        text = self._stops.push(text)
        if self._stops.met:
            self.ended = STOP
        elif refused:
            text += self._stops.finish()
            self.ended = CONTENT_FILTER
        return text

    def _text(self, pieces: list[Piece], *, refused: bool) -> tuple[str, bool]:
        """Text of pieces up to a refusal, if any."""
        parts: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            self.removed[str(piece.kind)] += 1
            if self._refuses:
                self._refused = self._markers[piece.kind]
                return "".join(parts), True
            parts.append(self._markers[piece.kind])
        return "".join(parts), refused
