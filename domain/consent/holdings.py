"""What consent keeps about people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from domain.consent import decisions, presentations
from domain.consent.models import CurrentDecision, RenewalAsk
from domain.dates import timestamp
from domain.holding import Holding


def _walk(session: Session, subject_id: UUID) -> Iterator[dict[str, Any]]:
    asked = dict(
        session.execute(
            select(RenewalAsk.entry_id, func.max(RenewalAsk.asked_at))
            .where(RenewalAsk.subject_id == subject_id)
            .group_by(RenewalAsk.entry_id)
        ).all()
    )
    for decision in decisions.history(session, subject_id):
        renewal_asked = asked.get(decision.entry_id)
        document = presentations.get(session, decision.presentation or "")
        yield {
            "purpose": decision.purpose_id,
            "purpose_version": decision.purpose_version,
            "decision": decision.state.value,
            "at": timestamp(decision.at),
            "expires_at": timestamp(decision.expires_at) if decision.expires_at else None,
            "entry": decision.entry_id,
            "renewal_asked_at": timestamp(renewal_asked) if renewal_asked else None,
            "shown": document.content if document else None,
        }


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return list(_walk(session, subject_id))


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(RenewalAsk).where(RenewalAsk.subject_id == subject_id))
    session.execute(delete(CurrentDecision).where(CurrentDecision.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="decisions",
        purposes=("marketing", "analytics"),
        source="person",
        retention=("person",),
        columns={
            "current_decision": (
                "subject_id",
                "purpose_id",
                "state",
                "entry_id",
                "at",
                "purpose_version",
                "presentation",
                "expires_at",
            ),
            "renewal_ask": ("entry_id", "purpose_version", "subject_id", "asked_at"),
        },
        export=_export,
        erase=_erase,
        walk=_walk,
    ),
)
