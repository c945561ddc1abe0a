"""The database: engine, transactions, declarative base, types. Knows no Flask.

SQLite and PostgreSQL both run every statement of the site. The application's connections
are weaker than the owner's, which only migrations use, and cannot see the books, which a third
role keeps: on PostgreSQL by role, on SQLite by an authorizer that refuses what the role would be
refused.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Engine,
    Executable,
    MetaData,
    Table,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

from driver import Driver, driving
from write_turn import Turn, turn_at

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

Role = Literal["application", "owner", "accounting"]

# How long a statement waits for another's lock, and how long everybody may wait for a scrub.
_BUSY_MILLISECONDS, _SCRUB_MILLISECONDS = 15_000, 200


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


def table_of(model: type[Base]) -> Table:
    """A model's table: what it inserts takes a third of the time of a mapped object."""
    return cast(Table, model.__table__)


def inserting(session: Session, table: Table) -> Any:
    """An INSERT that can say what to do where the row is there already."""
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)


class Database:
    """An engine and the ways to use it: `transaction()` to write, `reading()` to read a
    consistent view, `first()` to look one thing up.

    `info` is handed to every session: the domain finds its keyring and its purposes there,
    so that services need only the session. `owner` is for migrations, the role `accounting` for
    bookkeeping, which alone sees its table; on PostgreSQL the address says who it is.
    """

    def __init__(
        self,
        url: str,
        *,
        info: Mapping[str, Any] | None = None,
        owner: bool = False,
        role: Role = "application",
    ):
        role = "owner" if owner else role
        self.engine = self._reader = _engine(url)
        self.info = dict(info or {})
        self._ready: dict[Any, Any] = {}
        self._turn: Turn | None = None
        if self.engine.dialect.name == "sqlite":
            self._turn = turn_at(self.engine.url.database)
            _prepare_sqlite(self.engine, role)
            if self._turn:  # a file: what reads has connections of its own, which cannot write
                self._reader = _engine(url)
                _prepare_sqlite(self._reader, role, reading=True)
            self._looking = self._reader
            self._hasty = _engine(url) if self._turn else self.engine
            if self._turn:
                _prepare_sqlite(self._hasty, role, synchronous="NORMAL")
        else:
            _prepare_postgresql(self.engine)
            self._reader = self.engine.execution_options(
                postgresql_readonly=True, isolation_level="REPEATABLE READ"
            )
            # Connections of its own: to loosen and tighten the same ones takes its time.
            self._looking = _engine(url, isolation_level="AUTOCOMMIT")
            _prepare_postgresql(self._looking)
            self._hasty = _engine(url, isolation_level="AUTOCOMMIT")
            _prepare_postgresql(self._hasty, synchronous="off")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit when the block ends, roll back when it raises."""
        with (
            self._turn.taken() if self._turn else nullcontext(),
            Session(self.engine, info=self.info, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view of the database that can change nothing and waits for no writer."""
        with Session(self._reader, info=self.info, expire_on_commit=False) as session:
            yield session

    def first(self, statement: Executable, values: Mapping[str, Any]) -> Any | None:
        """The first row of one query. It needs no transaction: one statement sees one moment."""
        found = self.every(statement, values)
        return found[0] if found else None

    def every(self, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any]:
        """Every row of one query, as `first`."""
        with driving(self._looking, self._ready) as driver:
            return driver.execute(statement, values).all()

    @contextmanager
    def at_once(self, *, durable: bool = True) -> Iterator[Driver]:
        """A transaction for what is written in one go; it is committed when the block ends.

        On PostgreSQL that is one statement, which is a transaction by itself and needs no BEGIN
        and COMMIT: the journeys to the server are what takes time. A second one would be another.
        Without `durable` nobody waits for the disk: whoever asks sees it at once, and it outlives
        us, but when the database itself dies within a second it may be undone.
        """
        if self.engine.dialect.name == "postgresql":
            with driving(self._looking if durable else self._hasty, self._ready) as driver:
                yield driver
            return
        with (
            self._turn.taken() if self._turn else nullcontext(),
            driving(self.engine if durable else self._hasty, self._ready) as driver,
        ):
            driver.run("BEGIN IMMEDIATE")
            yield driver  # what raises here is undone by the pool, as what a killed process did
            driver.run("COMMIT")

    def scrub(self) -> bool:
        """Let nothing that was deleted lie on in SQLite's write-ahead log; return whether that
        was done.

        Who reads an older state still needs it. SQLite would let everybody who writes wait for
        them along with us, so we give up after a moment, and leave a mark beside the database
        for the worker (`scrub_again`).
        """
        if self.engine.dialect.name != "sqlite":
            return True
        mark = self._mark()
        if mark:
            mark.touch()
        with self._turn.taken() if self._turn else nullcontext():
            done = self._truncated()
        if done and mark:
            mark.unlink(missing_ok=True)
        return done

    def scrub_again(self) -> bool:
        """Scrub if somebody could not; return whether there is nothing left to scrub."""
        mark = self._mark()
        return mark is None or not mark.exists() or self.scrub()

    def _mark(self) -> Path | None:
        return Path(f"{self.engine.url.database}-unscrubbed") if self._turn else None

    def _truncated(self) -> bool:
        connection = self.engine.raw_connection()
        try:
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={_SCRUB_MILLISECONDS}").fetchall()
            try:
                found = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            finally:
                cursor.execute(f"PRAGMA busy_timeout={_BUSY_MILLISECONDS}").fetchall()
        finally:
            connection.close()
        return not any(busy for busy, *_ in found)

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()
        self._reader.dispose()
        self._looking.dispose()
        self._hasty.dispose()
        for one in self.info.values():
            if isinstance(one, Database):  # the books, which are opened beside it
                one.close()


