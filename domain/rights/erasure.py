"""Erasure (GDPR art. 17): real, complete, and proved by what it leaves."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts
from domain.identity.models import Account
from domain.ledger.append import pad
from domain.rights import requests
from domain.rights.errors import NotVerified
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

Cause = Literal["request", "replaced", "unconfirmed"]

# How long a registration waits for its address to be confirmed; the notice says so.
UNCONFIRMED_FOR = timedelta(days=7)


def fulfil(session: Session, request: DataSubjectRequest, *, at: datetime) -> None:
    """Erase the person that a verified request is about, and tell them so a last time.

    One transaction: the request is closed, the ledger has its entries, every holding is gone,
    and the last mail waits in the outbox, which is the only place where the address still is.
    Raises NotVerified.
    """
    subject_id = request.subject_id
    if subject_id is None or not requests.fulfil(session, request, at=at):
        raise NotVerified(request.reference)
    account = accounts.of_subject(session, subject_id)
    # The address only: the name goes now, not when the mail does.
    letter: dict[str, Any] | None = None
    if account is not None:
        person = accounts.person(session, account)
        letter = {"to": person.email, "name": None, "locale": account.locale}
    # The whole story: an earlier mail about the request may just have gone with the person, and
    # nobody but the reader of this one will be able to tell that these entries are theirs.
    told = requests.entries(session, request)
    told.append(forget(session, subject_id, "request", at=at))
    if letter is not None:
        letter.update(reference=request.reference, entries=told)
        outbox.post(session, "mail.erasure_done", letter, at=at)


def forget(
    session: Session, subject_id: UUID, cause: Cause, *, at: datetime, but: Collection[str] = ()
) -> str:
    """Erase every holding of a person, `but` those named, and append `erasure.executed`, whose
    id is returned.

    The entry is appended before the key that made its tag is destroyed: afterwards nobody can
    tell whose it was.
    """
    holdings = [holding for holding in INVENTORY if holding.name not in but]
    data = {"cause": cause, "holdings": [holding.name for holding in holdings]}
    entry_id = subjects.record(session, subject_id, "erasure.executed", data, at=at)
    for holding in holdings:
        holding.erase(session, subject_id, at)
    session.flush()
    return entry_id


def forget_unconfirmed(session: Session, email: str, *, at: datetime) -> Account | None:
    """Erase a registration of this address that nobody confirmed, because the address comes
    anew; return the account that stays, if it is a confirmed one.

    Appends one entry whatever it finds: `erasure.executed`, or one that says nothing.

    The tries at the address stay: they spare the inbox of whoever has it from being flooded.
    """
    account = accounts.find(session, email)
    if account is not None and _held(session, account.subject_id):
        if not accounts.is_confirmed(session, account):
            forget(session, account.subject_id, "replaced", at=at, but=("attempts",))
            return None
    else:
        account = None
    pad(session, at=at)
    return account


def _held(session: Session, subject_id: UUID) -> bool:
    """Lock the person until the transaction ends; False if they were erased since we looked."""
    try:
        subjects.lock(session, subject_id)
    except UnknownSubject:
        return False
    return True


def forget_never_confirmed(
    session: Session, *, at: datetime, waited: timedelta = UNCONFIRMED_FOR, limit: int = 100
) -> int:
    """Erase the registrations that nobody confirmed in the time they `waited`, seven days;
    return how many."""
    waiting = accounts.never_confirmed(session, before=at - waited, limit=limit)
    forgotten = 0
    for subject_id in waiting:
        try:
            subject = subjects.lock(session, subject_id)
        except UnknownSubject:  # erased since we looked
            continue
        if subject.confirmed_at is None:
            forget(session, subject_id, "unconfirmed", at=at)
            forgotten += 1
    return forgotten
