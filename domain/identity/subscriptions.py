"""Subscriptions: from a day to a day, as they are in Norway; one runs at a time.

The clock of retention starts when one ends, and is cleared when another starts. How long it
runs is the register's to say.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from domain.dates import local_day, timestamp
from domain.holding import Holding
from domain.identity.errors import AlreadySubscribed, BadPeriod
from domain.identity.models import Account, Subscription
from domain.subjects import service as subjects

# The rule of the register (content/purposes.toml) that counts from the end.
RULE = "customer"


def start(session: Session, subject_id: UUID, *, on: date, at: datetime) -> Subscription:
    """A new one, from that day. Raises AlreadySubscribed, BadPeriod where it would begin before
    the last one ended, and UnknownSubject."""
    subjects.lock(session, subject_id)
    before = of_subject(session, subject_id)
    if any(one.ended_on is None for one in before):
        raise AlreadySubscribed
    if any(one.ended_on and one.ended_on > on for one in before):
        raise BadPeriod(on)
    made = Subscription(id=uuid4(), subject_id=subject_id, started_on=on)
    session.add(made)
    session.flush()
    subjects.record(
        session, subject_id, "subscription.started", {"started_on": on.isoformat()}, at=at
    )
    return made


def end(session: Session, subject_id: UUID, *, on: date, at: datetime) -> bool:
    """End the one that runs, with that day; False if none does. Raises BadPeriod for a day before
    it started, and UnknownSubject."""
    subjects.lock(session, subject_id)
    running = [one for one in of_subject(session, subject_id) if one.ended_on is None]
    if not running:
        return False
    (one,) = running
    if on < one.started_on:
        raise BadPeriod(on)
    one.ended_on = on
    session.flush()
    subjects.record(session, subject_id, "subscription.ended", {"ended_on": on.isoformat()}, at=at)
    return True


def of_subject(session: Session, subject_id: UUID) -> list[Subscription]:
    """A person's subscriptions, the oldest first, as they are now."""
    statement = (
        select(Subscription)
        .where(Subscription.subject_id == subject_id)
        .order_by(Subscription.started_on, Subscription.ended_on.is_(None), Subscription.ended_on)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(statement))


def last_day(session: Session, subject_id: UUID) -> date | None:
    """The day that the last subscription ended; None while one runs, or if there never was one."""
    ends = [one.ended_on for one in of_subject(session, subject_id)]
    return max((day for day in ends if day), default=None) if None not in ends else None


def erase_on(session: Session, subject_id: UUID, *, at: datetime) -> date | None:
    """The day on which the account goes, because the last subscription ended; None while one
    runs, or if there never was one. Who has an account is told before: whoever was told late, or
    can only be told now, keeps it for that longer."""
    ended = last_day(session, subject_id)
    if ended is None:
        return None
    # Every session carries the register; its rules are all that is asked of it here.
    rule = session.info["purposes"].retention[RULE]
    day: date = rule.end(ended)
    account = select(Account.id).where(Account.subject_id == subject_id)
    if not rule.warn_days or session.scalar(account) is None:
        return day
    told = max(one.warned_at or at for one in of_subject(session, subject_id))
    return max(day, local_day(told) + timedelta(days=rule.warn_days))


def warn_anew(session: Session, subject_id: UUID) -> None:
    """What they were told of the day does not hold any more: tell them again before it comes."""
    session.execute(
        update(Subscription)
        .where(Subscription.subject_id == subject_id)
        .values(warned_at=None)
        .execution_options(synchronize_session=False)
    )


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "started_on": one.started_on.isoformat(),
            "ended_on": one.ended_on.isoformat() if one.ended_on else None,
            "warned_at": timestamp(one.warned_at) if one.warned_at else None,
        }
        for one in of_subject(session, subject_id)
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(Subscription).where(Subscription.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="subscriptions",
        purposes=("account",),
        source="person",
        retention=(RULE, "person"),
        columns={"subscription": ("id", "subject_id", "started_on", "ended_on", "warned_at")},
        export=_export,
        erase=_erase,
        holdable=True,
    ),
)