def _engine(url: str, **options: Any) -> Engine:
    # A connection for each thread of the server: those beyond the pool are made anew each time.
    # An error quotes its statement; what was in it stays out of every log.
    pooled = {} if make_url(url).database in (None, "", ":memory:") else {"pool_size": 10}
    return create_engine(url, hide_parameters=True, **pooled, **options)


# A connection that was used a moment ago is believed to be there: asking each time costs a
# capture a tenth of its time. One that is lost all the same costs one answer 503, and with it
# every other connection of the pool is made anew.
_IDLE_SECONDS = 1.0


def _prepare_postgresql(engine: Engine, *, synchronous: str = "on") -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        if synchronous != "on":
            connection.execute(f"SET synchronous_commit TO {synchronous}")
            connection.commit()

    @event.listens_for(engine, "checkin")
    def checkin(connection: object, record: ConnectionPoolEntry) -> None:
        record.info["used"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def checkout(connection: Any, record: ConnectionPoolEntry, proxy: object) -> None:
        if time.monotonic() - record.info.get("used", math.inf) < _IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error  # the pool makes another, and asks that one


def _prepare_sqlite(
    engine: Engine, role: Role, *, reading: bool = False, synchronous: str = "FULL"
) -> None:
    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, record: object) -> None:
        # The driver must not open transactions by itself: 150 of 200 concurrent updates
        # were lost with its default (see LIBRARIES, what bites, 1).
        connection.isolation_level = None
        for pragma in (
            f"busy_timeout={_BUSY_MILLISECONDS}",
            "journal_mode=WAL",
            f"synchronous={synchronous}",
            "foreign_keys=ON",
            "secure_delete=ON",
            # Without this INSERT OR REPLACE deletes a row and no DELETE trigger runs.
            "recursive_triggers=ON",
        ):
            connection.execute(f"PRAGMA {pragma}").close()
        if reading:
            # Set once: to set it back and forth would make every prepared statement anew.
            connection.execute("PRAGMA query_only=ON").close()
        if role != "owner":
            may = _may_in_accounting if role == "accounting" else _may
            connection.set_authorizer(partial(_authorize, may))

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


# What the application does never, by table: everything else it may. PostgreSQL is told by
# grants (migrations/privileges.py), SQLite, which has no roles, by the authorizer below.
INSERT_ONLY = (
    "ledger_entry",
    "ledger_leaf",
    "ledger_tile",
    "ledger_state",
    "ledger_checkpoint",
    "ledger_cosignature",
    "ledger_key",
    "ledger_key_end",
    "presentation",
    "notice_version",
)
NEVER: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(INSERT_ONLY, frozenset({"UPDATE", "DELETE"})),
    "entry_link": frozenset({"UPDATE", "DELETE"}),
    "ledger_pending": frozenset({"UPDATE"}),
    "alembic_version": frozenset({"INSERT", "UPDATE", "DELETE"}),
    # Bookkeeping is for a role of its own.
    "accounting_record": frozenset({"SELECT", "INSERT", "UPDATE", "DELETE"}),
}
# What that role does. It does nothing anywhere else (docs/decisions/0017-bookkeeping-apart.md).
ACCOUNTING: Mapping[str, frozenset[str]] = {
    "accounting_record": frozenset({"SELECT", "INSERT", "DELETE"})
}
# Rows that go with their subject by a foreign key. PostgreSQL runs that as the tables' owner;
# SQLite asks the authorizer as if the application deleted them itself, so there the trigger
# alone refuses (domain/ledger/guards.py).
_CASCADED = frozenset({("DELETE", "entry_link")})

_VERBS = {
    sqlite3.SQLITE_READ: "SELECT",
    sqlite3.SQLITE_INSERT: "INSERT",
    sqlite3.SQLITE_UPDATE: "UPDATE",
    sqlite3.SQLITE_DELETE: "DELETE",
}
_ORDINARY = frozenset(
    {
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_SAVEPOINT,
    }
)
_HARMLESS_PRAGMAS = frozenset(
    {"busy_timeout", "query_only", "table_info", "table_xinfo", "wal_checkpoint"}
)
# These reach outside SQL, into memory and libraries.
_DANGEROUS_FUNCTIONS = frozenset({"load_extension", "fts3_tokenizer"})


def _may(verb: str, table: str) -> bool:
    """What the application may do with a table's rows."""
    never = verb in NEVER.get(table, ()) and (verb, table) not in _CASCADED
    return not never and (verb == "SELECT" or not table.startswith("sqlite_"))


def _may_in_accounting(verb: str, table: str) -> bool:
    """What bookkeeping may do. Deleting with RETURNING, SQLite reads what it is about to give
    from a table without a name of its own."""
    return verb in ACCOUNTING.get(table, ())


def _authorize(
    may: Callable[[str, str], bool], action: int, first: str | None, second: str | None, *_: object
) -> int:
    """Asked while a statement is compiled, so what is refused never starts to run.

    Closed by default: reading and writing rows is allowed, and anything else (tables, indexes,
    triggers and views, temporary ones that would hide the real ones, ATTACH, VACUUM INTO,
    pragmas that loosen the rules) is the owner's.
    """
    if action in _VERBS:
        refused = not may(_VERBS[action], first or "")
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
