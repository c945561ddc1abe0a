"""Tables of the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, String
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
    """The queue of entries that have no position in the log yet."""

    __tablename__ = "ledger_pending"

    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"), primary_key=True)
