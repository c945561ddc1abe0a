"""What the attacks are aimed at, and how they are run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger import guards
from domain.ledger import log_invariants as ledger
from domain.ledger.invariants import first_violation
from domain.ledger.models import (
    LedgerCheckpoint,
    LedgerCosignature,
    LedgerEntry,
    LedgerKey,
    LedgerKeyEnd,
    LedgerLeaf,
    LedgerPending,
    LedgerState,
    LedgerTile,
)
from domain.subjects import verify as subjects
from domain.subjects.models import EntryLink, Subject

CHECKS = (*ledger.CHECKS, *subjects.CHECKS)
# Of the log, those that stand on others come later.
LOG = (
    LedgerEntry,
    LedgerLeaf,
    LedgerTile,
    LedgerState,
    LedgerCheckpoint,
    LedgerCosignature,
    LedgerKey,
    LedgerKeyEnd,
)
TABLES = (*LOG, LedgerPending, Presentation, NoticeVersion, EntryLink, Subject)
EXPIRED = {"purpose": "marketing", "purpose_version": 1}
Contents = dict[str, list[tuple[object, ...]]]


def contents(database: Database) -> Contents:
    with database.reading() as session:
        return {
            table.__tablename__: sorted(
                tuple(row) for row in session.execute(select(*table.__table__.columns))
            )
            for table in TABLES
        }


def attacked(database: Database, *statements: str) -> None:
    """Run the statements on a bare connection, each in a transaction of its own."""
    connection = database.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        if isinstance(driver, psycopg.Connection):
            driver.autocommit = True
        else:
            # The pool may hand out a connection that was last used for reading.
            driver.execute("PRAGMA query_only=OFF")
        for statement in statements:
            driver.execute(statement)
    finally:
        connection.invalidate()
        connection.close()


_FOREIGN_KEYS = "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'f'"


@contextmanager
def unguarded(owner: Database) -> Iterator[Session]:
    """The owner takes the guards and keys away, does what they want, and puts the guards back as
    if nothing had been."""
    sqlite = owner.engine.dialect.name == "sqlite"
    with owner.engine.connect() as connection:
        if sqlite:
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            for table, name in _triggers():
                on = "" if sqlite else f" ON {table}"
                connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")
            if not sqlite:
                for table, name in connection.exec_driver_sql(_FOREIGN_KEYS).all():
                    if table in guards.RULES:
                        connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            with Session(connection, info=owner.info) as session:
                yield session
                session.flush()
            guards.install(connection, guards.RULES)


def _triggers() -> list[tuple[str, str]]:
    verbs = ("update", "delete", "truncate", "replace", "lowering")
    return [(table, f"{table}_no_{verb}") for table in guards.RULES for verb in verbs]


def found(database: Database) -> str:
    """What verifying finds first."""
    with database.reading() as session:
        return str(first_violation(session, CHECKS))
