"""Appending entries, and finding what should not be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import invariants, log_invariants
from domain.ledger.append import append, append_anonymous
from domain.ledger.entry import Entry, decode, new_id
from domain.ledger.errors import SchemaError
from domain.ledger.models import LedgerEntry, LedgerPending

DATA = {"purpose": "marketing", "purpose_version": 1}


def entry(at: datetime, **changes: Any) -> Entry:
    fields: dict[str, Any] = {"id": new_id(), "type": "consent.expired", "tag": "0" * 64}
    return Entry(at=at, **{**fields, "data": DATA, **changes})


def test_an_entry_is_stored_as_its_bytes_and_queued(session: Session, NOON: datetime) -> None:
    """What is stored is what is hashed later, and the queue knows of it."""
    made = entry(NOON)
    append(session, made)
    row = session.scalars(select(LedgerEntry)).one()
    assert (row.id, row.bytes, row.recorded_at) == (made.id, made.encode(), NOON)
    assert session.scalars(select(LedgerPending.entry_id)).all() == [made.id]


def test_an_entry_about_nobody_has_a_random_tag(session: Session, NOON: datetime) -> None:
    """It cannot be told from an entry about a person."""
    data = {"kind": "privacy", "effective_on": "2026-11-01", "hashes": {"nb": "a" * 64}}
    ids = [append_anonymous(session, "notice.published", data, at=NOON) for _ in range(2)]
    tags = {decode(content).tag for content in session.scalars(select(LedgerEntry.bytes))}
    assert len(set(ids)) == len(tags) == 2


def test_what_the_schema_refuses_is_not_stored(session: Session, NOON: datetime) -> None:
    """Closed schemas stand before the insert, not in a report afterwards."""
    with pytest.raises(SchemaError):
        append(session, entry(NOON, data={**DATA, "name": "Kari"}))
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


@pytest.mark.parametrize("other", [DATA, {**DATA, "purpose": "analytics"}])
def test_an_id_is_used_once(session: Session, NOON: datetime, other: dict[str, object]) -> None:
    """The same id is a conflict, with the same content too: never a silent second entry."""
    first = entry(NOON)
    append(session, first)
    with pytest.raises(IntegrityError), session.begin_nested():
        append(session, entry(NOON, id=first.id, data=other))
    assert session.scalars(select(LedgerEntry.bytes)).all() == [first.encode()]


def test_a_rolled_back_transaction_leaves_no_entry(database: Database, NOON: datetime) -> None:
    """An entry exists with what it records, or not at all."""
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        append(session, entry(NOON))
        1 / 0  # noqa: B018
    with database.reading() as session:
        for table in (LedgerEntry, LedgerPending):
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_a_sound_ledger_passes(session: Session, NOON: datetime) -> None:
    """verify is quiet when there is nothing to say."""
    for minute in range(3):
        append(session, entry(NOON + timedelta(minutes=minute)))
    assert invariants.first_violation(session, log_invariants.CHECKS) is None


def stored(session: Session, row_id: str, content: bytes, at: datetime) -> None:
    """Insert what `append` would never write; no guard stands against that."""
    session.execute(insert(LedgerEntry).values(id=row_id, bytes=content, recorded_at=at))
    session.execute(insert(LedgerPending).values(entry_id=row_id))


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("not canonical", "not canonical JSON"),
        ("free text", "consent.expired: purpose not as the schema has it"),
        ("other id", "the bytes are those of entry"),
        ("other time", "another time than its row"),
        ("garbage", "not JSON"),
    ],
)
def test_an_entry_that_append_did_not_write_is_found(
    session: Session, NOON: datetime, kind: str, says: str
) -> None:
    """verify reads every entry's bytes again and names the entry."""
    made = entry(NOON)
    row_id = new_id() if kind == "other id" else made.id
    at = NOON + timedelta(seconds=1) if kind == "other time" else NOON
    content = {
        "not canonical": made.encode() + b" ",
        "free text": entry(NOON, id=made.id, data={**DATA, "purpose": "K N"}).encode(),
        "garbage": b"\x00\xff",
    }.get(kind, made.encode())
    stored(session, row_id, content, at)
    violation = invariants.first_violation(session, log_invariants.CHECKS)
    assert violation is not None
    assert violation.check.number == 15
    assert f"entry {row_id}" in str(violation)
    assert says in str(violation)


def test_an_entry_outside_the_queue_is_found(session: Session, NOON: datetime) -> None:
    """Invariant 2: an entry that nobody would ever give a position."""
    made = entry(NOON)
    append(session, made)
    session.execute(text("DELETE FROM ledger_pending"))
    violation = invariants.first_violation(session, log_invariants.CHECKS)
    assert str(violation) == (
        "invariant 2 does not hold (every entry is pending or has a position, once): "
        f"entry {made.id} is not pending and has no position"
    )


def test_times_before_the_clock_was_set_right_are_no_violation(session: Session) -> None:
    """The clock may go backwards: `at` is a claim, and order comes from positions."""
    append(session, entry(datetime(2026, 1, 2, tzinfo=UTC)))
    append(session, entry(datetime(2026, 1, 1, tzinfo=UTC)))
    assert invariants.first_violation(session, log_invariants.CHECKS) is None
