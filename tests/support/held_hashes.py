"""The threads of slow hashes, kept busy for as long as a test needs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from model_gate.hashing import SlowHashes


@contextmanager
def held(hashes: SlowHashes) -> Iterator[Callable[[], int]]:
    """Nothing is computed until the end of the block; yields what tells how many wait."""
    go = threading.Event()
    lane = hashes.lane()
    futures = [lane.submit(go.wait, 60) for _ in range(hashes.threads)]
    until(lambda: all(future.running() for future in futures))
    try:
        yield lambda: hashes.waiting
    finally:
        go.set()
        for future in futures:
            future.result(60)


def until(is_so: Callable[[], bool]) -> None:
    """Wait for something that happens in another thread."""
    for _ in range(3000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("It does not happen.")
