"""Server-sent events as OpenAI's clients read them."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from model_gate.web import problems

MEDIA_TYPE = "text/event-stream"
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
DONE = b"data: [DONE]\n\n"
"""The last event of a stream that came to its end."""
_PATIENCE_S = 60
_encoded = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def event(content: Any) -> bytes:
    """One event."""
    return b"data: " + _encoded(content).encode() + b"\n\n"


def error_event(error: BaseException) -> bytes:
    """What a stream ends with when it cannot go on; nothing follows."""
    return event(problems.of(error).body)


def _nothing() -> None:
    pass


async def _forgetful(events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same; an error that ends it carries nothing of the answer along, for others may keep it."""
    try:
        async with aclosing(events):
            async for one in events:
                yield one
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)
        raise


class EventStream(StreamingResponse):
    """A stream of events that ends when its reader leaves, or does not read for a minute."""

    def __init__(self, events: AsyncGenerator[bytes], ended: Callable[[], None]) -> None:
        """``ended`` is called in any case, at last."""
        self._events = _forgetful(events)
        super().__init__(self._events, headers=HEADERS, media_type=MEDIA_TYPE)
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def patient(message: Message) -> None:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await send(message)
            except TimeoutError:
                raise ClientDisconnect from None

        try:
            await super().__call__(scope, receive, patient)
        finally:
            self._ended()
            self._ended = _nothing
            await self._events.aclose()
