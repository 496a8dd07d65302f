"""Moments as TUF writes them: UTC, whole seconds (TUF specification 4.2.1)."""

from __future__ import annotations

from datetime import UTC, datetime


def whole_seconds(moment: datetime) -> datetime:
    """The moment in UTC, fractions of the second left out.

    Raises:
        ValueError: it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without time zone")
    return moment.astimezone(UTC).replace(microsecond=0)
