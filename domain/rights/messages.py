"""Messages to a person: those that are about them, and those that merely carry their address.

A request by e-mail address is queued before anybody looks whose address it is, so its message
is about nobody. Delivery knows no addresses of people; here they are known.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts, emails
from domain.identity.errors import InvalidAddress

(_ABOUT,) = outbox.HOLDINGS


def _addresses(session: Session, subject_id: UUID) -> set[str]:
    account = accounts.of_subject(session, subject_id)
    if account is None:
        return set()
    known = (accounts.person(session, account).email, accounts.pending_email(session, account))
    return {_spelled(address) for address in known if address}


def _spelled(address: str) -> str:
    try:
        return emails.normalise(address)
    except InvalidAddress:
        return address


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    known = _addresses(session, subject_id)
    to_address = [
        outbox.described(row, recipient)
        for row, recipient in outbox.about_nobody(session)
        if _spelled(recipient) in known
    ]
    return [*_ABOUT.export(session, subject_id), *to_address]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    known = _addresses(session, subject_id)
    for row, recipient in outbox.about_nobody(session, to_change=True):
        if _spelled(recipient) in known:
            session.delete(row)
    _ABOUT.erase(session, subject_id, at)


HOLDINGS = (replace(_ABOUT, export=_export, erase=_erase),)
