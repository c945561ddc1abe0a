"""What the operator sees of use: people in a week, never a person.

A group of fewer than five is not shown and counts in no total, so no total tells of it; nor is it
told whether there was one. Who comes in another week counts anew: nobody can be followed from one
month to the next, not by us either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from database import table_of
from domain.analytics import lapsing, pseudonyms
from domain.analytics.models import UsageWeek
from domain.analytics.usage import Kind

T = TypeVar("T")
_WEEK = table_of(UsageWeek)


@dataclass(frozen=True)
class Group:
    """So many people did this with a tip or tool, in one week and one language."""

    week: date
    item: str
    kind: Kind
    locale: str
    people: int


def weeks(last: date, number: int) -> list[date]:
    """The Mondays of so many weeks, oldest first; the last is that of this day."""
    newest = pseudonyms.monday(last)
    return [newest - timedelta(weeks=back) for back in reversed(range(number))]


def groups(session: Session, of: Sequence[date]) -> list[Group]:
    """Every group of these weeks that may be shown, whether its events are still there or not."""
    kept = [_WEEK.c.item, _WEEK.c.kind, _WEEK.c.locale, _WEEK.c.people]
    found: list[Group] = []
    for week in of:
        query = lapsing.counted(week)
        if lapsing.summed(session, week):
            query = select(*kept).where(_WEEK.c.week == week)
        found += [
            Group(week, row.item, Kind(row.kind), row.locale, row.people)
            for row in session.execute(query)
        ]
    return found


def sums(found: Iterable[Group], by: Callable[[Group], T]) -> dict[T, dict[Kind, int]]:
    """How many people are shown of each kind, by whatever is asked."""
    total: dict[T, dict[Kind, int]] = {}
    for one in found:
        kinds = total.setdefault(by(one), {})
        kinds[one.kind] = kinds.get(one.kind, 0) + one.people
    return total
