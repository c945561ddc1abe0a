"""Requests from people who are not signed in: by e-mail address, answered by a signed link.

The page only puts the address into the outbox, whoever it belongs to. What depends on whether
somebody has that address happens here, in the worker, so that neither the answer nor the time
it takes can tell (requirement 64).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.signed_links import LinkKind
from domain.ledger.append import pad
from domain.rights import requests, settling
from domain.rights.requests import RequestKind
from domain.rights.settling import Matter

LINKS = {RequestKind.ACCESS: LinkKind.ACCESS, RequestKind.ERASURE: LinkKind.ERASURE}


def take_request(
    session: Session, payload: Mapping[str, Any], *, lifetime: timedelta, at: datetime
) -> None:
    """Open the request and mail its link; tell an unknown address that nothing is kept.

    Either leaves one entry now and one when the week is over (settling.py), so that the log's
    size does not tell what the answer does not.
    """
    kind = RequestKind(payload["kind"])
    settling.later(session, Matter.REQUEST, at=at)
    account = accounts.find(session, payload["email"])
    if account is None:
        pad(session, at=at)
        letter = {"to": payload["email"], "name": None, "locale": payload["locale"]}
        outbox.post(session, "mail.request_unknown", {**letter, "kind": kind.value}, at=at)
        return
    request = requests.receive(session, account.subject_id, kind, channel="link", at=at)
    token = signed_links.issue(
        session,
        LINKS[kind],
        account.subject_id,
        stamp=account.stamp,
        lifetime=lifetime,
        request_id=request.id,
        at=at,
    )
    person = accounts.person(session, account)
    letter = {
        "to": person.email,
        "name": person.name,
        "locale": payload["locale"],
        "token": token,
        "reference": request.reference,
        "due_on": request.due_on.isoformat(),
        "entries": requests.entries(session, request)[:1],
    }
    outbox.post(session, f"mail.{kind.value}", letter, at=at, about=account.subject_id)


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
