"""May we do this now? A table of answers, and why each no is a no."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from database import Database
from domain.consent import decisions
from domain.consent.decisions import DecisionState
from domain.consent.permission import Permission, permitted
from domain.consent.purposes import Basis
from domain.dates import months_later
from domain.rights import erasure
from domain.subjects import service as subjects
from tests.domain.consenting import changed, decide, publish, somebody
from tests.support import NOON

RUN_OUT = months_later(NOON, 24)


@pytest.mark.requirement(47)
def test_only_given_and_renewed_permit() -> None:
    """The truth table of the seven states."""
    permitting = {state for state in DecisionState if state.permits}
    assert permitting == {DecisionState.GIVEN, DecisionState.RENEWED}
    assert len(DecisionState) == 7


@pytest.mark.requirement(47)
def test_only_permitted_is_true() -> None:
    """An answer can be used as a condition without asking why."""
    assert [answer for answer in Permission if answer] == [Permission.PERMITTED]


def _yes(session: Session, who: UUID) -> None:
    decide(session, who, marketing=True)


def _no(session: Session, who: UUID) -> None:
    decide(session, who, marketing=False)


def _withdrawn(session: Session, who: UUID) -> None:
    _yes(session, who)
    _no(session, who)


def _invalid(session: Session, who: UUID) -> None:
    _yes(session, who)
    decisions.invalidate(session, who, "marketing", "unlawful_wording", at=NOON)


def _expired(session: Session, who: UUID) -> None:
    _yes(session, who)
    decisions.expire_due(session, at=RUN_OUT)


def _other_words(session: Session, who: UUID) -> None:
    _yes(session, who)
    changed(session, "marketing", version=2)


def _renewed(session: Session, who: UUID) -> None:
    _other_words(session, who)
    decide(session, who, marketing=True)


def _younger(session: Session, who: UUID) -> None:
    _yes(session, who)
    subjects.get(session, who).declared_age = 13


def _ageless(session: Session, who: UUID) -> None:
    _yes(session, who)
    subjects.get(session, who).declared_age = None


def _unconfirmed(session: Session, who: UUID) -> None:
    _yes(session, who)
    subjects.get(session, who).confirmed_at = None


def _raised(session: Session, who: UUID) -> None:
    _yes(session, who)
    session.info["purposes"] = replace(session.info["purposes"], marketing_age=16)


def _erased(session: Session, who: UUID) -> None:
    _yes(session, who)
    erasure.forget(session, who, "request", at=NOON)


def _other_basis(session: Session, who: UUID) -> None:
    changed(session, "marketing", basis=Basis.CONTRACT)


def _nothing(session: Session, who: UUID) -> None:
    pass


TABLE: list[tuple[Callable[[Session, UUID], None], timedelta, Permission]] = [
    (_yes, timedelta(0), Permission.PERMITTED),
    (_yes, RUN_OUT - NOON - timedelta(milliseconds=1), Permission.PERMITTED),
    (_yes, RUN_OUT - NOON, Permission.EXPIRED),
    (_renewed, timedelta(0), Permission.PERMITTED),
    (_nothing, timedelta(0), Permission.NO_DECISION),
    (_no, timedelta(0), Permission.NOT_GIVEN),
    (_withdrawn, timedelta(0), Permission.NOT_GIVEN),
    (_invalid, timedelta(0), Permission.NOT_GIVEN),
    (_expired, timedelta(0), Permission.NOT_GIVEN),
    (_other_words, timedelta(0), Permission.OTHER_VERSION),
    (_younger, timedelta(0), Permission.UNDER_AGE),
    (_ageless, timedelta(0), Permission.UNDER_AGE),
    (_raised, timedelta(0), Permission.UNDER_AGE),
    (_unconfirmed, timedelta(0), Permission.UNCONFIRMED_ADDRESS),
    (_erased, timedelta(0), Permission.NO_SUBJECT),
    (_other_basis, timedelta(0), Permission.PERMITTED),
]


@pytest.mark.requirement(7, 9, 15, 16, 35, 37, 47)
def test_marketing_is_permitted_as_the_table_says(session: Session) -> None:
    """Decision, time, version, age, address and the person's being there, each by itself."""
    publish(session)
    register = session.info["purposes"]
    for way, later, expected in TABLE:
        session.info["purposes"] = register
        who = somebody(session)
        way(session, who)
        session.flush()
        assert permitted(session, who, "marketing", at=NOON + later) is expected, way.__name__


@pytest.mark.requirement(2, 9, 16)
def test_each_purpose_asks_for_what_it_needs(session: Session) -> None:
    """Analytics takes no confirmed address and no age; what rests on another basis takes only
    that the person is there; what nobody declared is an error and never a no."""
    publish(session)
    who = somebody(session, age=13, confirmed=False)
    decide(session, who, analytics=True)
    assert permitted(session, who, "analytics", at=NOON)
    for purpose in session.info["purposes"]:
        if not purpose.optional:
            assert permitted(session, who, purpose.id, at=NOON)
            assert permitted(session, uuid4(), purpose.id, at=NOON) is Permission.NO_SUBJECT
    with pytest.raises(KeyError):
        permitted(session, who, "profiling", at=NOON)


def test_the_database_itself_answers_as_a_session_does(database: Database) -> None:
    """For who has no transaction open: a yes, a no, somebody unknown, and another basis."""
    with database.transaction() as session:
        publish(session)
        who, other = somebody(session), somebody(session)
        decide(session, who, marketing=True)
        decide(session, other)
    with database.reading() as session:
        for one in (who, other, uuid4()):
            for purpose_id in ("marketing", "analytics", "account"):
                for at in (NOON, RUN_OUT):
                    answer = permitted(database, one, purpose_id, at=at)
                    assert answer is permitted(session, one, purpose_id, at=at)
    assert permitted(database, who, "marketing", at=NOON)
    with pytest.raises(KeyError):
        permitted(database, who, "profiling", at=NOON)
