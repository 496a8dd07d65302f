"""Work in threads: only so many at once, and not at all for whoever has left before."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import anyio
import pytest

from model_gate.web.threads import in_thread


def on_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @wraps(test)
    def run(**options: Any) -> None:
        asyncio.run(test(**options))

    return run


@on_a_loop
async def test_what_it_gives_and_raises() -> None:
    limiter = anyio.CapacityLimiter(1)
    assert await in_thread(lambda: 7, limiter) == 7
    with pytest.raises(ValueError, match="no"):
        await in_thread(lambda: int("no"), limiter)
    assert limiter.borrowed_tokens == 0


@on_a_loop
async def test_cancelled_before_it_begins_it_is_not_done() -> None:
    limiter = anyio.CapacityLimiter(1)
    go, done = threading.Event(), []
    first = asyncio.ensure_future(in_thread(lambda: go.wait(30), limiter))
    second = asyncio.ensure_future(in_thread(lambda: done.append(2), limiter))
    await asyncio.sleep(0.05)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    go.set()
    assert await first
    assert done == []


@on_a_loop
async def test_cancelled_later_it_keeps_its_place_to_its_end() -> None:
    limiter = anyio.CapacityLimiter(1)
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go.wait(30)
        raise MemoryError

    first = asyncio.ensure_future(in_thread(work, limiter))
    await asyncio.to_thread(begun.wait, 30)
    first.cancel()
    await asyncio.sleep(0.05)
    assert limiter.borrowed_tokens == 1
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert limiter.borrowed_tokens == 0


@pytest.mark.parametrize("way", ["task", "scope"])
@on_a_loop
async def test_who_leaves_shortens_what_it_waits_for(way: str) -> None:
    limiter = anyio.CapacityLimiter(1)
    go = threading.Event()
    if way == "task":
        doing = asyncio.ensure_future(in_thread(lambda: go.wait(30), limiter, go.set))
        await asyncio.sleep(0.05)
        doing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doing
    else:
        with anyio.move_on_after(0.05):
            await in_thread(lambda: go.wait(30), limiter, go.set)
    assert go.is_set()
    assert limiter.borrowed_tokens == 0
