"""Tables of newsletters. Deliveries are about people and go with them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class Campaign(Base):
    """One newsletter. `recipients` is how many it was for when it was started; `cursor` is the
    last person who was taken into its queue, in the order of ids, so that filling goes on where a
    kill left it. `filled_at` is when nobody was left to take. `paused_at` is since when it rests,
    where it does. `counts` is what became of the
    mails, as JSON, once it is over: the deliveries themselves do not stay. With a rate, `paced_at`
    is the time that was given to the last mail."""

    __tablename__ = "campaign"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    made_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    filled_at: Mapped[datetime | None]
    paused_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    recipients: Mapped[int | None]
    cursor: Mapped[UUID | None]
    paced_at: Mapped[datetime | None]
    counts: Mapped[str | None] = mapped_column(String(400))


class CampaignText(Base):
    """What a newsletter says in one language: a subject, and words in Markdown."""

    __tablename__ = "campaign_text"

    campaign_id: Mapped[UUID] = mapped_column(
        ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True
    )
    locale: Mapped[str] = mapped_column(String(2), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200))
    words: Mapped[str] = mapped_column(Text)


class CampaignDelivery(Base):
    """One newsletter to one person: the key is what keeps it from being sent twice.

    `state` is `queued`; `handing` from right before the mail is given to the mail server until it
    is known what became of it; then `sent`, `dropped` (not permitted any more, with the `reason`),
    `failed`, or `uncertain`: the process died while it was handing over, so the mail may or may
    not have left, and is not sent again. `due_at` is when it may be tried; `leased_until` says
    until when who is `handing` it over is believed to live.
    """

    __tablename__ = "campaign_delivery"
    __table_args__ = (
        Index("ix_campaign_delivery_campaign_id_state_due_at", "campaign_id", "state", "due_at"),
        Index("ix_campaign_delivery_subject_id", "subject_id"),
    )

    campaign_id: Mapped[UUID] = mapped_column(
        ForeignKey("campaign.id", ondelete="CASCADE"), primary_key=True
    )
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(10))
    reason: Mapped[str | None] = mapped_column(String(40))
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    leased_until: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
