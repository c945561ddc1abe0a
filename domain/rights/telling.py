"""Telling people, by mail, of consents that changed.

Whoever changes them posts `intake.receipts` with the ids of the entries; whose address the mail
goes to is looked up by the worker, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from database import table_of
from domain.consent import decisions
from domain.delivery import outbox
from domain.delivery.errors import NotYet
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.subjects.models import Subject
from domain.subjects.recording import Rows

_CHANGED = "intake.receipts"


def changed(session: Session, subject_id: UUID, entries: Sequence[str], *, at: datetime) -> None:
    """Queue one mail about all of these decisions; none where nothing was decided."""
    if entries:
        payload = _change(subject_id, entries)
        outbox.post(session, _CHANGED, payload, at=at, about=subject_id)


def message(
    info: Mapping[str, Any], subject_id: UUID, entries: Sequence[str], *, at: datetime
) -> Rows:
    """The same mail, for who writes it in one with the decisions (choosing.py)."""
    payload, domain = _change(subject_id, entries), info.get("mail_domain")
    row = outbox.message(info["keyring"], _CHANGED, payload, at=at, about=subject_id, domain=domain)
    return Rows(table_of(OutboxMessage), [row])


def _change(subject_id: UUID, entries: Sequence[str]) -> dict[str, Any]:
    return {"subject": subject_id, "entries": list(entries)}


def take_receipts(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """Post the mail that names the changes and carries their receipts.

    Only to an account whose address is confirmed: any other may be a stranger's, and counts for
    nothing. Raises NotYet while somebody else holds the person. To wait for them here could mean
    to wait for an erasure that waits for this very message; not to ask would leave a mail behind
    that the erasure did not see.
    """
    subject_id = UUID(payload["subject"])
    unwaiting = {"skip_locked": True}
    held = session.get(Subject, subject_id, with_for_update=unwaiting, populate_existing=True)
    if held is None:
        if session.get(Subject, subject_id) is not None:
            raise NotYet
        return
    account = accounts.of_subject(session, subject_id)
    if account is None or not accounts.is_confirmed(session, account):
        return
    person = accounts.person(session, account)
    letter = {
        "to": person.email,
        "name": person.name,
        "locale": account.locale,
        "entries": payload["entries"],
    }
    outbox.post(session, "mail.choices", letter, at=at, about=subject_id)


def expire_due(session: Session, *, at: datetime) -> int:
    """Let consents expire whose time has run out, and tell each person; return how many."""
    expired = decisions.expire_due(session, at=at)
    for subject_id, entries in expired.items():
        changed(session, subject_id, entries, at=at)
    return sum(len(entries) for entries in expired.values())
