"""A thread that does something while this one is busy outside of Python."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

Found = TypeVar("Found")
_Asked = SimpleQueue[Callable[[], None] | None]


class Later(Generic[Found]):
    """Something to be done once: beside, from when `start` is called, or else in `result`."""

    def __init__(self, asked: _Asked, do: Callable[[], Found]) -> None:
        self._asked = asked
        self._do = do
        self._started = False
        self._done: SimpleQueue[tuple[Found, None] | tuple[None, BaseException]] = SimpleQueue()

    def start(self, *_: object) -> None:
        """Let the other thread begin. Any arguments, so that it can be a hook."""
        if not self._started:
            self._started = True
            self._asked.put(self._run)

    def result(self) -> Found:
        """What came of it; waits.

        Raises:
            BaseException: whatever it raised.
        """
        if not self._started:
            return self._do()
        found, error = self._done.get()
        if error is not None:
            try:
                raise error
            finally:
                del error  # or it and this frame keep each other
        return found  # type: ignore[return-value]

    def _run(self) -> None:
        try:
            self._done.put((self._do(), None))
        except BaseException as error:  # noqa: BLE001  (raised by `result`)
            self._done.put((None, error))


class Beside:
    """One thread, started when it is first needed; it ends with its owner.

    To hand something over costs a tenth of what a pool of `concurrent.futures` does.
    """

    def __init__(self) -> None:
        self._asked: _Asked | None = None

    def later(self, do: Callable[[], Found]) -> Later[Found]:
        """Something that may be started there."""
        if self._asked is None:
            self._asked = SimpleQueue()
            threading.Thread(target=_work, args=(self._asked,), name="gate", daemon=True).start()
            weakref.finalize(self, self._asked.put, None)
        return Later(self._asked, do)


def _work(asked: _Asked) -> None:
    while (do := asked.get()) is not None:
        do()
        del do
