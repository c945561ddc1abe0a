"""Who delivers a message now, and what became of the try.

A lease is taken in one short transaction and closed in another; between them no transaction is
open, so a slow mail server holds no row. Whatever happens to the worker, its lease runs out
and another takes the message: delivered at least once, each time with the same Message-ID.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from domain.delivery.models import OutboxMessage
from domain.delivery.outbox import DEAD, PASSING, QUEUED, SENT

# Longer than the slowest exchange with a mail server (see transports.TIMEOUT).
LEASE = timedelta(minutes=5)
# The wait after each failed try. One try more than there are waits, and the message is dead.
BACKOFF = tuple(timedelta(minutes=m) for m in (1, 5, 15, 60, 4 * 60, 12 * 60, 24 * 60))
TRIES = len(BACKOFF) + 1
# The wait for what will be there in a moment.
MOMENT = timedelta(seconds=1)
# The failure of a message whose every try ended with the worker.
INTERRUPTED = "Interrupted"


@dataclass(frozen=True)
class Lease:
    """One try at one message. `attempt` and `until` together tell it from every other try."""

    id: UUID
    message_id: str
    kind: str
    sealed: bytes
    attempt: int
    until: datetime
    posted_at: datetime
    about: UUID | None

    @property
    def last(self) -> bool:
        """Whether the message is given up if this try fails."""
        return self.attempt >= TRIES


def due(session: Session, *, at: datetime) -> bool:
    """Whether there is anything to take. Locks nothing."""
    return session.scalar(_due(at).with_only_columns(OutboxMessage.id)) is not None


def take(session: Session, *, at: datetime) -> Lease | None:
    """Lease the message that has waited longest, or return None.

    Two workers never get the same one: PostgreSQL passes over rows that another has locked,
    and SQLite's transactions come one after the other. The try is counted here and not when it
    fails, so a message that kills its worker each time dies too.
    """
    while (row := session.scalar(_due(at).with_for_update(skip_locked=True))) is not None:
        if row.attempts >= TRIES or row.payload is None:
            _bury(row, row.failure or INTERRUPTED, at)
            session.flush()
            continue
        row.attempts += 1
        row.leased_until = at + LEASE
        return Lease(
            id=row.id,
            message_id=row.message_id,
            kind=row.kind,
            sealed=row.payload,
            attempt=row.attempts,
            until=row.leased_until,
            posted_at=row.created_at,
            about=row.about,
        )
    return None


def held(session: Session, lease: Lease) -> OutboxMessage | None:
    """The message, locked until the transaction ends, if the lease is still ours."""
    row = _locked(session, lease)
    if row is None or (row.attempts, row.leased_until) != (lease.attempt, lease.until):
        return None
    return row


def close(session: Session, lease: Lease, *, at: datetime) -> bool:
    """The message was delivered: keep that it was, and nothing of whom it was about.

    Holds even if the lease ran out meanwhile, because the mail has left; that another worker
    may send it a second time cannot be helped. Returns whether it was still queued.
    """
    row = _locked(session, lease)
    if row is None:
        return False
    finish(row, SENT, at=at)
    return True


def finish(row: OutboxMessage, state: str, *, at: datetime, failure: str | None = None) -> None:
    """Nothing more is to be done for the message: what was personal in it goes.

    With it goes what would tie it to a person from outside. A mail server's log knows to whom a
    Message-ID went, and the time to the millisecond is also that of the ledger's entries about
    what the mail tells: the two together would name the person of an entry after their erasure.
    """
    row.state, row.failure = state, failure
    row.payload = row.about = row.leased_until = None
    row.message_id = f"done {row.id}"
    row.created_at, row.due_at = _day(row.created_at), _day(row.due_at)
    row.closed_at = _day(at)


def _day(time: datetime) -> datetime:
    return time.replace(hour=0, minute=0, second=0, microsecond=0)


def postpone(session: Session, lease: Lease, failure: str, *, at: datetime) -> bool:
    """The try failed: wait for the next. Returns False if the lease is not ours any more."""
    row = held(session, lease)
    if row is None:
        return False
    row.due_at, row.leased_until = at + BACKOFF[lease.attempt - 1], None
    row.failure = failure
    return True


def put_off(session: Session, lease: Lease, *, at: datetime) -> bool:
    """Nothing failed, it is only too early: wait a moment, and do not count this try. Returns
    False if the lease is not ours any more."""
    row = held(session, lease)
    if row is None:
        return False
    row.due_at, row.leased_until = at + MOMENT, None
    row.attempts -= 1
    return True


def bury(session: Session, lease: Lease, failure: str, *, at: datetime) -> bool:
    """Give the message up; an operator can send it again, so it keeps what it says."""
    row = held(session, lease)
    if row is None:
        return False
    _bury(row, failure, at)
    return True


def _bury(row: OutboxMessage, failure: str, at: datetime) -> None:
    if row.kind in PASSING:  # the address was kept for this mail only
        finish(row, DEAD, at=at, failure=failure)
        return
    row.state, row.failure, row.closed_at, row.leased_until = DEAD, failure, at, None


def _due(at: datetime) -> Select[OutboxMessage]:
    free = OutboxMessage.leased_until.is_(None) | (OutboxMessage.leased_until <= at)
    return (
        select(OutboxMessage)
        .where(OutboxMessage.state == QUEUED, OutboxMessage.due_at <= at, free)
        .order_by(OutboxMessage.due_at, OutboxMessage.created_at)
        .limit(1)
    )


def _locked(session: Session, lease: Lease) -> OutboxMessage | None:
    row = session.get(OutboxMessage, lease.id, with_for_update=True, populate_existing=True)
    return row if row is not None and row.state == QUEUED else None
