"""Requests from people who are not signed in: by e-mail address, answered by a signed link.

The page only puts the address into the outbox, whoever it belongs to. What depends on whether
somebody has that address happens here, in the worker, so that neither the answer nor the time
it takes can tell (requirement 64).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts, correspondents, signed_links
from domain.identity.signed_links import LinkKind
from domain.ledger.append import pad
from domain.rights import cases, requests, settling, telling
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import Channel, Contact, RequestKind, RequestState
from domain.rights.settling import Matter

# An enquiry is no right to be proved: it has no link but the one to follow it by.
LINKS = {
    RequestKind.ACCESS: LinkKind.ACCESS,
    RequestKind.PORTABILITY: LinkKind.PORTABILITY,
    RequestKind.RECTIFICATION: LinkKind.RECTIFICATION,
    RequestKind.ERASURE: LinkKind.ERASURE,
    RequestKind.RESTRICTION: LinkKind.RESTRICTION,
    RequestKind.OBJECTION: LinkKind.OBJECTION,
}


def take_request(
    session: Session,
    payload: Mapping[str, Any],
    *,
    lifetime: timedelta,
    at: datetime,
    channel: Channel = "link",
) -> DataSubjectRequest | None:
    """Open the request and mail its link; tell an unknown address that nothing is kept.

    `payload` has kind, email and locale, and may have about_purpose, words, and `at`: when it was
    asked. Words are kept with a request that nobody has verified yet, in place of those that were
    there: anybody may have written either, and the newest link, the only one that works, confirms
    the newest. To a verified one none are added, and the mail says so. Either way there is one
    entry now and one when the week is over (settling.py), so that the log's size does not tell
    what the answer does not.
    """
    kind = RequestKind(payload["kind"])
    settling.later(session, Matter.REQUEST, at=at)
    subject_id = known(session, payload["email"])
    contact = requests.contact(session, subject_id) if subject_id else None
    if subject_id is None or contact is None:
        _tell_stranger(session, payload, at=at)
        return None
    request = requests.receive(
        session,
        subject_id,
        kind,
        channel=channel,
        at=at,
        locale=payload["locale"],
        about_purpose=payload.get("about_purpose"),
        asked_at=_asked_at(payload),
    )
    words = payload.get("words") or ""
    if request.state == RequestState.RECEIVED.value:
        cases.write_anew(session, request, words, at=at)
        words = ""
    link = signed_links.issue(
        session,
        LINKS[kind],
        subject_id,
        stamp=contact.stamp,
        lifetime=lifetime,
        request_id=request.id,
        at=at,
    )
    letter = _letter(session, request, contact, payload["locale"], token=link, left_out=bool(words))
    outbox.post(session, f"mail.{kind}", letter, at=at, about=subject_id)
    return request


def _tell_stranger(session: Session, payload: Mapping[str, Any], *, at: datetime) -> None:
    """An address that we do not know: one entry all the same, and a mail that says so."""
    pad(session, at=at)
    letter = {"to": payload["email"], "name": None, "locale": payload["locale"]}
    outbox.post(session, "mail.request_unknown", {**letter, "kind": payload["kind"]}, at=at)


def _asked_at(payload: Mapping[str, Any]) -> datetime | None:
    """When the form was sent; None where that is now."""
    return datetime.fromisoformat(payload["at"]) if "at" in payload else None


def _letter(
    session: Session,
    request: DataSubjectRequest,
    contact: Contact,
    locale: str,
    *,
    token: str,
    left_out: bool,
) -> dict[str, Any]:
    """The mail with the link that shows the request to be the person's, in the language of the
    form; whether words were `left_out` of the case."""
    return {
        "to": contact.email,
        "name": contact.name,
        "locale": locale,
        "account": contact.has_account,
        "kind": request.kind,
        "about_purpose": request.about_purpose,
        "token": token,
        "reference": request.reference,
        "due_on": request.due_on.isoformat(),
        "entries": requests.entries(session, request)[:1],
        "left_out": left_out,
    }


def known(session: Session, email: str) -> UUID | None:
    """Whose address it is: somebody with an account, or a correspondent.

    A registration that nobody confirmed may be a stranger's, and goes in a week: who wrote to us
    comes before it. One that is confirmed has what was written (joining.py).
    """
    account, writer = accounts.find(session, email), correspondents.find(session, email)
    if account is None or (writer is not None and not accounts.is_confirmed(session, account)):
        return writer
    return account.subject_id


def take_enquiry(
    session: Session, payload: Mapping[str, Any], at: datetime, channel: Channel = "form"
) -> DataSubjectRequest:
    """Open a case of what somebody wrote, whoever has the address, and tell the operator.

    `payload` has email, locale and words, and may have `at`, when they were written. The person
    gets a link to follow the case, and not their words: anybody may have typed the address. One
    entry, known or not. A registration that nobody confirmed goes in a week and must not take the
    case with it, so it counts as none.
    """
    email, locale = payload["email"], payload["locale"]
    account = accounts.find(session, email)
    if account is not None and accounts.is_confirmed(session, account):
        subject_id = account.subject_id
    else:
        subject_id = correspondents.open_or_find(session, email, locale, at=at)
    request = requests.receive(
        session,
        subject_id,
        RequestKind.ENQUIRY,
        channel=channel,
        at=at,
        locale=locale,
        asked_at=_asked_at(payload),
    )
    cases.write(session, request, "person", payload["words"], at=at)
    telling.tell(session, request, "mail.enquiry_received", at=at)
    cases.execute(session, request, at=at)
    return request


def take_follow(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """Mail a new link to follow a case, if the address is that of the person it is about; tell
    any other address that there is no such case. No entry either way.

    `payload` has reference, email and locale.
    """
    email, locale = payload["email"], payload["locale"]
    request = requests.by_reference(session, payload["reference"].strip().upper())
    if request is not None and request.subject_id in {known(session, email)} - {None}:
        telling.tell(session, request, "mail.case_link", at=at)
        return
    letter = {"to": email, "name": None, "locale": locale}
    outbox.post(session, "mail.case_unknown", letter, at=at)


def take_reset(
    session: Session, payload: Mapping[str, Any], *, lifetime: timedelta, at: datetime
) -> None:
    """Mail a link that sets a new password; tell an unknown address that it has no account.

    An account whose address nobody confirmed counts as none: somebody else may have opened it,
    with choices that the owner of the address never made. Registering again replaces it.
    """
    account = accounts.find(session, payload["email"])
    if account is None or not accounts.is_confirmed(session, account):
        letter = {"to": payload["email"], "name": None, "locale": payload["locale"]}
        outbox.post(session, "mail.reset_unknown", letter, at=at)
        return
    token = signed_links.issue(
        session,
        LinkKind.RESET,
        account.subject_id,
        stamp=account.stamp,
        lifetime=lifetime,
        at=at,
    )
    person = accounts.person(session, account)
    letter = {
        "to": person.email,
        "name": person.name,
        "locale": payload["locale"],
        "token": token,
    }
    outbox.post(session, "mail.reset", letter, at=at, about=account.subject_id)
