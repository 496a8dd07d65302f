"""Politeness: one request a host at a time, a pause between two, and the wait before a retry."""

from __future__ import annotations

import asyncio
import math
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_SWEEP_FROM = 1024


class Crowded(Exception):
    """More requests wait for a host than the caller has patience for."""


@dataclass(slots=True)
class _Host:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    """Who asks the host now, and who waits to."""
    free_at: float = -math.inf
    """Loop time before which nobody asks the host."""


class HostGate:
    """Gives out turns: whoever has a host's turn is the only one that talks to it.

    A turn is over when its connection is closed. Nobody may take a second turn while having one,
    so nothing can wait in a circle.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._hosts: dict[str, _Host] = {}
        self._sweep_at = _SWEEP_FROM

    @asynccontextmanager
    async def turn(self, host: str, *, patience_s: float = math.inf) -> AsyncIterator[None]:
        """Wait until ``host`` is free and rested, and keep it for the length of the block.

        Raises:
            Crowded: the queue at the host is longer than ``patience_s``, by the delays alone.

        """
        entry = self._entry(host)
        ahead = entry.users * self._delay_s + max(0.0, entry.free_at - _now())
        if ahead > patience_s:
            raise Crowded
        entry.users += 1
        try:
            async with entry.lock:
                # Others may lengthen the rest meanwhile.
                while (pause := entry.free_at - _now()) > 0:  # noqa: ASYNC110
                    await asyncio.sleep(pause)
                try:
                    yield
                finally:
                    entry.free_at = max(entry.free_at, _now() + self._delay_s)
        finally:
            entry.users -= 1

    def rest(self, host: str, seconds: float) -> None:
        """Let nobody ask ``host`` for the next ``seconds``."""
        entry = self._entry(host)
        entry.free_at = max(entry.free_at, _now() + seconds)

    def _entry(self, host: str) -> _Host:
        """The entry of ``host``; drops idle ones each time their number has doubled."""
        if len(self._hosts) >= self._sweep_at:
            now = _now()
            self._hosts = {h: e for h, e in self._hosts.items() if e.users or e.free_at > now}
            self._sweep_at = max(_SWEEP_FROM, 2 * len(self._hosts))
        return self._hosts.setdefault(host, _Host())


def _now() -> float:
    return asyncio.get_running_loop().time()


def backoff(attempt: int, base_s: float, cap_s: float) -> float:
    """Seconds before retry ``attempt`` (0 is the first): doubling, the upper half of it random."""
    whole = base_s * 2.0 ** min(attempt, 32)
    return min(cap_s, whole * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, no secret)


def retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3); ``None`` for none.

    Not capped here; a date in the past is 0.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9]) if len(text) <= 9 else math.inf
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, (when - now).total_seconds())
