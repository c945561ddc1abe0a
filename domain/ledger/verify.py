"""What must hold of the ledger, checked from the stored bytes up.

Every check streams: its memory does not grow with the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, select
from sqlalchemy.orm import Session

from domain.ledger import guards, schemas
from domain.ledger.entry import decode
from domain.ledger.errors import LedgerError
from domain.ledger.models import LedgerEntry, LedgerPending

_BATCH = 1000


@dataclass(frozen=True)
class Check:
    """An invariant: its number (docs/operations.md), what it says, and what finds where it is
    violated. `run` yields a name for each place: of an entry, its id."""

    number: int
    sentence: str
    run: Callable[[Session], Iterator[str]]


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and the first place where it does not."""

    check: Check
    where: str

    def __str__(self) -> str:
        return f"invariant {self.check.number} does not hold ({self.check.sentence}): {self.where}"


def first_violation(session: Session, checks: Iterable[Check]) -> Violation | None:
    """Run the checks in their order; stop at the first place where one fails.

    A later check may lean on an earlier one: none reads entries that were not checked.
    """
    for check in checks:
        where = next(check.run(session), None)
        if where is not None:
            return Violation(check, where)
    return None


def stream(session: Session, statement: Executable) -> Iterator[Any]:
    """Rows, a batch at a time. The cursor is closed when the reader stops early too."""
    with session.execute(statement, execution_options={"yield_per": _BATCH}) as rows:
        yield from rows


def _guards(session: Session) -> Iterator[str]:
    for name in guards.missing(session):
        yield f"guard {name} is missing or changed"
    for name in guards.strangers(session):
        yield f"{name} is no guard"


def _bytes(session: Session) -> Iterator[str]:
    columns = (LedgerEntry.id, LedgerEntry.bytes, LedgerEntry.recorded_at)
    for entry_id, content, recorded_at in stream(
        session, select(*columns).order_by(LedgerEntry.id)
    ):
        try:
            entry = decode(content)
            schemas.check(entry.type, entry.data)
        except LedgerError as error:
            yield f"entry {entry_id}: {error}"
            continue
        if entry.id != entry_id:
            yield f"entry {entry_id}: the bytes are those of entry {entry.id}"
        elif entry.at != recorded_at:
            yield f"entry {entry_id}: it says another time than its row"


def _pending(session: Session) -> Iterator[str]:
    pending = LedgerPending.entry_id
    unqueued = (
        select(LedgerEntry.id)
        .outerjoin(LedgerPending, pending == LedgerEntry.id)
        .where(pending.is_(None))
    )
    for (entry_id,) in stream(session, unqueued):
        yield f"entry {entry_id} is not pending"
    unknown = (
        select(pending)
        .outerjoin(LedgerEntry, pending == LedgerEntry.id)
        .where(LedgerEntry.id.is_(None))
    )
    for (entry_id,) in stream(session, unknown):
        yield f"entry {entry_id} is pending and does not exist"


CHECKS = (
    Check(14, "the guards against change are in place, and nothing beside them", _guards),
    Check(15, "every entry is canonical, within its schema, and under its own id", _bytes),
    Check(2, "every entry is pending exactly once", _pending),
)
