"""Several writes in one transaction of the registry's writer, as many clients at once make them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as all_done
from typing import Any, Self

from filter_service.database import Database, Transaction


class Together:
    """Holds the writer's thread until all writes of a test wait, so that they are one batch."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.go = threading.Event()
        self.futures: list[Future[Any]] = []

    def __enter__(self) -> Self:
        begun = threading.Event()

        def hold(_: Transaction) -> None:
            begun.set()
            assert self.go.wait(30)

        self.held = self.database.submit(hold)
        assert begun.wait(30)
        return self

    def submit(self, work: Callable[[Transaction], Any]) -> Future[Any]:
        self.futures.append(self.database.submit(work))
        return self.futures[-1]

    def __exit__(self, *_: object) -> None:
        self.go.set()
        all_done(self.futures, timeout=30)
        self.held.result(30)


def in_one_batch(database: Database, *calls: Callable[[], Any]) -> list[Any]:
    """Results, or errors, of calls whose writes wait for each other and are then run in their order."""
    futures: list[Future[Any]] = []
    with ThreadPoolExecutor(len(calls)) as pool, Together(database):
        for call in calls:
            futures.append(pool.submit(call))
            while len(database._waiting) < sum(not future.done() for future in futures):
                time.sleep(0.0005)
    return [future.exception() or future.result() for future in futures]
