"""The thread that owns the decode loop: sequences join and leave it at any step.

An error in it ends every answer with an error, never with unfiltered text; the engine then serves nothing more.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from filter.errors import LetheError
from model_gate.sequence import GatedSequence
from model_gate.server.inbox import Ended, Inbox, Said
from model_gate.web import logs, problems
from model_gate.web.metrics import Metrics
from model_gate.web.problems import RATE, SERVER, ApiError

if TYPE_CHECKING:
    from model_gate.decode import Decoder
    from model_gate.guard import Guard

QUEUE = 256
"""Sequences that may wait for a row."""
_RETRY_S = "5"
_LOOK_AT_GUARD_S = 1.0
_FINISHERS = 4
"""At least; one for each row, since an end may wait for slow hashes, and others must not wait for it."""


def queue_full() -> ApiError:
    """More wait than are let in."""
    message = "Too many answers wait already: try again in a few seconds."
    return ApiError(429, message, RATE, "queue_full", headers={"Retry-After": _RETRY_S})


class Choice:
    """One answer on its way."""

    def __init__(self, number: int, sequence: GatedSequence, inbox: Inbox) -> None:
        self.number = number
        self.sequence = sequence
        self.inbox = inbox
        self.gone = False
        """Nobody reads it any more."""


class Engine:
    """Runs a `Decoder` for any number of requests.

    Args:
        decoder: the loop; from now on this engine's alone.
        guard: asked every second whether anything may still be generated.
        count: how many tokens an answer has of which something was removed.
        metrics: counted in.
        queue: sequences that may wait for a row.
    """

    def __init__(
        self,
        decoder: Decoder,
        guard: Guard,
        count: Callable[[GatedSequence], int],
        metrics: Metrics,
        *,
        queue: int = QUEUE,
    ) -> None:
        self._decoder = decoder
        self._guard = guard
        self._count = count
        self._metrics = metrics
        self._longest = queue
        self._rows = decoder.free
        self._queue: deque[Choice] = deque()
        self._active: dict[int, Choice] = {}
        """By the id of their sequence; the thread's alone."""
        self._left: list[Choice] = []
        self._joining: deque[Choice] = deque()
        """Out of the queue, not yet in the loop; the thread's alone."""
        self._wake = threading.Condition()
        self._closed: ApiError | None = None
        self._failed = False
        self._finishers = ThreadPoolExecutor(max(_FINISHERS, decoder.free), "lethe-finish")
        self._thread = threading.Thread(target=self._run, name="lethe-engine", daemon=True)
        metrics.gauges["queue_length"] = ("Answers that wait for a row.", lambda: len(self._queue))
        metrics.gauges["active_sequences"] = ("Answers in the loop.", lambda: len(self._active))

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End every answer with an error that says so; nothing more is served."""
        with self._wake:
            self._closed = self._closed or ApiError(
                503, "This server is shutting down: ask again.", SERVER, "shutting_down"
            )
            self._wake.notify()

    def join(self) -> None:
        """Wait for the thread; after `stop`."""
        if self._thread.ident is not None:
            self._thread.join()
        self._finishers.shutdown()

    def alive(self) -> bool:
        """Whether it has not failed."""
        return not self._failed

    def ails(self) -> Sequence[str]:
        """What is wrong, for the health page."""
        return ("The engine has failed: restart the server.",) if self._failed else ()

    def submit(self, choices: Sequence[Choice]) -> None:
        """Take the choices of one request, all or none.

        Raises:
            ApiError: 429, too many wait; 503, the engine has failed or is shutting down.
        """
        with self._wake:
            self._check(len(choices))
            self._queue.extend(choices)
            self._wake.notify()

    def check(self, choices: int) -> None:
        """Whether so many choices could be taken now; before anything is done for them.

        Raises:
            ApiError: as `submit`.
        """
        with self._wake:
            self._check(choices)

    def _check(self, choices: int) -> None:
        if self._closed is not None:
            raise self._closed.again()
        if choices > self._longest + self._rows:
            raise ApiError(
                400, "This asks for more answers at once than are given here.", param="n"
            )
        if len(self._queue) + choices > self._longest + max(0, self._decoder.free):
            raise queue_full()

    def cancel(self, choices: Sequence[Choice]) -> None:
        """Nobody reads these any more."""
        with self._wake:
            for choice in choices:
                choice.gone = True
            if self._closed is None:
                self._left.extend(choices)
            self._wake.notify()

    def _run(self) -> None:
        try:
            while self._closed is None:
                self._round()
            self._end_all(self._closed)
        except BaseException as error:  # noqa: BLE001 -- whatever it is, every answer must end
            logs.failure("engine", error)
            self._failed = True
            self._closed = ApiError(
                503, "The engine has failed, so nothing is generated here.", SERVER, "engine_failed"
            )
            self._end_all(problems.unexpected())

    def _round(self) -> None:
        """Let sequences in and out, then take one step."""
        with self._wake:
            if not (self._queue or self._left or self._active or self._closed):
                self._wake.wait(_LOOK_AT_GUARD_S)
            left, self._left = self._left, []
            free = self._decoder.free
            while self._queue and len(self._joining) < free:
                self._joining.append(self._queue.popleft())
        for choice in left:
            if self._active.pop(id(choice.sequence), None) is not None:
                self._decoder.remove(choice.sequence)
        while self._joining:
            if not self._joining[0].gone:
                self._admit(self._joining[0])
            self._joining.popleft()
        if not self._active:
            return
        done = self._decoder.step()
        self._hand_out()
        for sequence in done:
            choice = self._active.pop(id(sequence))
            self._finishers.submit(self._finish, choice)
        self._look_at_guard()

    _looked = 0.0

    def _look_at_guard(self) -> None:
        """End every answer when no filter is in force any more; a later request may be served again."""
        now = time.monotonic()
        if now - self._looked < _LOOK_AT_GUARD_S:
            return
        self._looked = now
        try:
            self._guard.in_force()
        except LetheError as error:
            self._drop_all(problems.of(error))

    def _admit(self, choice: Choice) -> None:
        try:
            self._decoder.admit(choice.sequence)
        except LetheError as error:  # its own fault, such as a prompt that is too long
            self._fail([choice], error)
        else:
            self._active[id(choice.sequence)] = choice

    def _hand_out(self) -> None:
        """Give every reader what its sequence has said since the last step."""
        by_loop: dict[object, list[tuple[Choice, Said]]] = {}
        for choice in self._active.values():
            pieces = choice.sequence.take()
            if pieces:
                said = Said(choice.number, pieces)
                by_loop.setdefault(choice.inbox.loop, []).append((choice, said))
        for batch in by_loop.values():
            self._call(batch[0][0].inbox, self._deliver, batch)

    def _deliver(self, batch: list[tuple[Choice, Said]]) -> None:
        """On the event loop."""
        slow = [choice for choice, said in batch if not choice.inbox.put(said)]
        if slow:
            self.cancel(slow)

    def _finish(self, choice: Choice) -> None:
        """The end of an answer, which may wait for a slow hash: beside the loop."""
        sequence = choice.sequence
        try:
            begun = time.perf_counter()
            sequence.finish()
            self._metrics.held(time.perf_counter() - begun)
            pieces = sequence.take()
            tokens = sequence.completion_tokens
            if tokens is None:
                tokens = self._count(sequence)
            self._metrics.removed(sequence.removed)
            self._metrics.filtered(slow_hashes=sequence.slow_hashes, undecided=sequence.undecided)
            ended = Ended(choice.number, str(sequence.finish_reason), len(sequence.prompt), tokens)
        except BaseException as error:  # noqa: BLE001 -- the answer must end
            logs.failure("finish", error)
            self._fail([choice], error)
            return
        if pieces:
            self._call(choice.inbox, choice.inbox.put, Said(choice.number, pieces))
        self._call(choice.inbox, choice.inbox.put, ended)

    def _fail(self, choices: Sequence[Choice], error: BaseException) -> None:
        found = problems.of(error)
        for choice in choices:
            self._call(choice.inbox, choice.inbox.fail, found)

    def _drop_all(self, error: ApiError) -> None:
        dropped = list(self._active.values())
        self._active.clear()
        for choice in dropped:
            self._decoder.remove(choice.sequence)
        self._fail(dropped, error)

    def _end_all(self, error: ApiError) -> None:
        """End what is under way or waits; the decoder may be in any state."""
        with self._wake:
            waiting = [*self._joining, *self._queue]
            self._joining.clear()
            self._queue.clear()
            self._left.clear()
        active = list(self._active.values())
        self._active.clear()
        self._fail([*active, *waiting], error)

    @staticmethod
    def _call(inbox: Inbox, what: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the server is gone, and its readers with it
            inbox.loop.call_soon_threadsafe(what, *arguments)
