"""Reading the engine while the reader is served, no further ahead than a few chunks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from model_gate.proxy.upstream import Chunks

_BUFFER = 32
"""Chunks."""


class ReadAhead:
    """Reads chunks into a bounded queue; at their end `None`, or the error that ended them."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks
        self._queue: asyncio.Queue[dict[str, Any] | BaseException | None] = asyncio.Queue(_BUFFER)

    async def __aenter__(self) -> asyncio.Queue[dict[str, Any] | BaseException | None]:
        self._task = asyncio.ensure_future(self._read())
        return self._queue

    async def __aexit__(self, *_: object) -> None:
        # Cancelled once: each further time would break off the closing of the connection.
        self._task.cancel()
        with anyio.CancelScope(shield=True):
            await asyncio.wait({self._task})
        del self._task  # its error knows this reader, and through it the prompt

    async def _read(self) -> None:
        try:
            async for chunk in self._chunks:
                await self._queue.put(chunk)
            await self._queue.put(None)
        except Exception as error:  # noqa: BLE001 -- raised where it is read
            await self._queue.put(error)
