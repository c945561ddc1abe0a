"""May we do this for this person now?

One function answers, and everything that sends, counts or shares asks it at the moment of
doing, never earlier.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent.decisions import DecisionState
from domain.consent.models import CurrentDecision
from domain.consent.purposes import Purpose, PurposeRegister
from domain.dates import local_day
from domain.subjects.models import Subject

_SUBJECT, _DECISION = Subject.__table__, CurrentDecision.__table__
_FOR = (
    select(
        _DECISION.c.state,
        _DECISION.c.expires_at,
        _DECISION.c.purpose_version,
        _SUBJECT.c.declared_age,
        _SUBJECT.c.confirmed_at,
        _SUBJECT.c.restricted_at,
        _SUBJECT.c.erasing_at,
    )
    .select_from(
        _SUBJECT.outerjoin(
            _DECISION,
            and_(
                _DECISION.c.subject_id == _SUBJECT.c.id,
                _DECISION.c.purpose_id == bindparam("purpose"),
            ),
        )
    )
    .where(_SUBJECT.c.id == bindparam("subject"))
)


class Permission(StrEnum):
    """The answer, and why it is no."""

    PERMITTED = "permitted"
    NO_SUBJECT = "no_subject"
    RESTRICTED = "restricted"
    ERASING = "erasing"
    NO_DECISION = "no_decision"
    NOT_GIVEN = "not_given"
    EXPIRED = "expired"
    OTHER_VERSION = "other_version"
    UNCONFIRMED_ADDRESS = "unconfirmed_address"
    UNDER_AGE = "under_age"

    def __bool__(self) -> bool:
        """Only PERMITTED is true."""
        return self is Permission.PERMITTED


def permitted(
    asked: Session | Database, subject_id: UUID, purpose_id: str, *, at: datetime
) -> Permission:
    """Whether a purpose is permitted for a person at this moment.

    Whoever has a transaction open asks its session, and sees what stands there; whoever has none
    asks the database itself, which takes one journey in place of three. A purpose that rests on
    another basis than consent is permitted while the person exists; where it is `restrictable`,
    not while they have restricted it (GDPR art. 18) or are being erased. Raises KeyError for a
    purpose that is not in the register: an undeclared purpose is a programming error, never a no.
    """
    loaded: PurposeRegister = asked.info["purposes"]
    register = loaded.on(local_day(at))
    purpose = register.purposes[purpose_id]
    looked_up = {"subject": subject_id, "purpose": purpose_id}
    if isinstance(asked, Database):
        row = asked.first(_FOR, looked_up)
    else:
        row = asked.execute(_FOR, looked_up).one_or_none()
    if row is None:
        return Permission.NO_SUBJECT
    stopped = _stopped(purpose, row)
    if stopped is not None:
        return stopped
    if not purpose.optional:
        return Permission.PERMITTED
    return _consented(register, purpose, row, at)


def _stopped(purpose: Purpose, row: Row[Any]) -> Permission | None:
    """Whether a restriction, or an erasure that waits, stands against it."""
    if not purpose.restrictable:
        return None
    if row.erasing_at is not None:
        return Permission.ERASING
    return Permission.RESTRICTED if row.restricted_at is not None else None


def _consented(
    register: PurposeRegister, purpose: Purpose, row: Row[Any], at: datetime
) -> Permission:
    """Whether a consent is in force for it."""
    if row.state is None:
        return Permission.NO_DECISION
    if not DecisionState(row.state).permits:
        return Permission.NOT_GIVEN
    if row.expires_at is None or row.expires_at <= at:
        return Permission.EXPIRED
    if row.purpose_version != purpose.version:
        return Permission.OTHER_VERSION
    if not register.old_enough(purpose, row.declared_age):
        return Permission.UNDER_AGE
    if purpose.confirmed_address and row.confirmed_at is None:
        return Permission.UNCONFIRMED_ADDRESS
    return Permission.PERMITTED
