"""Restriction (GDPR art. 18): placed at once, and lifted at once by the person.

Where staff lift it, the person is told a day before (art. 18(3)): the mail and what lifts are
posted together, and nothing is lifted while the mail has not been sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import subscriptions
from domain.rights import recipients, requests, telling
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects

# What lifts, in the outbox.
KIND = "intake.lift"
TOLD_BEFORE = timedelta(days=1)
# So long after that it is looked again whether the mail was sent.
_LATER = timedelta(hours=1)


def place(session: Session, request: DataSubjectRequest, subject_id: UUID, *, at: datetime) -> None:
    """Restrict, close the request and tell the person, and each recipient (art. 19). Whoever asks
    for it again keeps it: what was to be lifted is not."""
    placed = []
    if subjects.restrict(session, subject_id, at=at):
        placed = [_newest_entry(session, subject_id)]
        recipients.tell(session, subject_id, "restriction", at=at)
    mine = (OutboxMessage.kind == KIND, OutboxMessage.about == subject_id)
    session.execute(delete(OutboxMessage).where(*mine, OutboxMessage.state == outbox.QUEUED))
    requests.fulfil(session, request, at=at)
    telling.tell(session, request, "mail.restriction_placed", at=at, entries=placed)


def placed_by(session: Session, subject_id: UUID) -> DataSubjectRequest | None:
    """The request that restricts the person now; None where none does."""
    if subjects.get(session, subject_id).restricted_at is None:
        return None
    return session.scalar(
        select(DataSubjectRequest)
        .where(
            DataSubjectRequest.subject_id == subject_id,
            DataSubjectRequest.kind == RequestKind.RESTRICTION.value,
            DataSubjectRequest.state == RequestState.FULFILLED.value,
        )
        .order_by(DataSubjectRequest.closed_at.desc())
        .limit(1)
    )


def lift(session: Session, subject_id: UUID, *, at: datetime) -> bool:
    """Let processing go on, and tell the person, with the receipt, and each recipient; False if
    nothing held it. Raises UnknownSubject."""
    if not subjects.lift_restriction(session, subject_id, at=at):
        return False
    subscriptions.warn_anew(session, subject_id)  # the day that they were told may be over
    recipients.tell(session, subject_id, "lifted", at=at)
    contact = requests.contact(session, subject_id)
    if contact is not None:
        letter = {
            "to": contact.email,
            "name": contact.name,
            "locale": contact.locale,
            "account": contact.has_account,
            "entries": [_newest_entry(session, subject_id)],
        }
        outbox.post(session, "mail.restriction_lifted", letter, at=at, about=subject_id)
    return True


def announce(session: Session, request: DataSubjectRequest, *, at: datetime) -> datetime | None:
    """Tell the person that the restriction is lifted in a day, and lift it then; when that is, or
    None where nothing is restricted."""
    if request.subject_id is None:
        return None
    restricted_at = subjects.lock(session, request.subject_id).restricted_at
    if restricted_at is None:
        return None
    until = at + TOLD_BEFORE
    mail = telling.tell(session, request, "mail.restriction_ending", at=at, until=until)
    payload = {"subject": request.subject_id, "restricted_at": restricted_at, "mail": mail}
    _lift_at(session, payload, request.subject_id, at=at, due_at=until)
    return until


def take_lift(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """Lift what was announced, if the mail that says so was sent; while it waits, look again in an
    hour. One that cannot be delivered lifts nothing: it is among the operator's dead messages.

    Not a restriction that was placed anew since. Raises NotYet while somebody else holds the
    person.
    """
    subject_id = UUID(payload["subject"])
    held = telling.take_hold(session, subject_id)
    if held is None or held.restricted_at != datetime.fromisoformat(payload["restricted_at"]):
        return
    mail = session.get(OutboxMessage, UUID(payload["mail"])) if payload["mail"] else None
    if mail is not None and mail.state == outbox.QUEUED:
        _lift_at(session, payload, subject_id, at=at, due_at=at + _LATER)
    elif mail is None or mail.state == outbox.SENT:
        lift(session, subject_id, at=at)


def _lift_at(
    session: Session,
    payload: Mapping[str, Any],
    subject_id: UUID,
    *,
    at: datetime,
    due_at: datetime,
) -> None:
    outbox.post(session, KIND, payload, at=at, about=subject_id, due_at=due_at)


def _newest_entry(session: Session, subject_id: UUID) -> str:
    return [one.id for one in subjects.entries(session, subject_id)][-1]
