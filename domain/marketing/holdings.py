"""What newsletters keep about people: which ones they were sent, and what became of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, delete, func, select, tuple_
from sqlalchemy.orm import Session

from database import table_of
from domain.dates import timestamp
from domain.holding import Holding
from domain.identity.models import Account
from domain.marketing.campaigns import DeliveryState
from domain.marketing.handing import OnItsWay
from domain.marketing.models import Campaign, CampaignDelivery, CampaignText

_D = table_of(CampaignDelivery).c


def ended_at(session: Session, subject_id: UUID) -> datetime | None:
    """When the last newsletter to a person was over; None where one is not, or there was none."""
    every, over, latest = session.execute(
        select(func.count(), func.count(Campaign.finished_at), func.max(Campaign.finished_at))
        .select_from(CampaignDelivery)
        .join(Campaign, Campaign.id == CampaignDelivery.campaign_id)
        .where(CampaignDelivery.subject_id == subject_id)
    ).one()
    return latest if every == over else None


def due(moment: datetime) -> Select[UUID]:
    """The deliveries of newsletters that were over then."""
    return (
        select(_D.subject_id)
        .join(Campaign, Campaign.id == _D.campaign_id)
        .where(Campaign.finished_at <= moment)
    )


def let_go(session: Session, moment: datetime, limit: int) -> int:
    """Delete so many of them; how many. What the newsletter counted stays."""
    found = due(moment).with_only_columns(_D.campaign_id, _D.subject_id).limit(limit)
    keys = session.execute(found).all()
    if keys:
        session.execute(
            delete(CampaignDelivery)
            .where(tuple_(_D.campaign_id, _D.subject_id).in_([tuple(key) for key in keys]))
            .execution_options(synchronize_session=False)
        )
    return len(keys)


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """Each newsletter by its subject, in the language that the person reads."""
    said = and_(
        CampaignText.campaign_id == CampaignDelivery.campaign_id,
        CampaignText.locale == Account.locale,
    )
    query = (
        select(CampaignDelivery, CampaignText.subject)
        .outerjoin(Account, Account.subject_id == CampaignDelivery.subject_id)
        .outerjoin(CampaignText, said)
        .where(CampaignDelivery.subject_id == subject_id)
        .order_by(CampaignDelivery.closed_at, CampaignDelivery.campaign_id)
    )
    return [
        {
            "newsletter": subject,
            "state": row.state,
            # While it is in hand, the column says whose hand.
            "reason": None if row.leased_until else row.reason,
            "attempts": row.attempts,
            # Not when it was sent: most of what is told here may never have been.
            "ended_at": timestamp(row.closed_at) if row.closed_at else None,
        }
        for row, subject in session.execute(query)
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Raises OnItsWay where a newsletter to them is being handed over at this moment: with its row
    nobody could wait for it any more."""
    gone = session.execute(
        delete(table_of(CampaignDelivery))
        .where(_D.subject_id == subject_id)
        .returning(_D.state, _D.leased_until)
    )
    for state, until in gone:
        if state == DeliveryState.HANDING.value and until > at:
            raise OnItsWay(subject_id)


HOLDINGS = (
    Holding(
        name="newsletters",
        purposes=("marketing",),
        source="use",
        retention=("deliveries",),
        columns={
            "campaign_delivery": (
                "campaign_id",
                "subject_id",
                "state",
                "reason",
                "attempts",
                "due_at",
                "leased_until",
                "closed_at",
            )
        },
        export=_export,
        erase=_erase,
        places=("mail server", "mail folder"),
    ),
)
