"""Tables of data subject requests."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class DataSubjectRequest(Base):
    """A request under GDPR art. 15-22. After erasure the row stays, about nobody."""

    __tablename__ = "data_subject_request"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(String(16), unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(12))
    subject_id: Mapped[UUID | None] = mapped_column(ForeignKey("subject.id"), index=True)
    received_at: Mapped[datetime]
    due_on: Mapped[date]
    verified_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
