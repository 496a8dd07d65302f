"""Releases and their calendar: ``YYYY.H.N`` is year, half-year and patch; days of grace."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from filter.errors import InputError

VALID_DAYS = 275
"""A full release comes each 1 January and 1 July; this leaves three months to change over."""
WARNING_DAYS = 60
GRACE_DAYS = 30
REFUSED_AT = time(10, tzinfo=UTC)
"""Never at midnight: whoever must act is at work."""


class Freshness(StrEnum):
    """How a bundle stands to its last day."""

    VALID = "valid"
    EXPIRING = "expiring"
    """Fewer than 60 days are left."""
    EXPIRED = "expired"
    """Within the 30 days of grace: to be served with an alarm."""
    REFUSED = "refused"


def parsed(release: str) -> tuple[int, int, int]:
    """Year, half-year and patch.

    Raises:
        InputError: not a release.
    """
    match = re.fullmatch(r"([1-8][0-9]{3})\.([12])\.(0|[1-9][0-9]{0,3})", release)
    if match is None:
        raise InputError("This is not a release: write year.half.patch, such as 2026.2.0.")
    return int(match[1]), int(match[2]), int(match[3])


def last_day(release: str) -> date:
    """The day to which a release is valid unless it says otherwise."""
    year, half, _ = parsed(release)
    return date(year, 1 if half == 1 else 7, 1) + timedelta(days=VALID_DAYS)


def refused_from(valid_until: date) -> datetime:
    """When an expired bundle is refused: at ten (UTC) of the first working day after the grace."""
    day = valid_until + timedelta(days=GRACE_DAYS + 1)
    while day.weekday() >= 5:
        day += timedelta(days=1)
    return datetime.combine(day, REFUSED_AT)


def freshness(valid_until: date, now: datetime) -> Freshness:
    """How a last day stands to a moment (with time zone)."""
    if now >= refused_from(valid_until):
        return Freshness.REFUSED
    today = now.astimezone(UTC).date()
    if today > valid_until:
        return Freshness.EXPIRED
    if today > valid_until - timedelta(days=WARNING_DAYS):
        return Freshness.EXPIRING
    return Freshness.VALID
