"""Tables of data subject requests, their copies, holds and what retention did."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class DataSubjectRequest(Base):
    """A request under GDPR art. 15-22, or an enquiry. After erasure the row stays, about nobody.

    `channel` is how it came: link, account, form, staff. `about_purpose` is what an objection is
    to. `act_at` is when an erasure in its time of grace is carried out. `reason` is why the time
    was extended, or why the request was refused. Words stand in `request_text`.
    """

    __tablename__ = "data_subject_request"
    __table_args__ = (
        Index("ix_data_subject_request_state_received_at", "state", "received_at"),
        Index("ix_data_subject_request_state_act_at", "state", "act_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(16), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(12))
    subject_id: Mapped[UUID | None] = mapped_column(ForeignKey("subject.id"), index=True)
    channel: Mapped[str] = mapped_column(String(8), server_default="link")
    locale: Mapped[str] = mapped_column(String(2), server_default="nb")
    about_purpose: Mapped[str | None] = mapped_column(String(40))
    received_at: Mapped[datetime]
    due_on: Mapped[date]
    verified_at: Mapped[datetime | None]
    act_at: Mapped[datetime | None]
    extended_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(String(20))
    closed_at: Mapped[datetime | None]


class RequestText(Base):
    """What was written in a case, sealed under the subject's key. `author` is `person` or
    `controller`."""

    __tablename__ = "request_text"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("data_subject_request.id"), index=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    author: Mapped[str] = mapped_column(String(10))
    words: Mapped[bytes] = mapped_column(LargeBinary)
    written_at: Mapped[datetime]


class RecipientNotice(Base):
    """That a processor was told of a rectification, an erasure or a restriction (GDPR art. 19).
    After erasure the row stays, about nobody."""

    __tablename__ = "recipient_notice"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID | None] = mapped_column(ForeignKey("subject.id"), index=True)
    processor: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(10))
    at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class ImportedDocument(Base):
    """What came with a person from another controller (GDPR art. 20) and has no other place
    here, as JSON, sealed under the subject's key. Nothing rests on it."""

    __tablename__ = "imported_document"

    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    document: Mapped[bytes] = mapped_column(LargeBinary)
    imported_at: Mapped[datetime]


class ExportArchive(Base):
    """A copy of everything about a person that the worker makes, or made. `done` of `total`
    steps are done; `size` is in bytes; until `leased_until` the worker that makes it has it for
    itself; `expires_at` is when it goes, fetched or not."""

    __tablename__ = "export_archive"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    request_id: Mapped[UUID] = mapped_column(ForeignKey("data_subject_request.id"), index=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    state: Mapped[str] = mapped_column(String(10))
    locale: Mapped[str] = mapped_column(String(2))
    done: Mapped[int]
    total: Mapped[int]
    size: Mapped[int]
    asked_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]


class ExportPart(Base):
    """A piece of such a copy, sealed under the subject's key."""

    __tablename__ = "export_part"

    archive_id: Mapped[UUID] = mapped_column(
        ForeignKey("export_archive.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class LegalHold(Base):
    """That some holdings of a person may not be erased yet (GDPR art. 17(3)). `holdings` are
    their names with blanks between; `reason` is sealed under the subject's key. It ends on
    `review_on`, unless somebody has looked at it again and extended it. `reminded_at` is when the
    operator was told that this day comes."""

    __tablename__ = "legal_hold"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    ground: Mapped[str] = mapped_column(String(20))
    reason: Mapped[bytes] = mapped_column(LargeBinary)
    holdings: Mapped[str] = mapped_column(String(400))
    placed_at: Mapped[datetime]
    review_on: Mapped[date]
    reminded_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class RetentionRun(Base):
    """One round of `flask retention run`: how much went by each rule so far, as JSON. While
    `finished_at` is empty, the next round goes on with it."""

    __tablename__ = "retention_run"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    begun_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    counts: Mapped[str] = mapped_column(String(2000))
