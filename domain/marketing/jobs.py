"""What there is to do for newsletters, seen without holding anybody up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select

from database import Database
from domain.marketing.campaigns import CampaignState, DeliveryState
from domain.marketing.models import Campaign, CampaignDelivery


@dataclass(frozen=True)
class Job:
    """Something to do for a newsletter that was started.

    `filled` is whether everybody is in its queue, `due` whether a mail there may be sent, `open`
    whether any is not closed, and `dead` whether somebody died who was handing one over.
    """

    id: UUID
    running: bool
    filled: bool
    due: bool
    open: bool
    dead: bool

    @property
    def over(self) -> bool:
        """Whether nothing is left of it but to say so."""
        return not self.open and (self.filled or not self.running)


def waiting(database: Database, *, at: datetime, only: UUID | None = None) -> list[Job]:
    """The newsletters that something is to be done for now, the oldest first."""
    queued = CampaignDelivery.state == DeliveryState.QUEUED.value
    handing = CampaignDelivery.state == DeliveryState.HANDING.value
    free = or_(CampaignDelivery.leased_until.is_(None), CampaignDelivery.leased_until <= at)
    running = Campaign.state == CampaignState.SENDING.value
    found = (
        select(
            Campaign.id,
            running,
            Campaign.filled_at.is_not(None),
            _any(and_(queued, CampaignDelivery.due_at <= at, free)),
            or_(_any(queued), _any(handing)),
            _any(and_(handing, CampaignDelivery.leased_until <= at)),
        )
        .where(Campaign.started_at.is_not(None), Campaign.finished_at.is_(None))
        .where(Campaign.state != CampaignState.PAUSED.value)
        .order_by(Campaign.started_at, Campaign.id)
    )
    if only is not None:
        found = found.where(Campaign.id == only)
    with database.reading() as session:
        jobs = [Job(*row) for row in session.execute(found)]
    return [
        one for one in jobs if one.dead or one.over or (one.running and (one.due or not one.filled))
    ]


def _any(condition: ColumnElement[bool]) -> Any:
    return exists().where(CampaignDelivery.campaign_id == Campaign.id, condition)
