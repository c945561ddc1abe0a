"""The outbox."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class OutboxMessage(Base):
    """Something to do after the commit: a mail to send or a job to run.

    `payload` is sealed and goes when the message is done. `about` is the subject, if any:
    delivery knows nothing more of people. `message_id` is made with the row, so a mail that is
    delivered twice carries the same one.
    """

    __tablename__ = "outbox_message"
    __table_args__ = (Index("ix_outbox_message_state_due_at", "state", "due_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    message_id: Mapped[str] = mapped_column(String(120), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    about: Mapped[UUID | None] = mapped_column(index=True)
    payload: Mapped[bytes | None] = mapped_column(LargeBinary)
    state: Mapped[str] = mapped_column(String(8))
    created_at: Mapped[datetime]
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(default=0)
    leased_until: Mapped[datetime | None]
    failure: Mapped[str | None] = mapped_column(String(200))
    closed_at: Mapped[datetime | None]
