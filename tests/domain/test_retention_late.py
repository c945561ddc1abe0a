"""Who was not told in time, and who waits for an answer: their account does not go yet."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from database import Database
from domain.identity import subscriptions
from domain.rights import cases, requests, restricting, retention
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.lapsing import customer, here, run
from tests.support import NOON

LONG_AGO = date(2026, 5, 1)
DAY = timedelta(days=1)


@pytest.mark.requirement(51)
def test_nobody_goes_who_was_not_told_thirty_days_before(database: Database) -> None:
    """The end was entered half a year late, or a restriction was lifted after the day: told now,
    gone in thirty days."""
    with database.transaction() as session:
        customer(session, "late", ended=LONG_AGO, told=False)
        lifted = customer(session, "lifted", ended=LONG_AGO)
        subjects.restrict(session, lifted, at=NOON - DAY)
    with database.transaction() as session:
        assert restricting.lift(session, lifted, at=NOON)
        assert subscriptions.erase_on(session, lifted, at=NOON) == date(2026, 12, 22)
    assert run(database, NOON) == {"warned": 2}
    assert run(database, NOON + 29 * DAY) == {}
    assert here(database, "late", "lifted") == {"late", "lifted"}
    assert run(database, NOON + 30 * DAY) == {"customer": 2}


@pytest.mark.requirement(51)
@pytest.mark.parametrize("kind", [RequestKind.ACCESS, RequestKind.ENQUIRY])
def test_what_somebody_has_asked_for_does_not_go_before_the_answer(
    database: Database, kind: RequestKind
) -> None:
    """Of those who are known to have asked. The dates say so; when it is answered they go."""
    with database.transaction() as session:
        who = customer(session, "asks", ended=LONG_AGO)
        asked = requests.receive(session, who, kind, channel="account", at=NOON)
        if kind is RequestKind.ACCESS:
            requests.verify(session, asked, channel="account", at=NOON)
        anybody = customer(session, "anybody", ended=LONG_AGO)
        requests.receive(session, anybody, RequestKind.ACCESS, channel="link", at=NOON)
        due_on = asked.due_on
    with database.reading() as session:
        assert retention.staying(session, at=NOON) == {"asking": 1}
        found = {one.holding: one.until for one in retention.dates(session, who, at=NOON)}
        assert found["account"] == due_on
    assert run(database, NOON) == {"customer": 1}
    assert here(database, "asks", "anybody") == {"asks"}
    with database.transaction() as session:
        asked = requests.take(session, asked.id)  # type: ignore[assignment]
        if kind is RequestKind.ACCESS:
            requests.fulfil(session, asked, at=NOON + DAY)
        else:
            cases.answer(session, asked, "Her er svaret.", at=NOON + DAY)
    assert run(database, NOON + DAY) == {"customer": 1}
