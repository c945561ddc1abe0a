"""May we do this for this person now?

One function answers, and everything that sends, counts or shares asks it at the moment of
doing, never earlier.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent.decisions import DecisionState
from domain.consent.models import CurrentDecision
from domain.consent.purposes import PurposeRegister
from domain.subjects.models import Subject

_SUBJECT, _DECISION = Subject.__table__, CurrentDecision.__table__
_FOR = (
    select(
        _DECISION.c.state,
        _DECISION.c.expires_at,
        _DECISION.c.purpose_version,
        _SUBJECT.c.declared_age,
        _SUBJECT.c.confirmed_at,
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
    another basis than consent is permitted while the person exists. Raises KeyError for a purpose
    that is not in the register: an undeclared purpose is a programming error, never a no.
    """
    register: PurposeRegister = asked.info["purposes"]
    purpose = register.purposes[purpose_id]
    looked_up = {"subject": subject_id, "purpose": purpose_id}
    if isinstance(asked, Database):
        row = asked.first(_FOR, looked_up)
    else:
        row = asked.execute(_FOR, looked_up).one_or_none()
    if row is None:
        return Permission.NO_SUBJECT
    if not purpose.optional:
        return Permission.PERMITTED
    state, expires_at, version, declared_age, confirmed_at = row
    if state is None:
        return Permission.NO_DECISION
    if not DecisionState(state).permits:
        return Permission.NOT_GIVEN
    if expires_at is None or expires_at <= at:
        return Permission.EXPIRED
    if version != purpose.version:
        return Permission.OTHER_VERSION
    if not register.old_enough(purpose, declared_age):
        return Permission.UNDER_AGE
    if purpose.confirmed_address and confirmed_at is None:
        return Permission.UNCONFIRMED_ADDRESS
    return Permission.PERMITTED
