"""Legal holds: some of what is kept about a person must not be erased yet (GDPR art. 17(3)).

A hold has a ground, a reason, named holdings and a day on which somebody looks at it again. There
is none without an end: on that day it ends by itself, and what it kept back of somebody who is
being erased goes in the same transaction.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from domain.apart import each
from domain.consent.purposes import purposes
from domain.dates import add_months, local_day
from domain.delivery import outbox
from domain.locales import DEFAULT
from domain.rights import erasure, held, joining
from domain.rights.errors import BadHold, UnknownHold
from domain.rights.held import kept_back as kept_back
from domain.rights.inventory import INVENTORY
from domain.rights.models import LegalHold
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

# Foreldelsesloven § 2: a claim is barred after three years. Nobody looks away for longer.
_LONGEST_MONTHS = 36
# The operator is told so long before the day.
REMINDED = timedelta(days=14)


class Ground(StrEnum):
    """What the law lets us keep it for."""

    LEGAL_CLAIM = "legal_claim"  # art. 17(3)(e)
    LEGAL_DUTY = "legal_duty"  # art. 17(3)(b)


HOLDABLE = tuple(holding.name for holding in INVENTORY if holding.holdable)


def place(
    session: Session,
    subject_id: UUID,
    ground: str,
    reason_text: str,
    holdings: Collection[str],
    review_on: date,
    *,
    at: datetime,
) -> LegalHold:
    """Keep these holdings of a person from being erased. Raises BadHold, UnknownSubject."""
    if ground not in list(Ground):
        raise BadHold(f"{ground!r} is no ground; there are {', '.join(Ground)}")
    if not reason_text.strip():
        raise BadHold("a hold needs a reason")
    if not holdings or not set(holdings) <= set(HOLDABLE):
        raise BadHold(f"a hold names one or more of: {', '.join(HOLDABLE)}")
    _check_day(review_on, at)
    subjects.lock(session, subject_id)
    names, hold_id = [name for name in HOLDABLE if name in holdings], uuid4()
    hold = LegalHold(
        id=hold_id,
        subject_id=subject_id,
        ground=ground,
        reason=held.sealed(session, subject_id, hold_id, reason_text.strip()),
        holdings=" ".join(names),
        placed_at=at,
        review_on=review_on,
    )
    session.add(hold)
    data = {"ground": ground, "holdings": names, "review_on": review_on.isoformat()}
    subjects.record(session, subject_id, "hold.placed", data, at=at)
    session.flush()
    return hold


def extend(session: Session, hold: LegalHold, review_on: date, *, at: datetime) -> None:
    """Somebody looked at it again, and it is still needed. Raises BadHold, UnknownHold."""
    _require(hold)
    _check_day(review_on, at)
    hold.review_on, hold.reminded_at = review_on, None
    data = {"review_on": review_on.isoformat()}
    subjects.record(session, hold.subject_id, "hold.extended", data, at=at)
    session.flush()


def release(session: Session, hold: LegalHold, *, at: datetime) -> None:
    """End a hold; what it kept back of somebody who is being erased goes now, and what it
    kept apart from an account is joined to it. Raises UnknownHold."""
    _require(hold)
    subject_id, names = hold.subject_id, hold.holdings.split()
    hold.ended_at = at
    subjects.record_anyway(session, subject_id, "hold.released", {}, at=at)
    session.flush()
    erasure.go_on(session, subject_id, names, at=at)
    joining.after_hold(session, subject_id, at=at)


def end_due(session: Session, *, at: datetime, limit: int = 50) -> int:
    """End the holds whose day has come, and tell the operator of those whose day is near, so many
    at most of each; return how many that were."""

    def end(hold_id: UUID) -> bool:
        hold = take(session, hold_id)
        if hold is None or hold.ended_at is not None or hold.review_on > local_day(at):
            return False
        release(session, hold, at=at)
        return True

    due = _running(LegalHold.review_on <= local_day(at))
    ended = each(session, due, end, doing="ending_hold", limit=limit)
    return ended + _remind(session, at=at, limit=limit)


def take(session: Session, hold_id: UUID) -> LegalHold | None:
    """A hold, with its person locked until the transaction ends."""
    hold = session.get(LegalHold, hold_id)
    if hold is None:
        return None
    try:
        subjects.lock(session, hold.subject_id)
    except UnknownSubject:  # erased while we waited, and the hold with them
        session.expunge(hold)
        return None
    session.refresh(hold)
    return hold


def running(session: Session) -> list[LegalHold]:
    """Every hold that has not ended, the next to be looked at first."""
    query = select(LegalHold).where(LegalHold.ended_at.is_(None))
    return list(session.scalars(query.order_by(LegalHold.review_on, LegalHold.id)))


def _remind(session: Session, *, at: datetime, limit: int) -> int:
    """A mail with the hold's number and day: it says nothing of anybody."""
    near = LegalHold.review_on <= local_day(at) + REMINDED
    reminded = 0
    unreminded = _running(near & LegalHold.reminded_at.is_(None)).limit(limit)
    for hold_id in session.scalars(unreminded).all():
        hold = take(session, hold_id)
        if hold is None or hold.ended_at is not None or hold.reminded_at is not None:
            continue
        hold.reminded_at = at
        letter = {
            "to": purposes(session).operator.email,
            "name": None,
            "locale": DEFAULT,
            "hold": hold.id,
            "review_on": hold.review_on,
        }
        outbox.post(session, "mail.hold_review", letter, at=at)
        reminded += 1
    session.flush()
    return reminded


def _running(which: ColumnElement[bool]) -> Select[UUID]:
    query = select(LegalHold.id).where(LegalHold.ended_at.is_(None), which)
    return query.order_by(LegalHold.subject_id, LegalHold.id)


def _require(hold: LegalHold) -> None:
    if hold.ended_at is not None:
        raise UnknownHold(hold.id)


def _check_day(review_on: date, at: datetime) -> None:
    today = local_day(at)
    if not today < review_on <= add_months(today, _LONGEST_MONTHS):
        raise BadHold("the day to look at it again is after today, and in three years at most")
