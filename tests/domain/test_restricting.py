"""A restriction ends: when its person says so, or a day after they were told."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent.permission import permitted
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.rights import cases, recipients, restricting
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.asking import letters, verified
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import opened
from tests.support import NOON

DAY = timedelta(days=1)


@pytest.fixture
def who(session: Session) -> UUID:
    """Who has confirmed her address and said yes to the newsletter."""
    publish(session)
    subject_id = opened(session).subject_id
    accounts.confirm_address(session, subject_id, at=NOON)
    decide(session, subject_id, marketing=True)
    return subject_id


@pytest.mark.requirement(60)
def test_a_restriction_is_lifted_by_who_placed_it(session: Session, who: UUID) -> None:
    """They are told with it; what they had decided stands as it was. Twice changes nothing."""
    cases.execute(session, verified(session, who, RequestKind.RESTRICTION), at=NOON)
    assert restricting.lift(session, who, at=NOON + DAY) is True
    assert restricting.lift(session, who, at=NOON + DAY) is False
    assert permitted(session, who, "marketing", at=NOON + DAY)
    (mail,) = letters(session, "mail.restriction_lifted")
    assert mail["entries"] == [list(subjects.entries(session, who))[-1].id], "its receipt"
    told_of = [one.kind for one in recipients.of_subject(session, who)]
    assert told_of.count("lifted") == told_of.count("restriction") > 0


@pytest.mark.requirement(60)
def test_a_restriction_is_lifted_by_us_a_day_after_the_person_was_told(
    session: Session, who: UUID
) -> None:
    """Not while that mail waits, nor where it cannot be delivered, nor where the person has asked
    for it anew; then once (art. 18(3))."""
    case = verified(session, who, RequestKind.RESTRICTION)
    cases.execute(session, case, at=NOON)
    assert restricting.announce(session, case, at=NOON) == NOON + DAY
    (mail,) = letters(session, "mail.restriction_ending")
    assert mail["until"] == (NOON + DAY).isoformat()
    lifting = session.scalars(
        select(OutboxMessage).where(OutboxMessage.kind == restricting.KIND)
    ).one()
    assert (lifting.due_at, lifting.about) == (NOON + DAY, who)
    (payload,) = letters(session, restricting.KIND)
    told_by = session.get_one(OutboxMessage, UUID(payload["mail"]))
    for state, lifted in (("queued", False), ("dead", False), ("sent", True)):
        told_by.state = state
        restricting.take_lift(session, payload, NOON + DAY)
        assert (subjects.get(session, who).restricted_at is None) is lifted, state
    assert len(letters(session, restricting.KIND)) == 2, "looked at again in an hour"
    cases.execute(session, verified(session, who, RequestKind.RESTRICTION), at=NOON + DAY)
    restricting.take_lift(session, payload, NOON + DAY)
    assert subjects.get(session, who).restricted_at == NOON + DAY, "another restriction"
    assert letters(session, restricting.KIND) == []
