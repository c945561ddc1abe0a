"""What the attacks are aimed at, and how they are run."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy import select

from database import Database
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger import verify as ledger
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.subjects import verify as subjects
from domain.subjects.models import EntryLink, Subject

CHECKS = (*ledger.CHECKS, *subjects.CHECKS)
TABLES = (LedgerEntry, LedgerPending, Presentation, NoticeVersion, EntryLink, Subject)
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
