"""Months as the law counts them, days as Norway has them, times as entries write them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.dates import add_months, local_day, months_later, parse_timestamp, timestamp


@pytest.mark.requirement(54)
@pytest.mark.parametrize(
    ("day", "months", "due"),
    [
        ("2026-11-22", 1, "2026-12-22"),
        ("2026-12-15", 1, "2027-01-15"),
        ("2027-01-31", 1, "2027-02-28"),
        ("2028-01-31", 1, "2028-02-29"),
        ("2028-01-30", 1, "2028-02-29"),
        ("2028-01-29", 1, "2028-02-29"),
        ("2027-01-29", 1, "2027-02-28"),
        ("2028-02-29", 1, "2028-03-29"),
        ("2028-02-29", 12, "2029-02-28"),
        ("2028-02-29", 48, "2032-02-29"),
        ("2100-01-31", 1, "2100-02-28"),
        ("2027-03-31", 1, "2027-04-30"),
        ("2027-12-31", 2, "2028-02-29"),
        ("2027-05-31", 0, "2027-05-31"),
    ],
)
def test_a_month_is_the_same_day_or_the_last_one(day: str, months: int, due: str) -> None:
    """31 January and one month is the end of February, leap years and all (1182/71)."""
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(due)


@given(st.dates(date(1990, 1, 1), date(2100, 1, 1)), st.integers(0, 600))
def test_months_never_skip_one(day: date, months: int) -> None:
    """The result lies in the month that was counted to, and never after the day itself."""
    later = add_months(day, months)
    assert later.year * 12 + later.month == day.year * 12 + day.month + months
    assert later.day <= day.day
    assert later.day == day.day or (later + timedelta(days=1)).day == 1


def test_a_time_keeps_its_time_of_day() -> None:
    """A yes of 29 February lasts until the same second of the 28th two years later."""
    at = datetime(2028, 2, 29, 23, 59, 59, 999000, tzinfo=UTC)
    assert months_later(at, 24) == datetime(2030, 2, 28, 23, 59, 59, 999000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 22, 22, 59, tzinfo=UTC), date(2026, 11, 22)),
        (datetime(2026, 11, 22, 23, 0, tzinfo=UTC), date(2026, 11, 23)),
        (datetime(2026, 7, 1, 22, 0, tzinfo=UTC), date(2026, 7, 2)),
        (datetime(2027, 1, 30, 23, 30, tzinfo=UTC), date(2027, 1, 31)),
    ],
)
def test_the_day_is_the_norwegian_one(at: datetime, day: date) -> None:
    """Winter time and summer time."""
    assert local_day(at) == day


def test_times_are_written_in_utc_with_milliseconds() -> None:
    """From whatever zone, cut and not rounded; and only such times are read."""
    at = datetime(2026, 11, 22, 13, 0, 0, 999999, tzinfo=timezone(timedelta(hours=1)))
    assert timestamp(at) == "2026-11-22T12:00:00.999Z"
    assert parse_timestamp("2026-11-22T12:00:00.999Z") == at.replace(microsecond=999000)
    for text in ("2026-11-22T12:00:00.999", "2026-11-22T12:00:00+00:00", "", "Z", "noonZ"):
        with pytest.raises(ValueError, match=r".+"):
            parse_timestamp(text)
