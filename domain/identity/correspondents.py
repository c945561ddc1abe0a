"""Correspondents: people who wrote to us and have no account.

An enquiry needs none. What is kept is where the answer goes, sealed as an account's fields are,
so that access and erasure by that address reach what was written.
"""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.dates import timestamp
from domain.holding import Holding
from domain.identity import emails, vault
from domain.identity.errors import InvalidAddress
from domain.identity.models import Correspondent
from domain.keys import keyring
from domain.subjects import service as subjects

_TABLE, _FIELD = "correspondent", "email"


def find(session: Session, email: str) -> UUID | None:
    """The subject who writes from this address and has no account, however it is spelled."""
    try:
        lookup = _lookup(session, emails.normalise(email))
    except InvalidAddress:
        return None
    return session.scalar(
        select(Correspondent.subject_id).where(Correspondent.email_lookup == lookup)
    )


def open_or_find(session: Session, email: str, locale: str, *, at: datetime) -> UUID:
    """The subject who writes from this address; a new one where nobody did yet.

    Of two that come at once one is opened: the unique constraint decides. Leaves no entry in the
    ledger. Raises InvalidAddress.
    """
    wanted = emails.normalise(email)
    known = find(session, wanted)
    if known is not None:
        return known
    try:
        with session.begin_nested():
            return _open(session, wanted, locale, at)
    except IntegrityError:
        known = find(session, wanted)
        if known is None:
            raise
        return known


def of_subject(session: Session, subject_id: UUID) -> Correspondent | None:
    """The correspondent's row of a subject."""
    return session.get(Correspondent, subject_id)


def email_of(session: Session, subject_id: UUID) -> str | None:
    """Where their answers go; None for who has an account, or nothing."""
    row = session.get(Correspondent, subject_id)
    if row is None:
        return None
    key = vault.key_of(session, subject_id)
    return vault.open_field(key, subject_id, _FIELD, row.email, table=_TABLE)


def let_go(session: Session, subject_id: UUID) -> None:
    """Nobody finds them by their address any more: what is kept is under a legal hold."""
    row = session.get(Correspondent, subject_id)
    if row is not None:
        row.email_lookup = secrets.token_bytes(32)
        session.flush()


def _open(session: Session, email: str, locale: str, at: datetime) -> UUID:
    subject = subjects.open_subject(session, at=at)
    key = vault.field_key(subjects.subject_key(session, subject))
    sealed = vault.seal_field(key, subject.id, _FIELD, email, table=_TABLE)
    if sealed is None:
        raise InvalidAddress
    session.add(
        Correspondent(
            subject_id=subject.id,
            email_lookup=_lookup(session, email),
            email=sealed,
            locale=locale,
            opened_at=at,
        )
    )
    session.flush()
    return subject.id


def _lookup(session: Session, email: str) -> bytes:
    return keyring(session).lookup("correspondent.email", email)


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    row = session.get(Correspondent, subject_id)
    if row is None:
        return []
    return [
        {
            "email": email_of(session, subject_id),
            "locale": row.locale,
            "opened_at": timestamp(row.opened_at),
        }
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(Correspondent).where(Correspondent.subject_id == subject_id))


HOLDINGS: tuple[Holding, ...] = (
    Holding(
        name="correspondent",
        purposes=("support", "rights"),
        source="person",
        retention=("correspondents",),
        columns={"correspondent": ("subject_id", "email_lookup", "email", "locale", "opened_at")},
        export=_export,
        erase=_erase,
        holdable=True,
    ),
)
