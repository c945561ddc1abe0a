"""What time leaves of what was counted: sums of weeks, about nobody.

A week goes as a whole, on the day on which the first of what is left of it must: its sums are
written by the first transaction that deletes of it, and by no later one, so a kill between two of
them changes no number. Groups of fewer than five are never written down.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from database import table_of
from domain.analytics import pseudonyms
from domain.analytics.models import UsageEvent, UsageMonth, UsageWeek

# Fewer people than this are not told of: who knows some of them would know of the others.
FEWEST = 5

_EVENT, _WEEK, _MONTH = table_of(UsageEvent), table_of(UsageWeek), table_of(UsageMonth)
_KEY = tuple(_EVENT.primary_key)
_GROUP = (_EVENT.c.item, _EVENT.c.kind, _EVENT.c.locale)


def counted(week: date) -> Select[tuple[str, str, str, int]]:
    """How many people did what in one week, by item, kind and language; only what may be told."""
    people = func.count(_EVENT.c.pseudonym.distinct())
    return (
        select(*_GROUP, people.label("people"))
        .where(_in(week))
        .group_by(*_GROUP)
        .having(people >= FEWEST)
    )


def summed(session: Session, week: date) -> bool:
    """Whether a week's sums are written already, so that its events are on their way out."""
    return session.scalar(select(_WEEK.c.week).where(_WEEK.c.week == week).limit(1)) is not None


def due(day: date) -> Select[tuple[bytes]]:
    """The events of this day and before."""
    return select(_EVENT.c.pseudonym).where(_EVENT.c.day <= day)


def months_due(day: date) -> Select[tuple[str]]:
    """The months all of whose weeks ended before this day."""
    return select(_MONTH.c.month).where(_MONTH.c.month < pseudonyms.month_of(day))


def lapse(session: Session, day: date, limit: int) -> int:
    """Let some events go of the oldest week of which something is due; how many went."""
    oldest = session.scalar(select(func.min(_EVENT.c.day)).where(_EVENT.c.day <= day))
    if oldest is None:
        return 0
    week = pseudonyms.monday(oldest)
    if not summed(session, week):
        rows = [{"week": week, **row._mapping} for row in session.execute(counted(week))]
        if rows:
            session.execute(insert(_WEEK), rows)
    # Not those that somebody takes back just now: we would wait for them, and they for us.
    some = select(*_KEY).where(_in(week)).limit(limit).with_for_update(skip_locked=True)
    return session.connection().execute(delete(_EVENT).where(tuple_(*_KEY).in_(some))).rowcount


def lapse_months(session: Session, day: date) -> int:
    """Destroy the keys of months whose events are gone; how many."""
    gone = delete(_MONTH).where(_MONTH.c.month < pseudonyms.month_of(day))
    return session.connection().execute(gone).rowcount


def _in(week: date) -> Any:
    return _EVENT.c.day.between(week, week + timedelta(days=6))
