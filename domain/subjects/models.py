"""Tables that tie entries to a person. Rows go when the person does."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from database import Base

_UNCONFIRMED = text("confirmed_at IS NULL")


class Subject(Base):
    """A data subject: a random key, and the facts that consent depends on.

    `confirmed_at` is when the address was confirmed; `declared_age` is the age in years that
    the person said to have reached (13 or 15 by default). They stand here because identity
    learns them and consent asks for them, and neither knows the other.
    `restricted_at` is since when nothing but storing is permitted, because the person asked for
    it (GDPR art. 18); `erasing_at` is since when the person is being erased and a time of grace
    or a legal hold is not over yet. Where either stands, nothing is permitted (permission.py).
    `linked` counts the entries linked so far and serialises what happens to one person; the
    database refuses to let it fall (domain/ledger/guards.py).
    """

    __tablename__ = "subject"
    __table_args__ = (
        Index(
            "ix_subject_unconfirmed",
            "id",
            sqlite_where=_UNCONFIRMED,
            postgresql_where=_UNCONFIRMED,
        ),
        {"sqlite_with_rowid": False},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    wrapped_key: Mapped[bytes] = mapped_column(LargeBinary)
    opened_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    declared_age: Mapped[int | None]
    restricted_at: Mapped[datetime | None]
    erasing_at: Mapped[datetime | None]
    linked: Mapped[int] = mapped_column(default=0)


class VaultEpoch(Base):
    """A key-encryption key in use: since when, since when nothing else seals a subject's key, and
    when it was destroyed. The key itself is never in the database."""

    __tablename__ = "vault_epoch"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    begun_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]


class EntryLink(Base):
    """Who an entry is about. `ordinal` counts from 1 within the subject: the order in which
    things happened to this person, whatever the clock said. A link goes with its subject and
    not before."""

    __tablename__ = "entry_link"
    __table_args__ = (UniqueConstraint("subject_id", "ordinal"), {"sqlite_with_rowid": False})

    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"), primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id", ondelete="CASCADE"))
    ordinal: Mapped[int]
