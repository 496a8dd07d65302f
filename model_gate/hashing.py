"""Where slow hashes are computed beside the answers that ask for them, in turns.

::

    answer ─► Lane ─┐
    answer ─► Lane ─┼─► SlowHashes: the next one of each lane, one lane after the other ─► threads
    answer ─► Lane ─┘

In one queue for all, whoever asks for many first would be served before everybody who asks for one.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

REQUEST_HASHES = 2
"""Budgets of one answer that all answers of a request have together: a filter at a seam asks again."""
P = ParamSpec("P")
T = TypeVar("T")


class _Task(NamedTuple):
    future: Future[Any]
    work: Callable[[], Any]


class SlowHashes:
    """Threads that all answers share; for any number of threads."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._threads = ThreadPoolExecutor(threads, "slow-hash")
        self._turns: deque[Lane] = deque()
        """Lanes in which something waits, in the order of their turns."""
        self._lock = Lock()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Hashes that are asked for and not begun."""
        with self._lock:
            return sum(len(lane.tasks) for lane in self._turns)

    def lane(self, at_most: int | None = None) -> Lane:
        """What one request asks through; ``at_most``: so many hashes in all."""
        return Lane(self, at_most)

    def close(self) -> None:
        """Compute nothing more; what waits is cancelled."""
        with self._lock:
            self._closed = True
            lanes = list(self._turns)
        for lane in lanes:
            lane.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def take(self, lane: Lane, task: _Task) -> None:
        """Let a task of a lane's wait for its turn."""
        with self._lock:
            if not (self._closed or lane.closed):
                lane.tasks.append(task)
                if len(lane.tasks) == 1:
                    self._turns.append(lane)
                self._threads.submit(self._next)
                return
        task.future.cancel()

    def drop(self, lane: Lane) -> None:
        """Cancel what waits in a lane."""
        with self._lock:
            dropped = list(lane.tasks)
            lane.tasks.clear()
            if dropped:
                self._turns.remove(lane)
        for task in dropped:
            task.future.cancel()

    def _next(self) -> None:
        """Do the first task of the lane whose turn it is; it has gone where it was cancelled."""
        with self._lock:
            if not self._turns:
                return
            lane = self._turns.popleft()
            task = lane.tasks.popleft()
            if lane.tasks:
                self._turns.append(lane)
        if not task.future.set_running_or_notify_cancel():
            return
        try:
            task.future.set_result(task.work())
        except BaseException as error:  # noqa: BLE001 -- raised where the result is asked for
            task.future.set_exception(error)


class Lane(Executor):
    """The hashes of one request, all of its answers together.

    When it is closed, and beyond its limit, whatever is asked for comes back cancelled, which
    `filter.StreamFilter` takes for undecided, and removes.
    """

    def __init__(self, pool: SlowHashes, at_most: int | None) -> None:
        self.tasks: deque[_Task] = deque()
        """Those not begun; the pool's alone."""
        self._pool = pool
        self.closed = False
        self._left = at_most

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Ask for one."""
        future: Future[T] = Future()
        if self._left == 0:
            future.cancel()
            return future
        if self._left is not None:
            self._left -= 1
        self._pool.take(self, _Task(future, lambda: fn(*args, **kwargs)))
        return future

    def close(self) -> None:
        """Nobody waits for the answer any more: what is not begun is not computed."""
        self.closed = True
        self._pool.drop(self)
