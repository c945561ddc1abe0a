"""To whom a newsletter goes: what is opened of a person for one mail, right before it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.identity import vault
from domain.identity.models import Account
from domain.subjects import service as subjects
from domain.subjects.models import Subject

_SEALED = select(
    Account.subject_id, Account.id, Account.email, Account.name, Account.locale, Subject.wrapped_key
).join(Subject, Subject.id == Account.subject_id)


@dataclass(frozen=True, repr=False, slots=True)
class Addressee:
    """An address, a name and a language. Its repr shows none of it."""

    email: str
    name: str
    locale: str


def sealed(session: Session, ids: Sequence[UUID]) -> dict[UUID, Any]:
    """What is stored of these people; nothing of who has no account any more."""
    rows = session.execute(_SEALED.where(Account.subject_id.in_(ids))).all()
    return {row.subject_id: row for row in rows}


def opened(session: Session, row: Any) -> Addressee:
    """One of them: nothing more is read. Raises UnknownEpoch, WrongSeal or KeyServiceError."""
    key = vault.field_key(subjects.unwrap(session, row.subject_id, row.wrapped_key))
    return Addressee(
        email=vault.open_field(key, row.id, "email", row.email) or "",
        name=vault.open_field(key, row.id, "name", row.name) or "",
        locale=row.locale,
    )
