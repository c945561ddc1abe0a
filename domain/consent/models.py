"""Tables of notices, presentations and the projection of decisions."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, TextClause, text
from sqlalchemy.orm import Mapped, mapped_column

from database import Base

_PERMITTING = "state IN ('given', 'renewed')"


class NoticeVersion(Base):
    """A published document in one language, immutable. Insert only.

    `content` is the Markdown as published, with the purposes written out; `hash` is its
    SHA-256 in hex. `source_hash` is that of the file in `content/notices/`.
    """

    __tablename__ = "notice_version"
    __table_args__ = ({"sqlite_with_rowid": False},)

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    locale: Mapped[str] = mapped_column(String(2), primary_key=True)
    hash: Mapped[str] = mapped_column(String(64))
    source_hash: Mapped[str] = mapped_column(String(64))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime]
    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"))


class NoticeTelling(Base):
    """How far people have been told of a version that changes something material: up to and with
    `cursor`, in the order of their ids. The cursor goes when all were told."""

    __tablename__ = "notice_telling"

    kind: Mapped[str] = mapped_column(String(20), primary_key=True)
    effective_on: Mapped[date] = mapped_column(primary_key=True)
    cursor: Mapped[UUID | None]
    begun_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class Presentation(Base):
    """What was shown, by the hash of its bytes. Insert only."""

    __tablename__ = "presentation"
    __table_args__ = ({"sqlite_with_rowid": False},)

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    bytes: Mapped[bytes] = mapped_column(LargeBinary)
    stored_at: Mapped[datetime]


class CurrentDecision(Base):
    """Projection: the newest decision of a subject for a purpose. Rebuilt from the ledger."""

    __tablename__ = "current_decision"
    __table_args__ = (
        # Who a purpose is permitted for (audience.py), without a look at the table.
        Index(
            "ix_current_decision_permitting",
            "purpose_id",
            "purpose_version",
            "subject_id",
            "expires_at",
            postgresql_where=text(_PERMITTING),
            sqlite_where=text(_PERMITTING),
        ),
    )

    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    purpose_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    state: Mapped[str] = mapped_column(String(12))
    entry_id: Mapped[str] = mapped_column(ForeignKey("ledger_entry.id"))
    at: Mapped[datetime]
    purpose_version: Mapped[int]
    presentation: Mapped[str | None] = mapped_column(String(64))
    expires_at: Mapped[datetime | None]

    @classmethod
    def permitting(cls) -> TextClause:
        """That a row's state permits, in the very words of the partial index."""
        return text(_PERMITTING)


class RenewalAsk(Base):
    """That the person was asked, once, whether the yes of this entry shall go on: because its time
    is nearly over, or because the purpose has another version (`purpose_version`) now."""

    __tablename__ = "renewal_ask"

    entry_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    purpose_version: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    asked_at: Mapped[datetime]
