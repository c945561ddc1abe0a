"""Legal holds as they stand: what may not be erased yet, and until when (GDPR art. 17(3)(b), (e)).

Placing and ending them is in holds.py, which knows erasure; erasure knows only this.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from domain.dates import timestamp
from domain.holding import Holding
from domain.identity import vault
from domain.rights.models import LegalHold

_TABLE, _FIELD = "legal_hold", "reason"
# The hold itself; the entries with the person's key, without which nothing that is kept could be
# read; and what is but a reading of these entries.
ALONG = ("holds", "decisions", "entries")


def running(session: Session, subject_id: UUID) -> list[LegalHold]:
    """A person's holds that have not ended, the oldest first."""
    return [hold for hold in _of(session, subject_id) if hold.ended_at is None]


def kept_back(session: Session, subject_id: UUID) -> dict[str, date]:
    """The holdings of a person that may not be erased, each with the day until which; none for
    nearly everybody.

    While anything is held, so is what hangs on it (`ALONG`).
    """
    kept: dict[str, date] = {}
    for hold in running(session, subject_id):
        for name in hold.holdings.split():
            kept[name] = max(kept.get(name, hold.review_on), hold.review_on)
    if kept:
        kept |= dict.fromkeys(ALONG, max(kept.values()))
    return kept


def told(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """The same, as a mail says it."""
    kept = kept_back(session, subject_id)
    return [{"holding": name, "until": day} for name, day in kept.items()]


def end_all(session: Session, subject_id: UUID, *, at: datetime) -> None:
    """Nothing keeps anything of this person back any more. They go in the same transaction, so no
    entry of it is left: nobody could tell whose it was."""
    for hold in running(session, subject_id):
        hold.ended_at = at
    session.flush()


def sealed(session: Session, subject_id: UUID, hold: UUID, reason: str) -> bytes:
    """The reason, as it is kept."""
    key = vault.key_of(session, subject_id)
    return vault.seal_bytes(key, _TABLE, hold, _FIELD, reason.encode())


def _of(session: Session, subject_id: UUID) -> list[LegalHold]:
    query = select(LegalHold).where(LegalHold.subject_id == subject_id)
    return list(session.scalars(query.order_by(LegalHold.placed_at, LegalHold.id)))


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """The reason too: a person who is not told it could not object to it. What would harm a claim
    is for the lawyer's file; the command that asks for the reason says so (decision 0016)."""
    holds = _of(session, subject_id)
    key = vault.key_of(session, subject_id) if holds else b""
    return [
        {
            "ground": hold.ground,
            "reason": vault.open_bytes(key, _TABLE, hold.id, _FIELD, hold.reason).decode(),
            "holdings": hold.holdings.split(),
            "placed_at": timestamp(hold.placed_at),
            "until": hold.review_on.isoformat(),
            "ended_at": timestamp(hold.ended_at) if hold.ended_at else None,
        }
        for hold in holds
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(LegalHold).where(LegalHold.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="holds",
        purposes=("rights",),
        source="support",
        retention=("person",),
        columns={
            "legal_hold": (
                "id",
                "subject_id",
                "ground",
                "reason",
                "holdings",
                "placed_at",
                "review_on",
                "reminded_at",
                "ended_at",
            )
        },
        export=_export,
        erase=_erase,
    ),
)
