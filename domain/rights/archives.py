"""The stored side of a large copy: its row, who makes it, and its sealed parts.

`waiting → making → ready → fetching → gone`. Whoever makes it has a lease, which each part that
is stored prolongs; the time it runs out tells this try from every other. What a kill leaves
behind: a row in `making` with some parts, which the next try deletes and begins anew when the
lease has run out. A ready copy is whole: its last part, its state, `request.fulfilled` and the
mail are one transaction (exports.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Select, delete, or_, select
from sqlalchemy.orm import Session

from domain.consent.purposes import purposes
from domain.dates import timestamp
from domain.holding import Holding
from domain.identity import vault
from domain.rights.errors import NoExport, Stopped
from domain.rights.models import DataSubjectRequest, ExportArchive, ExportPart
from domain.rights.requests import RequestState
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject

# Much longer than a part takes, and short enough to wait for after a kill.
LEASE = timedelta(minutes=2)
RULE = "exports"
_TABLE = "export_part"


class ExportState(StrEnum):
    """How far a copy has come. FETCHING is one whose download began, and was not read whole."""

    WAITING = "waiting"
    MAKING = "making"
    READY = "ready"
    FETCHING = "fetching"
    GONE = "gone"

    @property
    def fetchable(self) -> bool:
        """Whether there is something to fetch."""
        return self in (ExportState.READY, ExportState.FETCHING)


_UNMADE = (ExportState.WAITING.value, ExportState.MAKING.value)


@dataclass
class Making:
    """One try at one copy. `until` tells it from every other; `number` and `size` count what it
    has stored."""

    id: UUID
    request_id: UUID
    subject_id: UUID
    locale: str
    until: datetime
    number: int = 0
    size: int = 0


def new(
    session: Session, request_id: UUID, subject_id: UUID, locale: str, *, at: datetime
) -> ExportArchive:
    """A copy that waits to be made."""
    row = ExportArchive(
        id=uuid4(),
        request_id=request_id,
        subject_id=subject_id,
        state=ExportState.WAITING.value,
        locale=locale,
        done=0,
        total=0,
        size=0,
        asked_at=at,
    )
    session.add(row)
    session.flush()
    return row


def of_request(session: Session, request_id: UUID) -> ExportArchive | None:
    """The newest copy that was asked for by a request."""
    newest = ExportArchive.asked_at.desc()
    mine = select(ExportArchive).where(ExportArchive.request_id == request_id)
    return session.scalar(mine.order_by(newest).limit(1))


def anything(session: Session, *, at: datetime) -> bool:
    """Whether there is anything to make, or to let go. Locks nothing."""
    found = [query.limit(1) for query in (_over(at), _unwanted(), _free(at))]
    return any(session.scalar(query.with_only_columns(ExportArchive.id)) for query in found)


def waits(session: Session, *, at: datetime) -> bool:
    """Whether there is anything to make. Locks nothing."""
    return session.scalar(_free(at).with_only_columns(ExportArchive.id).limit(1)) is not None


def purge(session: Session, *, at: datetime) -> int:
    """Delete the copies whose time is over, fetched or not, and those that nobody asks for any
    more because their request was cancelled or closed; return how many."""
    rows = [
        row
        for query in (_over(at), _unwanted())
        for row in session.scalars(query.with_for_update(skip_locked=True, of=ExportArchive))
    ]
    for row in {row.id: row for row in rows}.values():
        session.delete(row)
    session.flush()
    return len(rows)


def take(session: Session, *, at: datetime) -> Making | None:
    """Lease the copy that has waited longest, and throw away what another try left of it.

    Two workers never get the same one: PostgreSQL passes over rows that another has locked, and
    SQLite's transactions come one after the other.
    """
    mine = _free(at).order_by(ExportArchive.asked_at).limit(1)
    row = session.scalar(mine.with_for_update(skip_locked=True, of=ExportArchive))
    if row is None:
        return None
    _clear(session, row.id)
    row.state, row.done, row.size = ExportState.MAKING.value, 0, 0
    row.leased_until = at + LEASE
    session.flush()
    return Making(row.id, row.request_id, row.subject_id, row.locale, row.leased_until)


def held(session: Session, making: Making) -> ExportArchive:
    """The row, locked until the transaction ends. Raises Stopped where this try has lost it: the
    person is erased or about to be, the request is not open any more, another worker took over."""
    row = session.scalar(
        select(ExportArchive)
        .join(DataSubjectRequest, DataSubjectRequest.id == ExportArchive.request_id)
        .join(Subject, Subject.id == ExportArchive.subject_id)
        .where(
            ExportArchive.id == making.id,
            ExportArchive.state == ExportState.MAKING.value,
            ExportArchive.leased_until == making.until,
            DataSubjectRequest.state == RequestState.VERIFIED.value,
            Subject.erasing_at.is_(None),
        )
        .with_for_update(of=ExportArchive)
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise Stopped
    return row


def advance(
    session: Session, making: Making, done: int, total: int, part: bytes, *, at: datetime
) -> ExportArchive:
    """Note how far it has come, seal the next part, if there is one, and keep the lease. Raises
    Stopped."""
    row = held(session, making)
    if part:
        sealed = _seal(session, making.subject_id, making.id, making.number, part)
        session.add(ExportPart(archive_id=making.id, number=making.number, sealed=sealed))
        making.number += 1
        making.size += len(part)
    row.done, row.total, row.size = done, total, making.size
    row.leased_until = making.until = at + LEASE
    session.flush()
    return row


def finish(session: Session, row: ExportArchive, *, at: datetime) -> None:
    """It is whole: it can be fetched until the rule `exports` says."""
    row.state, row.leased_until = ExportState.READY.value, None
    row.done = row.total
    row.expires_at = purposes(session).retention[RULE].until(at)
    session.flush()


def give_back(session: Session, making: Making) -> None:
    """Let another try begin at once; nothing stays of this one."""
    row = session.get(ExportArchive, making.id, with_for_update=True, populate_existing=True)
    if row is None or row.leased_until != making.until:
        return
    _clear(session, row.id)
    row.state, row.leased_until = ExportState.WAITING.value, None
    row.done = row.size = 0
    session.flush()


def fetchable(session: Session, archive_id: UUID, *, at: datetime) -> ExportArchive:
    """The row of a copy that is there, locked until the transaction ends. Raises NoExport."""
    row = session.get(ExportArchive, archive_id, with_for_update=True, populate_existing=True)
    if row is None or not ExportState(row.state).fetchable:
        raise NoExport
    if row.expires_at is None or row.expires_at <= at:
        raise NoExport
    return row


def part(session: Session, archive_id: UUID, subject_id: UUID, number: int) -> bytes:
    """A part, opened. Raises NoExport where it is gone, with its person perhaps; WrongSeal where
    it was changed or changed places."""
    row = session.get(ExportPart, (archive_id, number))
    if row is None:
        raise NoExport
    try:
        key = vault.key_of(session, subject_id)
    except UnknownSubject:
        raise NoExport from None
    return vault.open_bytes(key, _TABLE, archive_id, f"sealed:{number}", row.sealed)


def let_go(session: Session, row: ExportArchive) -> None:
    """It was fetched: the parts go now, and the row, which says so, with its time."""
    _clear(session, row.id)
    row.state = ExportState.GONE.value
    session.flush()


def _seal(session: Session, subject_id: UUID, archive_id: UUID, number: int, part: bytes) -> bytes:
    try:
        key = vault.key_of(session, subject_id)
    except UnknownSubject:
        raise Stopped from None
    return vault.seal_bytes(key, _TABLE, archive_id, f"sealed:{number}", part)


def _clear(session: Session, archive_id: UUID) -> None:
    session.execute(delete(ExportPart).where(ExportPart.archive_id == archive_id))


def _free(at: datetime) -> Select[ExportArchive]:
    """Wanted, and in nobody's hands. Who is about to be erased waits for that, or for its end."""
    return (
        select(ExportArchive)
        .join(DataSubjectRequest, DataSubjectRequest.id == ExportArchive.request_id)
        .join(Subject, Subject.id == ExportArchive.subject_id)
        .where(
            ExportArchive.state.in_(_UNMADE),
            or_(ExportArchive.leased_until.is_(None), ExportArchive.leased_until <= at),
            DataSubjectRequest.state == RequestState.VERIFIED.value,
            Subject.erasing_at.is_(None),
        )
    )


