"""A batch: entries from the queue become leaves, full tiles and a state, in one transaction.

What a crash leaves behind: before the commit, everything as it was, the entries in the queue;
after it, all of it. There is no third, so nothing is lost and nothing gets two positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from sqlalchemy import any_, delete, insert, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from domain.ledger import tree
from domain.ledger.edge import Edge, FullTile
from domain.ledger.errors import Damaged, Overtaken
from domain.ledger.merkle import leaf_hash
from domain.ledger.models import LedgerEntry, LedgerPending, LedgerState
from domain.ledger.tree import State

Rows = Sequence[tuple[Any, ...]]


@dataclass(frozen=True)
class Waiting:
    """An entry in the queue."""

    number: int
    entry_id: str
    content: bytes


@dataclass(frozen=True)
class Batch:
    """What is stored when a state is extended: everything, or nothing."""

    previous: State
    state: State
    leaves: Sequence[tuple[int, str, bytes]]
    tiles: Sequence[FullTile]
    numbers: Sequence[int]


def waiting(session: Session, limit: int) -> list[Waiting]:
    """Those that have waited longest, in the order of the queue.

    It is always read from its beginning: numbers become visible out of order, so one that is
    smaller than any that was taken may still come. Raises Damaged where one that waits is not
    there: passed over, it would be looked at again without end.
    """
    first = (
        select(LedgerPending.number, LedgerPending.entry_id)
        .order_by(LedgerPending.number)
        .limit(limit)
        .subquery()
    )
    rows = session.execute(
        select(first.c.number, first.c.entry_id, LedgerEntry.bytes)
        .outerjoin(LedgerEntry, LedgerEntry.id == first.c.entry_id)
        .order_by(first.c.number)
    ).all()
    if any(content is None for _, _, content in rows):
        raise Damaged(tree.current(session).size)
    return [Waiting(*row) for row in rows]


def extend(edge: Edge, queue: Sequence[Waiting]) -> Batch:
    """Let the edge grow by these entries; return what is to be stored."""
    previous, first = State(edge.size, edge.root), edge.size
    leaves, tiles = [], []
    for position, one in enumerate(queue, first):
        hashed = leaf_hash(one.content)
        leaves.append((position, one.entry_id, hashed))
        tiles += edge.append(hashed)
    numbers = [one.number for one in queue]
    return Batch(previous, State(edge.size, edge.root), leaves, tiles, numbers)


def store(session: Session, batch: Batch) -> None:
    """Store a batch. Raises Overtaken where another extended this state."""
    # The fence stands first: whoever comes too late has done nothing yet, and whoever passes it
    # knows that nobody took an entry of this batch.
    store_state(session, batch)
    try:
        store_leaves(session, batch.leaves)
        store_tiles(session, batch.tiles)
    except IntegrityError as error:
        raise Damaged(batch.previous.size) from error
    clear_queue(session, batch.numbers)


def store_state(session: Session, batch: Batch) -> None:
    """The fence: no state is extended twice. Raises Overtaken."""
    row = {
        "size": batch.state.size,
        "root": batch.state.root,
        "previous_size": batch.previous.size,
    }
    try:
        session.execute(insert(LedgerState).values(row))
    except IntegrityError as error:
        raise Overtaken from error


def store_leaves(session: Session, leaves: Sequence[tuple[int, str, bytes]]) -> None:
    """Each entry's position, for ever."""
    _insert(session, "ledger_leaf", ("position", "entry_id", "leaf_hash"), leaves)


def store_tiles(session: Session, tiles: Sequence[FullTile]) -> None:
    """The tiles that became full."""
    rows = [(one.level, one.number, one.root, one.data) for one in tiles]
    _insert(session, "ledger_tile", ("level", "number", "root", "data"), rows)


def clear_queue(session: Session, numbers: Sequence[int]) -> None:
    """Take out of the queue what has its position now, and nothing that came since."""
    if _postgresql(session):
        sent = literal(list(numbers), ARRAY(LedgerPending.number.type))
        session.execute(delete(LedgerPending).where(LedgerPending.number == any_(sent)))
    else:
        session.connection().exec_driver_sql(
            "DELETE FROM ledger_pending WHERE number = ?", [(number,) for number in numbers]
        )


def _insert(session: Session, table: str, columns: tuple[str, ...], rows: Rows) -> None:
    """Many rows at once, past the layer that would look at each of them again."""
    if not rows:
        return
    names = ", ".join(columns)
    if _postgresql(session):
        _copy(session, f"COPY {table} ({names}) FROM STDIN", rows)
    else:
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        session.connection().exec_driver_sql(statement, list(rows))


def _copy(session: Session, statement: str, rows: Rows) -> None:
    """A stream to PostgreSQL: twice as fast as statements, for a tenth of our own time."""
    connection = session.connection()
    driver: Any = connection.connection.driver_connection
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
    except psycopg.Error as error:
        # As SQLAlchemy itself would raise it: whoever waits for a database waits for this too.
        raise DBAPIError.instance(
            statement, None, error, psycopg.Error, True, dialect=connection.dialect
        ) from error


def _postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
