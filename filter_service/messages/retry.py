"""When to try again, as a pure function: what is sent to a machine that is down is sent again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on trying."""

    first: timedelta
    """The wait after the first failure; each further one is twice as long."""
    longest: timedelta
    """No wait is longer."""
    attempts: int
    """After so many failures it is given up."""


MAIL = Patience(timedelta(minutes=1), timedelta(hours=6), 28)
"""A little under five days in all (RFC 5321, section 4.5.4.1: at least four to five)."""


def next_attempt(
    failures: int, now: datetime, patience: Patience, asked: timedelta | None = None
) -> datetime | None:
    """When to try again after ``failures`` failures, the last of them now; ``None`` for never.

    ``asked`` is what the other side asks for (``Retry-After``): it can lengthen a wait to the longest.
    There is no jitter: a registry sends little, and one after the other.

    Raises:
        ValueError: no failure, no retry.
    """
    if failures < 1:
        raise ValueError("There is nothing to try again before the first failure.")
    if failures >= patience.attempts:
        return None
    wait = patience.longest
    if failures <= 32:  # beyond it any wait is the longest
        wait = min(patience.first * 2 ** (failures - 1), patience.longest)
    if asked is not None:
        wait = min(max(wait, asked), patience.longest)
    return now + wait
