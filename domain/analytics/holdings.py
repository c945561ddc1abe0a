"""What analytics keeps about people."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import table_of
from domain.analytics import pseudonyms, usage
from domain.analytics.models import UsageEvent, UsageKey
from domain.analytics.usage import Kind
from domain.dates import timestamp
from domain.holding import Holding

_KEY, _EVENT = table_of(UsageKey), table_of(UsageEvent)


@dataclass(frozen=True)
class Counted:
    """One thing that was counted: what was done with which tip or tool, by its slug."""

    item: str
    kind: Kind
    day: date
    locale: str


def last_day(session: Session, subject_id: UUID) -> date | None:
    """The day of the newest of what was counted of a member; None where there is nothing."""
    whose = pseudonyms.of_member(session, subject_id)
    newest = select(func.max(UsageEvent.day)).where(UsageEvent.pseudonym.in_(whose))
    return session.scalar(newest)


def of_browser(session: Session, token: str, *, limit: int) -> list[Counted] | None:
    """The newest of what was counted of the browser whose cookie holds this token (GDPR art. 15);
    None where it is not counted. Raises KeyServiceError."""
    key = session.scalar(select(_KEY.c.key).where(_KEY.c.browser == usage.browser_hash(token)))
    if key is None:
        return None
    months = pseudonyms.month_keys(session).values()
    whose = [pseudonyms.pseudonym(bytes(key), month) for month in months]
    order = (_EVENT.c.day.desc(), _EVENT.c.item, _EVENT.c.kind)
    query = select(_EVENT).where(_EVENT.c.pseudonym.in_(whose)).order_by(*order).limit(limit)
    return [
        Counted(row.item, Kind(row.kind), row.day, row.locale) for row in session.execute(query)
    ]


def _walk(session: Session, subject_id: UUID) -> Iterator[dict[str, Any]]:
    """Since when they are counted, and each thing that was."""
    row = session.execute(select(_KEY).where(_KEY.c.subject_id == subject_id)).one_or_none()
    if row is None:
        return
    yield {
        "counted_since_at": timestamp(row.begun_at),
        "despite_signal": row.despite_signal,
    }
    whose = pseudonyms.of_member(session, subject_id)
    query = select(_EVENT).where(_EVENT.c.pseudonym.in_(whose))
    for event in session.execute(query.order_by(_EVENT.c.day, _EVENT.c.item, _EVENT.c.kind)):
        yield {
            "tip": event.item,
            "kind": event.kind,
            "day": event.day.isoformat(),
            "locale": event.locale,
        }


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return list(_walk(session, subject_id))


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    usage.end_member(session, subject_id)


HOLDINGS = (
    Holding(
        name="usage",
        purposes=("analytics",),
        source="use",
        retention=("person", "usage", "visitors"),
        columns={
            "usage_key": (
                "id",
                "subject_id",
                "browser",
                "key",
                "despite_signal",
                "begun_at",
                "expires_at",
            ),
            "usage_event": ("pseudonym", "item", "kind", "day", "locale"),
        },
        export=_export,
        erase=_erase,
        walk=_walk,
    ),
)
