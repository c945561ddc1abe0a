"""What consent keeps about people."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from domain.consent import decisions, presentations
from domain.consent.models import CurrentDecision
from domain.dates import timestamp
from domain.holding import Holding


def _walk(session: Session, subject_id: UUID) -> Iterator[dict[str, Any]]:
    for decision in decisions.history(session, subject_id):
        document = presentations.get(session, decision.presentation or "")
        yield {
            "purpose": decision.purpose_id,
            "purpose_version": decision.purpose_version,
            "decision": decision.state.value,
            "at": timestamp(decision.at),
            "expires_at": timestamp(decision.expires_at) if decision.expires_at else None,
            "entry": decision.entry_id,
            "shown": document.content if document else None,
        }


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return list(_walk(session, subject_id))


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
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
            )
        },
        export=_export,
        erase=_erase,
        walk=_walk,
    ),
)
