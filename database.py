"""The database: engine, transactions, declarative base, types. Knows no Flask.

SQLite and PostgreSQL both run every statement of the site. The application's connections
are weaker than the owner's, which only migrations use: on PostgreSQL by role, on SQLite by
an authorizer that refuses what the role would be refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, MetaData, create_engine, event, make_url
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time. A naive one is a programming error and raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a time zone does not go into the database")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """Every table of the site."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {datetime: UtcDateTime}  # noqa: RUF012 - SQLAlchemy's own protocol


class Database:
    """An engine and the two ways to use it: `transaction()` to write, `reading()` to read.

    `info` is handed to every session: the domain finds its keyring and its purposes there,
    so that services need only the session.
    """

    def __init__(self, url: str, *, info: Mapping[str, Any] | None = None, owner: bool = False):
        self.engine = create_engine(
            url,
            pool_pre_ping=not url.startswith("sqlite"),
            # An error quotes its statement; what was in it stays out of every log.
            hide_parameters=True,
        )
        self.info = dict(info or {})
        if self.engine.dialect.name == "sqlite":
            _prepare_sqlite(self.engine, owner=owner)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit when the block ends, roll back when it raises."""
        with Session(self.engine, info=self.info, expire_on_commit=False) as session:
            with session.begin():
                yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view of the database that can change nothing and waits for no writer."""
        reader = self.engine.execution_options(postgresql_readonly=True, sqlite_reading=True)
        if self.engine.dialect.name == "postgresql":
            reader = reader.execution_options(isolation_level="REPEATABLE READ")
        with Session(reader, info=self.info, expire_on_commit=False) as session:
            yield session

    def scrub(self) -> None:
        """Let nothing that was deleted lie on in SQLite's write-ahead log.

        While somebody reads an older state it waits, and gives up until the next time.
        """
        if self.engine.dialect.name == "sqlite":
            connection = self.engine.raw_connection()
            try:
                connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                connection.close()

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()


def _prepare_sqlite(engine: Engine, *, owner: bool) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, record: object) -> None:
        # The driver must not open transactions by itself: 150 of 200 concurrent updates
        # were lost with its default (see LIBRARIES, what bites, 1).
        connection.isolation_level = None
        for pragma in (
            "busy_timeout=15000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "secure_delete=ON",
            # Without this INSERT OR REPLACE deletes a row and no DELETE trigger runs.
            "recursive_triggers=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        if not owner:
            connection.set_authorizer(_authorize)

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        reading = connection.get_execution_options().get("sqlite_reading", False)
        connection.exec_driver_sql("PRAGMA query_only=" + ("ON" if reading else "OFF"))
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


# What the application does never, by table: everything else it may. PostgreSQL is told by
# grants (migrations/privileges.py), SQLite, which has no roles, by the authorizer below.
INSERT_ONLY = ("ledger_entry", "presentation", "notice_version")
NEVER: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(INSERT_ONLY, frozenset({"UPDATE", "DELETE"})),
    "entry_link": frozenset({"UPDATE", "DELETE"}),
    "ledger_pending": frozenset({"UPDATE"}),
    "alembic_version": frozenset({"INSERT", "UPDATE", "DELETE"}),
}
# Rows that go with their subject by a foreign key. PostgreSQL runs that as the tables' owner;
# SQLite asks the authorizer as if the application deleted them itself, so there the trigger
# alone refuses (domain/ledger/guards.py).
_CASCADED = frozenset({("DELETE", "entry_link")})

_WRITES = {
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
_ORDINARY = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_READ,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
    }
)
_HARMLESS_PRAGMAS = frozenset({"query_only", "table_info", "table_xinfo", "wal_checkpoint"})
# These reach outside SQL, into memory and libraries.
_DANGEROUS_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})


def _authorize(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    """Asked while a statement is compiled, so what is refused never starts to run.

    Closed by default: reading and writing rows is allowed, and anything else (tables, indexes,
    triggers and views, temporary ones that would hide the real ones, ATTACH, VACUUM INTO,
    pragmas that loosen the rules) is the owner's.
    """
    if action in _WRITES:
        table = first or ""
        verb = _WRITES[action]
        never = verb in NEVER.get(table, ()) and (verb, table) not in _CASCADED
        refused = never or table.startswith("sqlite_")
    elif action == sqlite3.SQLITE_PRAGMA:
        refused = first not in _HARMLESS_PRAGMAS
    elif action == sqlite3.SQLITE_FUNCTION:
        refused = second in _DANGEROUS_FUNCTIONS
    else:
        refused = action not in _ORDINARY
    return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK


def redacted(url: str) -> str:
    """The address without its password, for messages and logs."""
    return make_url(url).render_as_string(hide_password=True)
