"""The short way to the database gives what SQLAlchemy's own gives, and fails as it fails."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import bindparam, delete, func, insert, select
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from database import Database, table_of
from domain.delivery.models import OutboxMessage
from domain.ledger.models import LedgerEntry

NOON = datetime(2026, 11, 22, 12, 0, 0, 123000, tzinfo=UTC)
TABLE = table_of(OutboxMessage)
INSERT = insert(TABLE)
ALL = select(TABLE).order_by(TABLE.c.message_id)
ONE = select(TABLE.c.kind).where(TABLE.c.id == bindparam("id"), TABLE.c.attempts == 0)


def message(number: int) -> dict[str, object]:
    """A row with every type of value that the site stores, and nothing where that may be."""
    return {
        "id": uuid4(),
        "message_id": f"<{number}@example>",
        "kind": "mail.test",
        "about": None,
        "payload": bytes(range(256)),
        "state": "queued",
        "created_at": NOON,
        "due_at": NOON,
        "attempts": 0,
    }


def count(database: Database) -> int:
    """How many messages there are."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(TABLE)) or 0


def test_it_writes_and_finds_what_sqlalchemy_does(database: Database) -> None:
    """Ids, bytes, times and nothing: the same values, by the same names."""
    with database.at_once() as driver:
        assert driver.execute(INSERT, [message(1), message(2)]).rowcount == 2
    with database.transaction() as session:
        session.execute(INSERT, message(3))
    with database.reading() as session:
        stored = session.execute(ALL).all()
    found = database.every(ALL, {})
    assert [one._asdict() for one in found] == [dict(one._mapping) for one in stored]
    assert found[0].created_at == NOON
    one = database.first(ONE, {"id": stored[1].id})
    assert one is not None
    assert one.kind == "mail.test"
    assert database.first(ONE, {"id": uuid4()}) is None


def test_what_fails_is_undone_and_tells_no_values(database: Database) -> None:
    """An error is SQLAlchemy's, as everywhere; what was to be written stays out of it."""
    row = message(1)
    with pytest.raises(IntegrityError) as failed, database.at_once() as driver:
        driver.execute(INSERT, [row, row])
    assert "@example" not in str(failed.value.statement)
    assert failed.value.params is None
    assert count(database) == 0
    with database.at_once() as driver:
        driver.execute(INSERT, message(2))
    assert count(database) == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_raises_in_between_is_undone(database: Database) -> None:
    """On PostgreSQL there is no between: each statement is a transaction."""
    with pytest.raises(ZeroDivisionError), database.at_once() as driver:
        driver.execute(INSERT, message(1))
        _ = 1 // 0
    assert count(database) == 0


def test_it_is_no_way_around_what_the_application_is_refused(database: Database) -> None:
    """The connections are the application's own, with no more rights than its others."""
    with pytest.raises(DatabaseError, match=r"permission denied|not authorized|prohibited"):
        with database.at_once() as driver:
            driver.execute(delete(table_of(LedgerEntry)), {})


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_lost_connection_costs_one_answer(database: Database) -> None:
    """The next one is asked for anew. A file does not go away."""
    with pytest.raises(OperationalError), database.at_once() as driver:
        driver.run("SELECT pg_terminate_backend(pg_backend_pid())")
    assert database.every(ALL, {}) == []
