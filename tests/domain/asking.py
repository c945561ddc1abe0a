"""People who ask for their rights, and what is posted to them, for the tests of requests."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.keys import keyring
from domain.rights import requests
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import Channel, RequestKind
from domain.subjects import service as subjects
from tests.support import NOON


def verified(
    session: Session,
    who: UUID,
    kind: RequestKind,
    *,
    at: datetime = NOON,
    channel: Channel = "account",
    about: str | None = None,
) -> DataSubjectRequest:
    """A request that was shown to be the person's."""
    request = requests.receive(session, who, kind, channel=channel, at=at, about_purpose=about)
    requests.verify(session, request, channel=channel, at=at)
    return request


def letters(session: Session, *kinds: str) -> list[dict[str, Any]]:
    """What was posted, opened, oldest first: of these kinds, or all mails."""
    session.flush()
    rows = session.scalars(select(OutboxMessage).where(OutboxMessage.payload.is_not(None)))
    found = sorted(rows, key=lambda row: row.created_at)
    return [
        {"mail": row.kind, "about": row.about, **_opened(session, row)}
        for row in found
        if row.kind in kinds or (not kinds and row.kind.startswith(outbox.MAIL))
    ]


def _opened(session: Session, row: OutboxMessage) -> dict[str, Any]:
    return outbox.opened(keyring(session), row.id, row.payload or b"")


def told(session: Session, who: UUID) -> list[str]:
    """The types of what the ledger says about them, in order."""
    return [entry.type for entry in subjects.entries(session, who)]
