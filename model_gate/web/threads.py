"""Work in threads of which there are only so many, also where whoever wanted it does not wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


def _nothing() -> None:
    pass


async def in_thread(
    work: Callable[[], T], limiter: anyio.CapacityLimiter, left: Callable[[], None] = _nothing
) -> T:
    """Do it in a thread.

    Cancelled before it has begun it is not done at all. Afterwards it keeps its place among those of
    ``limiter`` up to its end, and the caller waits for that: a thread cannot be stopped.

    Args:
        work: what is to be done.
        limiter: how many at once.
        left: called when it is cancelled meanwhile, to shorten what it waits for.
    """
    try:
        await limiter.acquire()
    except BaseException:
        del work, left  # the error and the task keep each other
        raise
    try:
        doing = asyncio.ensure_future(
            anyio.to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        )
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            left()
            with anyio.CancelScope(shield=True):
                await asyncio.wait({doing})
            if not doing.cancelled():
                doing.exception()  # looked at: nobody is there to be told
            raise
    finally:
        limiter.release()
