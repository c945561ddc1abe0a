"""Columns whose values the keyring seals directly, and how each of them is sealed again.

Every package that has one says so with a `Sealed`; the rotation of keys is over all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Column, ColumnElement, bindparam, false, func, or_, select, update
from sqlalchemy.orm import Session

from database import Database
from domain.keys import Keyring, UnknownEpoch, WrongSeal, epoch_of, prefix

# So many at a time: whoever waits for one of these rows waits for a few hundredths of a second.
BATCH = 200
FIRST = UUID(int=0)


@dataclass(frozen=True)
class Batch:
    """What became of the rows of one batch: the last one's id, how many were found, sealed again
    or changed by others meanwhile, and which do not open."""

    last: UUID
    found: int
    shut: Sequence[UUID]

    @property
    def moved(self) -> int:
        """How many need the old key no more, or will be found again."""
        return self.found - len(self.shut)


@dataclass(frozen=True)
class Sealed:
    """A column that the keyring seals: what its values are called, and the context of a row's."""

    name: str
    column: Column[Any]
    context: Callable[[UUID], bytes]

    def count(self, session: Session, epochs: Sequence[int]) -> int:
        """How many values are sealed under one of these epochs."""
        query = select(func.count()).select_from(self.column.table).where(self._under(epochs))
        return session.scalar(query) or 0

    def counts(self, session: Session) -> dict[int, int]:
        """How many values there are under each epoch."""
        first = func.substr(self.column, 1, 2)
        query = select(first, func.count()).where(self.column.is_not(None)).group_by(first)
        return {epoch_of(bytes(found)): count for found, count in session.execute(query)}

    def shut(self, database: Database, ring: Keyring, epochs: Sequence[int]) -> int | None:
        """How many values under these epochs do not open; None where one does. Raises
        KeyServiceError."""
        found, after = 0, FIRST
        while True:
            with database.reading() as session:
                rows = self._next(session, epochs, after)
            if not rows:
                return found
            for row, value in rows:
                try:
                    ring.unseal(value, self.context(row))
                except (WrongSeal, UnknownEpoch):
                    found, after = found + 1, row
                    continue
                return None

    def rotate(
        self, database: Database, ring: Keyring, epochs: Sequence[int], *, after: UUID = FIRST
    ) -> Batch | None:
        """Seal the next values under these epochs again, under the newest; None if there are none.

        They are read, and sealed again, in no transaction: a key that somebody else holds takes
        its time. Then they are written where they still are what was read. Killed anywhere, every
        value opens, under the old key or the new one. Raises KeyServiceError.
        """
        with database.reading() as session:
            rows = self._next(session, epochs, after)
        if not rows:
            return None
        renewed, shut = [], []
        for row, old in rows:
            try:
                plaintext = ring.unseal(old, self.context(row))
            except (WrongSeal, UnknownEpoch):
                shut.append(row)
                continue
            new = ring.seal(plaintext, self.context(row))
            renewed.append({"row": row, "old": old, "new": new})
        if renewed:
            self._write(database, renewed)
        return Batch(rows[-1][0], len(rows), shut)

    def _next(
        self, session: Session, epochs: Sequence[int], after: UUID
    ) -> Sequence[tuple[UUID, bytes]]:
        row = self._id
        query = select(row, self.column).where(row > after, self._under(epochs))
        return session.execute(query.order_by(row).limit(BATCH)).all()

    def _write(self, database: Database, renewed: Sequence[dict[str, Any]]) -> None:
        """Wait for nobody while others may wait for us: rows that somebody has locked are left for
        the next time, and where that is all of them, one alone is waited for."""
        free = select(self._id).where(self._id.in_([one["row"] for one in renewed]))
        write = (
            update(self.column.table)
            .where(self._id == bindparam("row"), self.column == bindparam("old"))
            .values({self.column.name: bindparam("new")})
        )
        with database.transaction() as session:
            locked = set(session.scalars(free.with_for_update(skip_locked=True)))
            mine = [one for one in renewed if one["row"] in locked]
            session.connection().execute(write, mine or renewed[:1])

    @property
    def _id(self) -> Column[Any]:
        (only,) = self.column.table.primary_key.columns
        return only

    def _under(self, epochs: Sequence[int]) -> ColumnElement[bool]:
        """As bytes are compared: from the epoch's own two, up to the next one's."""
        ranges = [(self.column >= prefix(one)) & (self.column < prefix(one + 1)) for one in epochs]
        return or_(false(), *ranges)
