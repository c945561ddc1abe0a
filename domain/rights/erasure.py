"""Erasure (GDPR art. 17): real, complete, and proved by what it leaves."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts
from domain.rights import requests
from domain.rights.errors import NotVerified
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects

Cause = Literal["request", "replaced"]


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
    letter: dict[str, Any] | None = None
    if account is not None:
        person = accounts.person(session, account)
        letter = {"to": person.email, "name": person.name, "locale": account.locale}
    forget(session, subject_id, "request", at=at)
    if letter is not None:
        letter["reference"] = request.reference
        outbox.post(session, "mail.erasure_done", letter, at=at)


def forget(session: Session, subject_id: UUID, cause: Cause, *, at: datetime) -> None:
    """Erase every holding of a person and append `erasure.executed`.

    The entry is appended before the key that made its tag is destroyed: afterwards nobody can
    tell whose it was.
    """
    data = {"cause": cause, "holdings": [holding.name for holding in INVENTORY]}
    subjects.record(session, subject_id, "erasure.executed", data, at=at)
    for holding in INVENTORY:
        holding.erase(session, subject_id, at)
    session.flush()


def forget_unconfirmed(session: Session, subject_id: UUID, *, at: datetime) -> None:
    """Erase a registration that nobody confirmed, because the address registers again."""
    forget(session, subject_id, "replaced", at=at)
