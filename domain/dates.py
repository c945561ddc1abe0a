"""Dates as the law counts them, and times as the ledger writes them."""

from __future__ import annotations

import calendar
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

OSLO = ZoneInfo("Europe/Oslo")


def add_months(day: date, months: int) -> date:
    """The same day of the month `months` later; the month's last day where it has no such day.

    Regulation (EEC, Euratom) 1182/71 art. 3(2)(c): 31 January and one month is 28 February,
    or 29 in a leap year.
    """
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last))


def months_later(at: datetime, months: int) -> datetime:
    """The same time of day in UTC, `months` later by the calendar."""
    later = add_months(at.date(), months)
    return at.replace(year=later.year, month=later.month, day=later.day)


def local_day(at: datetime) -> date:
    """The day it is in Norway."""
    return at.astimezone(OSLO).date()


def timestamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, as entries carry it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> datetime:
    """Read what `timestamp` wrote. Raises ValueError."""
    if not text.endswith("Z"):
        raise ValueError("not a UTC time")
    return datetime.fromisoformat(text)