def _unwanted() -> Select[ExportArchive]:
    return (
        select(ExportArchive)
        .join(DataSubjectRequest, DataSubjectRequest.id == ExportArchive.request_id)
        .where(
            ExportArchive.state.in_(_UNMADE),
            DataSubjectRequest.state != RequestState.VERIFIED.value,
        )
    )


def _over(at: datetime) -> Select[ExportArchive]:
    return select(ExportArchive).where(ExportArchive.expires_at <= at)


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    rows = session.scalars(
        select(ExportArchive)
        .where(ExportArchive.subject_id == subject_id)
        .order_by(ExportArchive.asked_at)
    )
    return [
        {
            "state": row.state,
            "locale": row.locale,
            "asked_at": timestamp(row.asked_at),
            "done": row.done,
            "total": row.total,
            "size": row.size,
            "expires_at": timestamp(row.expires_at) if row.expires_at else None,
        }
        for row in rows
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Delete the copies with their parts, also one that is being made: who makes it finds out."""
    session.execute(delete(ExportArchive).where(ExportArchive.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="exports",
        purposes=("rights",),
        source="use",
        retention=(RULE,),
        columns={
            "export_archive": (
                *("id", "request_id", "subject_id", "state", "locale", "done", "total", "size"),
                *("asked_at", "leased_until", "expires_at"),
            ),
            "export_part": ("archive_id", "number", "sealed"),
        },
        export=_export,
        erase=_erase,
    ),
)
