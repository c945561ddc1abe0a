"""Messages to a person: those that are about them, and those that merely carry their address.

A request by e-mail address is queued before anybody looks whose address it is, so its message
is about nobody. Delivery knows no addresses of people; here they are known.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, correspondents, emails
from domain.identity.errors import InvalidAddress
from domain.keys import DoesNotOpen

(_ABOUT,) = outbox.HOLDINGS
_OPENED = "messages_about_nobody"


def _addresses(session: Session, subject_id: UUID) -> set[str]:
    account = accounts.of_subject(session, subject_id)
    if account is None:
        written_from = correspondents.email_of(session, subject_id)
        return {_spelled(written_from)} if written_from else set()
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
    known: set[str] = set()
    with suppress(DoesNotOpen):  # else nobody knows which these are, and they go when sent
        known = _addresses(session, subject_id)
    ids = [one for address in known for one in _to(session, address)]
    if ids:
        # Not those in a worker's hands: waiting for these could mean waiting for one that waits
        # for us, and they go when the worker is done.
        free = select(OutboxMessage.id).where(OutboxMessage.id.in_(ids))
        free = free.with_for_update(skip_locked=True)
        session.execute(delete(OutboxMessage).where(OutboxMessage.id.in_(free)))
    _ABOUT.erase(session, subject_id, at)


def _to(session: Session, address: str) -> list[UUID]:
    """The messages about nobody to an address, spelled as we spell it."""
    alike = _about_nobody(session).get(_roughly(address), ())
    return [message for message, recipient in alike if _spelled(recipient) == address]


def _about_nobody(session: Session) -> dict[str, list[tuple[UUID, str]]]:
    """All of them, by what an address begins with. Opened once for a transaction, however many
    people it erases; what is posted meanwhile is the last mail to one of them."""
    transaction = session.get_transaction()
    begun, found = session.info.get(_OPENED, (None, {}))
    if begun is None or begun is not transaction:
        found = defaultdict(list)
        for message, recipient in outbox.recipients_about_nobody(session):
            found[_roughly(recipient)].append((message, recipient))
        session.info[_OPENED] = (transaction, found)
    return cast(dict[str, list[tuple[UUID, str]]], found)


def _roughly(address: str) -> str:
    """The same for all spellings of an address, and for a few others: to spell each as it must be
    takes ten times as long as to open it."""
    return unicodedata.normalize("NFKC", address.strip().rpartition("@")[0]).casefold()


HOLDINGS = (replace(_ABOUT, export=_export, erase=_erase),)
