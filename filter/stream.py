"""The output filter over text that comes in pieces.

`StreamFilter` reads each character once. What it hands out is final: nothing of it can belong to an
identifier that may still become whole. Three things hold text back: an island of which the end is
not seen, a phrase that has begun (or whose first letters are too few to tell), and a question that
is not yet answered. All three are bounded, so memory is too.
"""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

from filter.errors import InputError, LetheError
from filter.output_filter import CONTEXT, Match
from filter.questions import Answer, Budget, Question, merged
from filter.stream_islands import IslandTracker
from filter.stream_phrases import PhraseTracker
from filter.stream_reading import StreamReading

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from filter.output_filter import OutputFilter


Piece = str | Match
"""What a stream hands out: text, or what was removed."""

_KEPT = 4096
"""Characters of the reading that are kept before the oldest are forgotten."""


class StreamFilter:
    """One stream of text: `push` what arrives, then `finish`.

    However the text is cut, the pieces joined are what `OutputFilter.redact` makes of the whole. Not
    for several threads at once.
    """

    def __init__(
        self, output_filter: OutputFilter, context: str = "", background: Executor | None = None
    ) -> None:
        if output_filter.policy.generic:
            raise InputError(
                "Generic kinds need whole texts: use a policy without them for a stream."
            )
        self._asker = output_filter.asker
        self._markers = output_filter.policy.markers
        self._background = background
        self._budget = Budget(output_filter.policy.slow_hashes)
        self._hashes: dict[str, int | Future[int]] = {}
        bundle = output_filter.bundle
        self._reading = StreamReading()
        self._islands = IslandTracker(self._reading, self._asker, bundle.regions)
        index = bundle.phrase_index
        self._phrases = PhraseTracker(index, self._reading, self._asker) if index else None
        self._waiting: list[Question] = []
        """Found, but one that ends before may still be found."""
        self._asked: list[tuple[Question, bool]] = []
        """Granted or not, in the order of the text; not answered."""
        self._seen: set[Question] = set()
        self._answers: list[Answer] = []
        self._ahead: list[Piece] = []
        """What `look_ahead` has decided."""
        self._out = 0
        """Offset into the raw text up to which everything was handed out or removed."""
        self._end: int | None = None
        """Offset behind the last character that may go out, once that is known."""
        self._finished = False
        self._failed = False
        if context := context[-CONTEXT:]:
            self._reading.context = self._out = len(context)
            self._take(context)

    @property
    def slow_hashes(self) -> int:
        """Distinct slow hashes asked for so far."""
        return self._budget.asked

    @property
    def undecided(self) -> int:
        """Questions removed undecided so far, being beyond the budget."""
        return self._budget.undecided

    @property
    def held(self) -> int:
        """Code points that were taken and neither handed out nor removed."""
        end = self._reading.raw_end if self._end is None else self._end
        return max(0, end - self._out)

    @property
    def waiting(self) -> bool:
        """Whether slow hashes in the background are still to be awaited."""
        return bool(self._asked)

    def awaited(self) -> list[Piece]:
        """Wait for slow hashes in the background; what they let go, as in `pieces`."""
        self._check()
        return self._release(wait=True)

    @property
    def past_context(self) -> bool:
        """Whether nothing can be found any more that begins in the context."""
        open_ = self._answers or self._asked or self._waiting
        return self._out > self._reading.context and not open_

    def unfiltered_rest(self) -> str:
        """End the stream; the text that it held comes back as it is.

        For a stream that only guards the seam between its context and a text that another one has
        filtered already, once it is `past_context`.
        """
        self._check()
        self._finished = True
        reading = self._reading
        return reading.raw(self._out, reading.raw_end)

    def close(self) -> None:
        """Nobody reads on: slow hashes that are not begun are not computed.

        What depends on them is undecided, and removed, should it be asked for after all.
        """
        self._budget.close()
        for slow in self._hashes.values():
            if not isinstance(slow, int):
                slow.cancel()

    def push(self, text: str) -> str:
        """Take the next piece; returns what may go out now, which may be text of earlier pieces.

        An empty piece only looks whether slow hashes in the background are done.
        """
        return self._joined(self.pieces(text))

    def pieces(self, text: str) -> list[Piece]:
        """As `push`, but a `Match` stands where a marker would.

        Its offsets count from the beginning of the stream; one that begins in the context has a
        negative ``start``.
        """
        if self._end is not None:
            raise InputError("This stream is cut: only text to look ahead in may follow.")
        return self._pieces(text)

    def look_ahead(self, text: str) -> bool:
        """Read on behind the end of what may go out, to decide about what stands before it.

        After the first call nothing can be pushed any more, and `finish` hands out nothing of the
        text given here. Returns whether something before the end is still undecided.
        """
        if self._end is None:
            self._end = self._reading.raw_end
        self._ahead += self._pieces(text)
        return self._out < self._end

    def finish(self, *, truncated: bool = False) -> str:
        """The rest.

        Args:
            truncated: the text was cut off, not ended. An identifier of a recognised kind that it
                ends in goes too, and a phrase that is past its half-length checkpoint.
        """
        return self._joined(self.last_pieces(truncated=truncated))

    def last_pieces(self, *, truncated: bool = False) -> list[Piece]:
        """As `finish`, with matches as in `pieces`."""
        if self._finished:
            return []
        self._check()
        self._failed = True
        if truncated:
            # Before what might have become an encoded character is taken for text.
            self._answers += self._cut_off()
        self._feed(self._reading.finish())
        self._islands.finish()
        if self._phrases is not None:
            self._phrases.finish()
        said = self._ahead + self._release(wait=True)
        self._failed, self._finished = False, True
        return said

    def _pieces(self, text: str) -> list[Piece]:
        if self._finished:
            raise InputError("This stream is finished: open another one for more text.")
        self._check()
        try:
            if text:
                self._take(text)
            return self._release(wait=self._background is None)
        except BaseException:
            self._failed = True
            raise

    def _joined(self, pieces: list[Piece]) -> str:
        if not pieces:
            return ""
        markers = self._markers
        return "".join([p if isinstance(p, str) else markers[p.kind] for p in pieces])

    def _check(self) -> None:
        """After an error nothing is known for sure any more, so nothing goes out any more."""
        if self._failed:
            raise LetheError(
                "This stream has failed: what it still held is lost, open another one."
            )

    def _take(self, text: str) -> None:
        self._feed(self._reading.push(text))

    def _feed(self, first: int) -> None:
        """Show the characters of the reading from ``first`` on to both trackers."""
        if self._phrases is not None:
            self._phrases.advance(first)
        self._islands.advance()

    def _release(self, *, wait: bool) -> list[Piece]:
        """Ask what can be asked, then hand out what nothing holds back."""
        reading = self._reading
        hold = self._islands.hold
        phrases = self._phrases
        if phrases is not None:
            if phrases.found:
                self._waiting += phrases.taken()
            hold = min(hold, phrases.hold)
        if self._islands.found:
            self._waiting += self._islands.taken()
        if self._waiting or self._asked:
            self._ask()
            self._collect(wait=wait)
            for question in self._waiting:
                hold = min(hold, question.first)
            for question, _ in self._asked:
                hold = min(hold, question.first)
        out = self._text_to(reading.start_of(hold))
        if len(reading.text) > _KEPT:
            reading.forget(min(hold, self._islands.needed), self._out)
        return out

    def _ask(self) -> None:
        """Ask, in order, whatever ends before everything that may still be found."""
        frontier = self._islands.frontier
        if self._phrases is not None:
            frontier = min(frontier, self._phrases.frontier)
        self._waiting.sort()
        ready = 0
        for question in self._waiting:
            if question.last >= frontier:
                break
            ready += 1
            if question in self._seen:
                continue
            self._seen.add(question)
            if self._reading.end_after(question.last) <= self._reading.context:
                continue  # all of it was let out before
            granted = self._budget.grants(question.secret)
            if granted and question.secret not in self._hashes:
                self._hashes[question.secret] = (
                    self._background.submit(self._asker.slow_hash, question.secret)
                    if self._background is not None
                    else self._asker.slow_hash(question.secret)
                )
            self._asked.append((question, granted))
        del self._waiting[:ready]
        if len(self._seen) > 512:
            self._seen = {q for q in self._seen if q.last >= self._islands.needed}

    def _collect(self, *, wait: bool) -> None:
        """Turn answers that are there into stretches to remove."""
        left: list[tuple[Question, bool]] = []
        for question, granted in self._asked:
            reason = "undecided"
            if granted:
                known = self._hashes[question.secret]
                if not isinstance(known, int) and not wait and not known.done():
                    left.append((question, granted))
                    continue
                slow = known if isinstance(known, int) else self._result(question.secret, known)
                if slow is not None:
                    if not self._asker.is_listed(question, slow):
                        continue
                    reason = "listed"
            start = self._reading.start_of(question.first)
            end = self._reading.end_after(question.last)
            self._answers.append(Answer(start, end, question.kind, reason))
        self._asked = left

    def _result(self, secret: str, future: Future[int]) -> int | None:
        """A slow hash from the background; `None` where nobody computes it any more."""
        try:
            slow = self._hashes[secret] = future.result()
        except CancelledError:
            self._budget.undecided += 1
            return None
        return slow

    def _text_to(self, limit: int) -> list[Piece]:
        """Raw text up to ``limit``, its closed answers replaced; what is open stays."""
        reading = self._reading
        if not self._answers:
            if limit <= self._out:
                return []
            return self._plain(limit)
        answers = merged(self._answers)
        pieces: list[Piece] = []
        context = reading.context
        for number, answer in enumerate(answers):
            if answer.end > limit:
                self._answers = answers[number:]
                if answer.start < limit:
                    # Still growing. What it covers is gone already and need not be kept.
                    pieces += self._plain(answer.start)
                    self._out = limit
                break
            if answer.end <= self._out:
                continue  # within the context
            pieces += self._plain(answer.start)
            if self._end is None or answer.start < self._end:
                pieces.append(
                    answer._replace(start=answer.start - context, end=answer.end - context)
                )
            self._out = answer.end
        else:
            self._answers = []
        pieces += self._plain(limit)
        self._out = max(self._out, limit)
        return pieces

    def _plain(self, limit: int) -> list[Piece]:
        """Raw text up to ``limit``, but none behind the end of what may go out."""
        end = limit if self._end is None or limit < self._end else self._end
        text = self._reading.raw(self._out, end) if end > self._out else ""
        self._out = max(self._out, limit)
        return [text] if text else []

    def _cut_off(self) -> list[Answer]:
        """What stands open at the end of a text that was cut off."""
        end = self._reading.raw_end
        found = [(first, kind) for first, kind in self._islands.open_at_end()]
        if self._phrases is not None:
            found += self._phrases.open_at_end()
        return [
            Answer(self._reading.start_of(first), end, kind, "truncated") for first, kind in found
        ]
