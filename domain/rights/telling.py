"""Telling people, by mail, of consents that changed and of how far their requests are.

Who changes consents posts `intake.receipts` with the ids of the entries; whose address the mail
goes to is looked up by the worker, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from database import table_of
from domain.analytics import usage
from domain.consent import decisions
from domain.delivery import outbox
from domain.delivery.errors import NotYet
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, signed_links
from domain.identity.signed_links import LinkKind
from domain.rights import requests
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import Contact
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject
from domain.subjects.recording import Rows

_CHANGED = "intake.receipts"
# The mails with a link to follow the case by.
FOLLOWING = (
    "mail.enquiry_received",
    "mail.request_extended",
    "mail.request_refused",
    "mail.case_answered",
    "mail.case_link",
)


def tell(
    session: Session,
    request: DataSubjectRequest,
    letter: str,
    *,
    at: datetime,
    entries: Sequence[str] = (),
    **more: Any,
) -> UUID | None:
    """Post a mail (`mail.request_extended`, …) to whoever the request is about, by their account
    or as a correspondent; return the message's id, None if there is nobody to tell.

    It has the reference, the day, and the receipts of all that the ledger says about the request
    and of the `entries` beside; what stands in FOLLOWING has a new link to the case. `more` is what
    its words need, as JSON values.
    """
    if request.subject_id is None:
        return None
    contact = requests.contact(session, request.subject_id)
    if contact is None:
        return None
    payload: dict[str, Any] = {
        "to": contact.email,
        "name": contact.name,
        "locale": contact.locale,
        "account": contact.has_account,
        "kind": request.kind,
        "about_purpose": request.about_purpose,
        "reference": request.reference,
        "due_on": request.due_on,
        "entries": [*requests.entries(session, request), *entries],
        **more,
    }
    if letter in FOLLOWING:
        payload["token"] = follow(session, request, contact, at=at)
    return outbox.post(session, letter, payload, at=at, about=request.subject_id)


def follow(session: Session, request: DataSubjectRequest, contact: Contact, *, at: datetime) -> str:
    """The token of a link that shows how far the case is, and nothing else. Raises
    UnknownSubject."""
    if request.subject_id is None:
        raise UnknownSubject(request.id)
    return signed_links.issue(
        session,
        LinkKind.CASE,
        request.subject_id,
        stamp=contact.stamp,
        lifetime=signed_links.FOLLOWED,
        request_id=request.id,
        at=at,
    )


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
    nothing. Raises NotYet while somebody else holds the person.
    """
    subject_id = UUID(payload["subject"])
    subject = take_hold(session, subject_id)
    # What a legal hold keeps of somebody lies still, and so does who has a time of grace.
    if subject is None or subject.erasing_at is not None:
        return
    account = accounts.of_subject(session, subject_id)
    if account is None or not accounts.is_confirmed(session, account):
        return
    letter = {
        **accounts.addressed(session, account),
        "entries": payload["entries"],
    }
    outbox.post(session, "mail.choices", letter, at=at, about=subject_id)


def take_hold(session: Session, subject_id: UUID) -> Subject | None:
    """The person, locked until the transaction ends; None if they are gone. For a message about
    them: raises NotYet while somebody else holds them.

    To wait here could mean to wait for an erasure that waits for this very message; not to ask
    would leave a mail behind that the erasure did not see.
    """
    unwaiting = {"skip_locked": True}
    held = session.get(Subject, subject_id, with_for_update=unwaiting, populate_existing=True)
    if held is None and session.get(Subject, subject_id) is not None:
        raise NotYet
    return held


def expire_due(session: Session, *, at: datetime, limit: int = 500) -> int:
    """Let consents expire whose time has run out, so many at most; return how many. Nobody is
    written to: they were asked before (renewals.py), and no answer is an answer too."""
    expired = decisions.expire_due(session, at=at, limit=limit)
    for subject_id in expired:
        usage.follow(session, subject_id)
    return sum(len(entries) for entries in expired.values())
