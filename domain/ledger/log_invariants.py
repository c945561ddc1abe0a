"""What must hold of the ledger, checked from the stored bytes up."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from domain.ledger import guards, leaf_walk, signed_invariants, tiles, tree
from domain.ledger.invariants import Check, stream
from domain.ledger.leaf_walk import BYTES, DENSE, TILES
from domain.ledger.models import (
    LedgerEntry,
    LedgerLeaf,
    LedgerPending,
    LedgerState,
    LedgerTile,
)
from domain.ledger.tiles import FULL_BYTES, WIDTH, Tile


def _guards(session: Session) -> Iterator[str]:
    for name in guards.missing(session):
        yield f"guard {name} is missing or changed"
    for name in guards.strangers(session):
        yield f"{name} is no guard"


def _leaves(session: Session) -> Iterator[str]:
    """The walk looks at the positions of the newest state. What stands beside them, below 0 too,
    would be in the log for whoever only counts places, and under no root."""
    columns = (func.count(), func.min(LedgerLeaf.position), func.max(LedgerLeaf.position))
    found = tuple(session.execute(select(*columns)).one())
    size = tree.current(session).size
    if found != ((size, 0, size - 1) if size else (0, None, None)):
        count, first, last = found
        yield f"{count} positions from {first} to {last} are taken, and the log has {size} entries"


def _states(session: Session) -> Iterator[str]:
    last = 0
    columns = (LedgerState.size, LedgerState.previous_size)
    for size, previous in stream(session, select(*columns).order_by(LedgerState.size)):
        if previous != last or size <= last:
            yield f"state {size} names {previous} before it, and {last} is: a state was removed"
        last = size
    leaves = tree.leaves(session)
    if leaves < last:
        yield f"state {last}: there are only {leaves} leaves: the tail was dropped"
    if leaves > last:
        yield f"state {last}: {leaves} leaves are there: states were dropped, or leaves put in"


def _higher_tiles(session: Session) -> Iterator[str]:
    """Those of the lowest level are made again by the walk over leaves."""
    size = tree.current(session).size
    for level in range(tiles.MAX_LEVEL + 1):
        count = tiles.hashes(level + 1, size)
        yield from _dense(session, level, count)
        if count and level:
            yield from _made_of_lower(session, level, count)


def _dense(session: Session, level: int, count: int) -> Iterator[str]:
    here = LedgerTile.level == level
    columns = (func.count(), func.min(LedgerTile.number), func.max(LedgerTile.number))
    found = session.execute(select(*columns).where(here)).one()
    if tuple(found) != ((count, 0, count - 1) if count else (0, None, None)):
        yield f"level {level}: {found[0]} full tiles are stored, the log has {count}"
    longest = select(LedgerTile.number).where(here, func.length(LedgerTile.data) != FULL_BYTES)
    for (number,) in session.execute(longest.order_by(LedgerTile.number).limit(1)):
        yield f"tile {Tile(level, number).path} has not {WIDTH} hashes"


def _made_of_lower(session: Session, level: int, count: int) -> Iterator[str]:
    columns = (LedgerTile.number, LedgerTile.root, LedgerTile.data)
    for number in range(count):
        here = (LedgerTile.level == level, LedgerTile.number == number)
        _, root, data = session.execute(select(*columns).where(*here)).one()
        first = number * WIDTH
        below = session.scalars(
            select(LedgerTile.root)
            .where(
                LedgerTile.level == level - 1,
                LedgerTile.number >= first,
                LedgerTile.number < first + WIDTH,
            )
            .order_by(LedgerTile.number)
        )
        if data != b"".join(below):
            yield f"tile {Tile(level, number).path} is not made of the tiles below it"
        if root != tiles.root_of(data):
            yield f"tile {Tile(level, number).path} has another root than its hashes"


def _one_place(session: Session) -> Iterator[str]:
    """In the queue or in the log: an entry in neither would never get a position, and one in
    both would get two."""
    entry, leaf, pending = LedgerEntry.id, LedgerLeaf.entry_id, LedgerPending.entry_id
    nowhere = select(entry).where(~exists().where(leaf == entry), ~exists().where(pending == entry))
    for (entry_id,) in stream(session, nowhere):
        yield f"entry {entry_id} is not pending and has no position"
    twice = select(leaf).join(LedgerPending, pending == leaf)
    for (entry_id,) in stream(session, twice):
        yield f"entry {entry_id} is pending and has a position"
    unknown = select(pending).where(~exists().where(entry == pending))
    for (entry_id,) in stream(session, unknown):
        yield f"entry {entry_id} is pending and does not exist"
    # Every entry has a place and every place an entry: where the numbers are equal too, nobody
    # has two of a kind, though somebody may have taken the unique keys away.
    entries, leaves, waiting = (
        session.scalar(select(func.count()).select_from(table)) or 0
        for table in (LedgerEntry, LedgerLeaf, LedgerPending)
    )
    if entries != leaves + waiting:
        yield f"{entries} entries have {leaves} positions, and {waiting} are pending"


def _pending_bytes(session: Session) -> Iterator[str]:
    """Entries that the walk over leaves does not come to."""
    columns = (LedgerEntry.id, LedgerEntry.bytes, LedgerEntry.recorded_at)
    query = select(*columns).join(LedgerPending, LedgerPending.entry_id == LedgerEntry.id)
    for entry_id, content, recorded_at in stream(session, query.order_by(LedgerPending.number)):
        wrong = leaf_walk.unsound(entry_id, content, recorded_at.strftime(_MICROSECONDS))
        if wrong:
            yield wrong


_MICROSECONDS = "%Y-%m-%dT%H:%M:%S.%f"

CHECKS = (
    Check(14, "the guards against change are in place, and nothing beside them", _guards),
    leaf_walk.WALK,
    Check(4, "the states form one line, and the newest has all the leaves", _states),
    Check(DENSE.number, DENSE.sentence, _leaves),
    Check(TILES.number, TILES.sentence, _higher_tiles),
    Check(BYTES.number, BYTES.sentence, _pending_bytes),
    Check(2, "every entry is pending or has a position, once", _one_place),
    *signed_invariants.CHECKS,
)
