"""People who decide, for the tests of consent."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.consent import decisions, notices, presentations
from domain.consent.presentations import Shown
from domain.consent.purposes import PurposeRegister, purposes
from domain.subjects import service as subjects
from tests.support import NOON

CONTENT = Path(__file__).parents[2] / "content"


def publish(session: Session) -> None:
    """The notices of `content/`, published."""
    notices.publish(session, CONTENT, at=NOON)


def somebody(session: Session, *, age: int | None = 15, confirmed: bool = True) -> UUID:
    """A person whom nobody knows anything about but their age and that they read their mail."""
    subject = subjects.open_subject(session, at=NOON, declared_age=age)
    subject.confirmed_at = NOON if confirmed else None
    session.flush()
    return subject.id


def served(
    session: Session,
    subject_id: UUID,
    *,
    at: datetime = NOON,
    surface: str = "preferences",
    locale: str = "nb",
) -> Shown:
    """The form that this person is shown at that time, as it comes back."""
    document = presentations.current(session, surface, locale, at=at)
    seen = subjects.get(session, subject_id).linked
    token = presentations.token(session, document, at=at, seen=seen)
    return presentations.shown(session, surface, token, at=at)


def decide(
    session: Session,
    subject_id: UUID,
    *,
    at: datetime = NOON,
    shown: Shown | None = None,
    **choices: bool,
) -> list[str]:
    """Answer the form; return the states that were recorded, by purpose, as `purpose: state`."""
    shown = shown or served(session, subject_id, at=at)
    made = decisions.record(session, subject_id, choices, shown, at=at)
    return [
        f"{one.purpose_id}: {one.state}"
        for one in decisions.history(session, subject_id)
        if one.entry_id in made
    ]


def changed(session: Session, purpose_id: str, **values: Any) -> PurposeRegister:
    """From now on this session knows the purpose as changed."""
    register = purposes(session)
    purpose = replace(register.purposes[purpose_id], **values)
    register = replace(register, purposes={**register.purposes, purpose_id: purpose})
    session.info["purposes"] = register
    return register
