"""Releases and their calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filter.errors import InputError
from filter.release import Freshness, freshness, last_day, parsed, refused_from


@pytest.mark.parametrize(
    ("release", "parts"),
    [("2026.2.0", (2026, 2, 0)), ("2027.1.0", (2027, 1, 0)), ("2026.2.11", (2026, 2, 11))],
)
def test_releases(release: str, parts: tuple[int, int, int]) -> None:
    assert parsed(release) == parts


@pytest.mark.parametrize(
    "release",
    [
        "",
        "2026",
        "2026.2",
        "2026.3.0",
        "2026.0.0",
        "26.1.0",
        "2026.1.01",
        "v2026.1.0",
        "2026.1.0 ",
        "２０２６.1.0",
    ],
)
def test_no_releases(release: str) -> None:
    with pytest.raises(InputError, match=r"2026\.2\.0"):
        parsed(release)


def test_a_release_outlasts_the_half_year_by_three_months() -> None:
    assert last_day("2026.1.0") == date(2026, 10, 3)
    assert last_day("2026.2.0") == date(2027, 4, 2)


def test_how_a_release_ages() -> None:
    until = date(2027, 4, 2)  # a Friday
    moments = {
        datetime(2027, 2, 1, tzinfo=UTC): Freshness.VALID,
        datetime(2027, 2, 2, tzinfo=UTC): Freshness.EXPIRING,
        datetime(2027, 4, 2, 23, tzinfo=UTC): Freshness.EXPIRING,
        datetime(2027, 4, 3, tzinfo=UTC): Freshness.EXPIRED,
        datetime(2027, 5, 3, 9, 59, tzinfo=UTC): Freshness.EXPIRED,
        datetime(2027, 5, 3, 10, tzinfo=UTC): Freshness.REFUSED,
    }
    assert {m: freshness(until, m) for m in moments} == moments


@given(st.dates(date(2020, 1, 1), date(2100, 1, 1)))
def test_nobody_is_cut_off_at_night_or_on_a_weekend(until: date) -> None:
    moment = refused_from(until)
    assert moment.weekday() < 5
    assert moment.hour == 10
    assert timedelta(days=30) < moment.date() - until <= timedelta(days=33)
