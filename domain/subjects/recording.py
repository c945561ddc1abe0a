"""How entries about a person get into the tables: counted, stored, linked and queued at once,
with whatever else is true only together with them.

The counter on the subject's row is raised first. That takes the lock under which ordinals are
dense, and shows whether what the caller knows of the person still holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, TextClause, Uuid, bindparam, text, update
from sqlalchemy.dialects import postgresql, sqlite

from database import table_of
from domain.ledger.append import row
from domain.ledger.entry import Entry
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.subjects.models import EntryLink, Subject
from driver import Driver


@dataclass(frozen=True)
class Known:
    """A subject as somebody read it, perhaps without a lock."""

    subject_id: UUID
    wrapped_key: bytes = field(repr=False)
    declared_age: int | None
    linked: int


@dataclass(frozen=True)
class Rows:
    """What is written to a table together with entries, or not at all; each row has the same
    columns. With `replacing` the row that has the key already is overwritten."""

    table: Table
    rows: Sequence[Mapping[str, Any]]
    replacing: bool = False


def write(
    connection: Connection | Driver, known: Known, entries: Sequence[Entry], *beside: Rows
) -> bool:
    """Write all of it; False, and nothing is done, if the subject has changed.

    Raises SchemaError, MalformedEntry, EntryTooLarge, and IntegrityError where an id is taken.
    """
    counting = {
        "subject": known.subject_id,
        "seen": known.linked,
        "age": known.declared_age,
        "count": len(entries),
    }
    everything = (*_rows(known, entries), *beside)
    if connection.dialect.name == "postgresql":
        return _in_one_statement(connection, counting, everything)
    return _step_by_step(connection, counting, everything)


def _rows(known: Known, entries: Sequence[Entry]) -> tuple[Rows, ...]:
    links = [
        {"entry_id": entry.id, "subject_id": known.subject_id, "ordinal": known.linked + number}
        for number, entry in enumerate(entries, 1)
    ]
    # Queued in this order: one person's entries come into the log as they happened.
    queue = [{"entry_id": entry.id} for entry in entries]
    return (
        Rows(_ENTRY, [row(entry) for entry in entries]),
        Rows(_LINK, links),
        Rows(_PENDING, queue),
    )


def _step_by_step(
    connection: Connection | Driver, counting: Mapping[str, Any], everything: Sequence[Rows]
) -> bool:
    if not connection.execute(_COUNT, counting).rowcount:
        return False
    for one in everything:
        connection.execute(_insert(one.table, tuple(one.rows[0]), one.replacing), list(one.rows))
    return True


@cache
def _insert(table: Table, columns: tuple[str, ...], replacing: bool) -> Any:
    # Inline: the queue's own number is nobody's business here, so it is not asked for.
    statement = sqlite.insert(table).inline()
    if not replacing:
        return statement
    others = {name: statement.excluded[name] for name in columns if name not in _key(table)}
    return statement.on_conflict_do_update(index_elements=list(_key(table)), set_=others)


def _in_one_statement(
    connection: Connection | Driver, counting: Mapping[str, Any], everything: Sequence[Rows]
) -> bool:
    """`_step_by_step` for PostgreSQL, where each statement is a journey to the server."""
    values = dict(counting)
    for one in everything:
        for name in one.rows[0]:
            values[f"{one.table.name}_{name}"] = [each[name] for each in one.rows]
    shape = tuple((one.table, tuple(one.rows[0]), one.replacing) for one in everything)
    return bool(connection.execute(_all(shape), values).scalar())


@cache
def _all(shape: tuple[tuple[Table, tuple[str, ...], bool], ...]) -> TextClause:
    """One statement that raises the counter and inserts into each of these tables.

    Everything hangs on what `counted` returns, so nothing is written, and nothing numbered,
    before the row is locked and was found unchanged.
    """
    inserts = "".join(f", into_{number} AS ({_into(*one)})" for number, one in enumerate(shape))
    whole = f"WITH {_COUNTED}{inserts} SELECT count(*) FROM counted"  # noqa: S608 - as in _into
    return text(whole).bindparams(bindparam("subject", type_=Uuid()))


def _into(table: Table, columns: tuple[str, ...], replacing: bool) -> str:
    names = ", ".join(columns)
    types = (table.c[name].type.compile(_POSTGRESQL) for name in columns)
    arrays = ", ".join(
        f"CAST(:{table.name}_{name} AS {type}[])" for name, type in zip(columns, types, strict=True)
    )
    # The names are the models' own, never anybody's input.
    statement = f"""
        INSERT INTO {table.name} ({names})
        SELECT {names} FROM counted, unnest({arrays}) WITH ORDINALITY AS one ({names}, nth)
        ORDER BY nth"""  # noqa: S608
    if not replacing:
        return statement
    others = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in _key(table))
    return f"{statement} ON CONFLICT ({', '.join(_key(table))}) DO UPDATE SET {others}"


def _key(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.primary_key)


_POSTGRESQL = postgresql.dialect()  # type: ignore[no-untyped-call]
_ENTRY, _PENDING = table_of(LedgerEntry), table_of(LedgerPending)
_LINK, _SUBJECT = table_of(EntryLink), table_of(Subject)
_COUNT = (
    update(_SUBJECT)
    .where(
        _SUBJECT.c.id == bindparam("subject"),
        _SUBJECT.c.linked == bindparam("seen"),
        _SUBJECT.c.declared_age.is_not_distinct_from(bindparam("age")),
    )
    .values(linked=_SUBJECT.c.linked + bindparam("count"))
)
_COUNTED = """counted AS (
        UPDATE subject SET linked = linked + :count
        WHERE id = :subject AND linked = :seen
            AND declared_age IS NOT DISTINCT FROM CAST(:age AS integer)
        RETURNING 1 AS unchanged
    )"""
