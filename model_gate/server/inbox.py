"""From the engine's thread to the event loop: the pieces of a request's answers, in order.

What waits here has passed the filter. A reader who does not read cannot hold up the engine, which serves others
in the same step: the inbox of such a request fills up, and then the request is ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from model_gate.channels import Piece
from model_gate.web.problems import SERVER, ApiError

LARGEST = 256 * 1024
"""Characters that may wait for a reader."""


class Said(NamedTuple):
    """Something that one choice says."""

    choice: int
    pieces: Sequence[Piece]


class Ended(NamedTuple):
    """The end of one choice."""

    choice: int
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class Inbox:
    """Of one request. All methods are called on its event loop."""

    def __init__(self, choices: int, *, streams: bool) -> None:
        self.loop = asyncio.get_running_loop()
        self._streams = streams
        self._open = choices
        self._waiting: deque[Said | Ended] = deque()
        self._size = 0
        self._error: ApiError | None = None
        self._news = asyncio.Event()

    def put(self, what: Said | Ended) -> bool:
        """Take what the engine hands out; False when nobody reads it and nothing more is wanted."""
        if self._error is not None:
            return False
        self._waiting.append(what)
        if isinstance(what, Said):
            self._size += sum(len(piece.text) for piece in what.pieces)
        self._news.set()
        if self._streams and self._size > LARGEST:
            self.fail(
                ApiError(503, "The answer was not read as fast as it was given.", SERVER, "slow")
            )
            return False
        return True

    def fail(self, error: ApiError) -> None:
        """End all choices with an error; what waits is dropped."""
        if self._error is None:
            self._error = error
            self._waiting.clear()
            self._news.set()

    async def __aiter__(self) -> AsyncIterator[Said | Ended]:
        """What is said, up to the end of the last choice.

        Raises:
            ApiError: the error with which it ended.
        """
        while self._open:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                what = self._waiting.popleft()
                if isinstance(what, Said):
                    self._size -= sum(len(piece.text) for piece in what.pieces)
                else:
                    self._open -= 1
                yield what
            if self._error is not None:
                raise self._error.again()
