"""Tables of the ledger. Insert only, but for the queue and the lease."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Integer, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class LedgerEntry(Base):
    """An entry, as the exact bytes that were hashed. Insert only."""

    __tablename__ = "ledger_entry"
    __table_args__ = ({"sqlite_with_rowid": False},)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    bytes: Mapped[bytes] = mapped_column(LargeBinary)
    recorded_at: Mapped[datetime]


class LedgerPending(Base):
    """The queue of entries that have no position in the log yet.

    `number` orders what is in the queue at one time, never what was: numbers become visible out
    of order, and rolled-back ones leave holes. Of one person's entries the earlier has the
    smaller number, since the next is numbered only once the person's lock is free.
    """

    __tablename__ = "ledger_pending"

    number: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True
    )
    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"), unique=True)


class LedgerLeaf(Base):
    """An entry's position in the log, for ever. Insert only."""

    __tablename__ = "ledger_leaf"
    __table_args__ = ({"sqlite_with_rowid": False},)

    position: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"), unique=True)
    leaf_hash: Mapped[bytes] = mapped_column(LargeBinary(32))


class LedgerTile(Base):
    """A full tile: 256 hashes, and the root over them, which is a hash of the level above.
    Insert only. The root stands first, so that SQLite finds it without reading the tile."""

    __tablename__ = "ledger_tile"
    __table_args__ = ({"sqlite_with_rowid": False},)

    level: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    data: Mapped[bytes] = mapped_column(LargeBinary)


class LedgerState(Base):
    """A size that the log had, and its root. Insert only.

    Each state names the one before it, and none is named twice: of two sequencers that extend
    the same state, the database lets one commit. The first names 0, the empty log.
    """

    __tablename__ = "ledger_state"
    __table_args__ = ({"sqlite_with_rowid": False},)

    size: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    previous_size: Mapped[int] = mapped_column(BigInteger, unique=True)


class LedgerCheckpoint(Base):
    """A state that was signed, and is published from the moment this row is there. Insert only."""

    __tablename__ = "ledger_checkpoint"
    __table_args__ = ({"sqlite_with_rowid": False},)

    size: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ledger_state.size"), primary_key=True, autoincrement=False
    )
    note: Mapped[bytes] = mapped_column(LargeBinary)
    signed_at: Mapped[datetime]


class LedgerCosignature(Base):
    """A witness's signature line over a checkpoint. Insert only."""

    __tablename__ = "ledger_cosignature"
    __table_args__ = ({"sqlite_with_rowid": False},)

    size: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ledger_checkpoint.size"), primary_key=True, autoincrement=False
    )
    verifier_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    line: Mapped[str] = mapped_column(String(1000))
    seen_at: Mapped[datetime]


class LedgerKey(Base):
    """A key that signs the log, kept for ever: old receipts are verified with it. Insert only.

    It signs checkpoints larger than `from_size`. Its name is the log's origin.
    """

    __tablename__ = "ledger_key"
    __table_args__ = ({"sqlite_with_rowid": False},)

    verifier_key: Mapped[str] = mapped_column(String(255), primary_key=True)
    from_size: Mapped[int] = mapped_column(BigInteger)


class LedgerKeyEnd(Base):
    """That a key signs no checkpoint larger than `to_size`. Insert only."""

    __tablename__ = "ledger_key_end"
    __table_args__ = ({"sqlite_with_rowid": False},)

    verifier_key: Mapped[str] = mapped_column(
        ForeignKey("ledger_key.verifier_key"), primary_key=True
    )
    to_size: Mapped[int] = mapped_column(BigInteger)


class LedgerLease(Base):
    """Which process sequences, until when. It spares work; what keeps the log from forking is
    that no state is extended twice (LedgerState)."""

    __tablename__ = "ledger_lease"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str] = mapped_column(String(64))
    until: Mapped[datetime]
