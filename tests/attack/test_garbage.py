"""What no parser takes, in any column: a violation with a name, never a traceback. An owner can put
it there; and who reads a traceback thinks that the program is wrong, not the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, Uuid, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from database import Database, UtcDateTime
from domain.ledger.invariants import Violation, first_violation
from tests.attack.ledgers import TABLES, Contents, unguarded

pytestmark = pytest.mark.requirement(49)

NUMBERS = ("-1", "9223372036854775807", "'garbage'", "x'ff'", "1.5", "NULL")
TEXTS = ("'garbage'", "''", "'garbage+00000000+AAAA'", "'PRIVATE+KEY+a.b/c+00000000+AAAA'")
BYTES = {"sqlite": ("x'ff'", "x''", "'text'", "1"), "postgresql": (r"'\xff'::bytea", "''::bytea")}
TIMES = ("'garbage'", "'infinity'", "'0044-03-15 12:00:00 BC'", "1")
# About these the ledger says nothing: whatever they are, everything holds.
FREE = {
    "ledger_pending.number",
    "ledger_checkpoint.signed_at",
    "presentation.stored_at",
    "notice_version.published_at",
    "notice_version.source_hash",
    "subject.opened_at",
    "subject.confirmed_at",
    "subject.declared_age",
}


def garbage(column: Column[Any], backend: str) -> tuple[str, ...]:
    """What no program wrote into this column, in SQL. The database refuses some of it."""
    if isinstance(column.type, LargeBinary):
        return BYTES[backend]
    if isinstance(column.type, UtcDateTime):
        return TIMES
    if isinstance(column.type, (Integer, BigInteger)):
        return NUMBERS
    if isinstance(column.type, Uuid):
        return ("'garbage'", "1")
    return (*TEXTS, "x'ff'", "CAST(x'ff' AS TEXT)") if backend == "sqlite" else TEXTS


def changed(session: Session, column: Column[Any], value: str) -> Iterator[Violation | None]:
    """What is found once the value stands in a row, if the database takes it."""
    table, name = column.table.name, column.name
    first = f"SELECT min({name}) FROM {table}"
    point = session.begin_nested()
    try:
        session.execute(text(f"UPDATE {table} SET {name} = {value} WHERE {name} = ({first})"))
    except DBAPIError:
        point.rollback()
        return
    yield first_violation(session, [check for check in CHECKS if check.invariants[0].number != 14])
    point.rollback()


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__tablename__)
def test_garbage_is_a_violation(
    owner: Database, recorded: Contents, backend: str, model: Any
) -> None:
    """Whatever it is, and wherever."""
    tried = 0
    with unguarded(owner) as session:
        if backend == "sqlite":
            session.execute(text("PRAGMA ignore_check_constraints=ON"))
        for column in model.__table__.columns:
            for value in garbage(column, backend):
                for found in changed(session, column, value):
                    tried += 1
                    assert found or f"{column}" in FREE, f"{column} = {value}: nothing was found"
    assert tried
