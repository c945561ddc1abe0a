"""Subscriptions: one at a time, from a day to a day, with an entry for each."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy.orm import Session

from domain.identity import subscriptions
from domain.identity.errors import AlreadySubscribed, BadPeriod
from domain.rights import erasure
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from tests.domain.identity_people import opened
from tests.support import NOON

FIRST, LAST = date(2026, 3, 1), date(2026, 8, 31)


def said(session: Session, who: object) -> list[tuple[str, dict[str, object]]]:
    """What the ledger says of the person's subscriptions."""
    entries = subjects.entries(session, who)  # type: ignore[arg-type]
    return [(one.type, one.data) for one in entries if one.type.startswith("subscription.")]


def test_starting_and_ending_is_entered(session: Session) -> None:
    """With the days, and once: what has ended does not end again."""
    who = opened(session).subject_id
    assert subscriptions.end(session, who, on=LAST, at=NOON) is False
    subscriptions.start(session, who, on=FIRST, at=NOON)
    assert subscriptions.erase_on(session, who, at=NOON) is None
    assert subscriptions.end(session, who, on=LAST, at=NOON) is True
    assert subscriptions.end(session, who, on=LAST, at=NOON) is False
    assert subscriptions.erase_on(session, who, at=NOON) == date(2027, 2, 28)
    assert said(session, who) == [
        ("subscription.started", {"started_on": "2026-03-01"}),
        ("subscription.ended", {"ended_on": "2026-08-31"}),
    ]


def test_one_runs_at_a_time_and_another_clears_the_clock(session: Session) -> None:
    """It may start on the day that the last one ended, and not before."""
    who = opened(session).subject_id
    subscriptions.start(session, who, on=FIRST, at=NOON)
    with pytest.raises(AlreadySubscribed):
        subscriptions.start(session, who, on=LAST, at=NOON)
    with pytest.raises(BadPeriod):
        subscriptions.end(session, who, on=date(2026, 2, 28), at=NOON)
    subscriptions.end(session, who, on=LAST, at=NOON)
    with pytest.raises(BadPeriod):
        subscriptions.start(session, who, on=date(2026, 8, 30), at=NOON)
    subscriptions.start(session, who, on=LAST, at=NOON)
    assert subscriptions.erase_on(session, who, at=NOON) is None
    assert [one.ended_on for one in subscriptions.of_subject(session, who)] == [LAST, None]


@pytest.mark.requirement(56, 59)
def test_they_are_in_the_copy_and_go_with_the_person(session: Session) -> None:
    """When each began and ended, and whether the person was warned."""
    who = opened(session).subject_id
    subscriptions.start(session, who, on=FIRST, at=NOON)
    (holding,) = subscriptions.HOLDINGS
    assert holding.export(session, who) == [
        {"started_on": "2026-03-01", "ended_on": None, "warned_at": None}
    ]
    erasure.forget(session, who, "request", at=NOON)
    assert subscriptions.of_subject(session, who) == []
    with pytest.raises(UnknownSubject):
        subscriptions.start(session, who, on=FIRST, at=NOON)
