"""Leaves with their entries, read through the driver itself: as fast as a database gives them.

What checks every entry spends more on SQLAlchemy's rows than on hashing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from sqlalchemy import ColumnElement, Integer, LargeBinary, func, literal, or_, select
from sqlalchemy.orm import Session

from domain.ledger.models import LedgerEntry

# Position, entry's id, leaf hash, the entry's bytes and recorded_at; the last two are None where
# the entry is gone. Times are texts, `2026-11-22 12:00:00.000000`.
Row = tuple[int, str, bytes, bytes | None, str | None]

_SQLITE = """
    SELECT l.position, l.entry_id, l.leaf_hash, e.bytes, e.recorded_at
    FROM ledger_leaf l LEFT JOIN ledger_entry e ON e.id = l.entry_id
    WHERE l.position >= ? AND l.position < ? ORDER BY l.position
"""
_POSTGRESQL = """
    SELECT l.position, l.entry_id, l.leaf_hash, e.bytes,
        to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')
    FROM ledger_leaf l LEFT JOIN ledger_entry e ON e.id = l.entry_id
    WHERE l.position >= %s AND l.position < %s ORDER BY l.position
"""


def leaves(session: Session, begin: int, end: int) -> list[Row]:
    """The leaves from `begin` to before `end`, in the order of positions."""
    return rows(session, _SQLITE, _POSTGRESQL, (begin, end))


def rows(session: Session, sqlite: str, postgresql: str, values: tuple[Any, ...]) -> list[Any]:
    """All that a query finds, in the words of either database: for some thousand rows of a part,
    each found by an index."""
    connection: Any = session.connection().connection.driver_connection
    if session.get_bind().dialect.name == "sqlite":
        with closing(connection.execute(sqlite, values)) as cursor:
            return list(cursor.fetchall())
    with connection.cursor(binary=True) as cursor:
        # A hash or a merge of all there are would be made for each part again, and would spill.
        cursor.execute("SET LOCAL enable_hashjoin = off")
        cursor.execute("SET LOCAL enable_mergejoin = off")
        found = cursor.execute(postgresql, values).fetchall()
        cursor.execute("SET LOCAL enable_hashjoin = on")
        cursor.execute("SET LOCAL enable_mergejoin = on")
        return list(found)


def containing(session: Session, *parts: bytes) -> Iterator[tuple[str, bytes]]:
    """Id and bytes of the entries in which any of these stands, wherever: the database looks, so
    that of many entries only few are sent."""
    found = or_(*(_position(session, LedgerEntry.bytes, part) > 0 for part in parts))
    query = select(LedgerEntry.id, LedgerEntry.bytes).where(found)
    with session.execute(query, execution_options={"yield_per": 1000}) as rows:
        for entry_id, content in rows:
            yield str(entry_id), bytes(content)


def following(session: Session, part: bytes, length: int) -> Iterator[tuple[str, bytes]]:
    """What stands behind these bytes in any entry, each once, with one of the entries."""
    begin = _position(session, LedgerEntry.bytes, part)
    behind = func.substr(LedgerEntry.bytes, begin + len(part), length)
    query = select(func.min(LedgerEntry.id), behind).where(begin > 0).group_by(behind)
    with session.execute(query, execution_options={"yield_per": 1000}) as rows:
        for entry_id, found in rows:
            yield str(entry_id), bytes(found)


def _position(session: Session, column: Any, part: bytes) -> ColumnElement[int]:
    if session.get_bind().dialect.name == "sqlite":
        return func.instr(column, literal(part, LargeBinary), type_=Integer)
    return func.position(literal(part, LargeBinary).op("IN")(column), type_=Integer)
