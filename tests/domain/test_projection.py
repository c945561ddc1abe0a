"""The projection of current decisions: always what a replay of the ledger says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from domain.consent import decisions, presentations, projection
from domain.consent.errors import StalePresentation
from domain.consent.models import CurrentDecision
from domain.dates import months_later
from tests.domain.consenting import changed, decide, publish, served, somebody
from tests.support import NOON

Rows = list[dict[str, Any]]


def rows(session: Session) -> Rows:
    """The projection as it is stored."""
    found = session.execute(
        select(*(getattr(CurrentDecision, name) for name in projection.COLUMNS))
    )
    made = [dict(zip(projection.COLUMNS, row, strict=True)) for row in found]
    return sorted(made, key=lambda row: (row["subject_id"].hex, row["purpose_id"]))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "expire", "invalidate", "version", "old tab"]),
        st.integers(0, 1),
        st.booleans(),
        st.booleans(),
        # Days, or months enough that something runs out, or back.
        st.sampled_from([-40, 0, 1, 500]),
    ),
    max_size=12,
)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS)
def test_the_projection_equals_a_replay_whatever_happened(
    session: Session, steps: list[tuple[str, int, bool, bool, int]]
) -> None:
    """Random decisions of two people, with expiry, invalid consents, new versions, old tabs and
    a clock that goes backwards."""
    outer = session.begin_nested()
    register = session.info["purposes"]
    publish(session)
    people = [somebody(session), somebody(session)]
    tabs = [served(session, who) for who in people]
    at, version = NOON, 1
    for step, number, marketing, analytics, days in steps:
        at = max(at + timedelta(days=days), NOON)
        who = people[number]
        if step == "decide":
            decide(session, who, at=at, marketing=marketing, analytics=analytics)
        elif step == "expire":
            decisions.expire_due(session, at=at)
        elif step == "invalidate":
            decisions.invalidate(session, who, "marketing", "unlawful_wording", at=at)
        elif step == "version":
            version += 1
            changed(session, "analytics", version=version)
        else:
            _try_old(session, who, tabs[number], at, marketing)
    replayed = list(projection.replay(session))
    assert rows(session) == replayed
    assert list(projection.differences(session)) == []
    assert projection.rebuild(session) == len(replayed)
    assert rows(session) == replayed
    session.info["purposes"] = register
    outer.rollback()


def _try_old(
    session: Session, who: Any, shown: presentations.Shown, at: datetime, marketing: bool
) -> None:
    try:
        with session.begin_nested():
            decide(session, who, at=at, shown=shown, marketing=marketing)
    except StalePresentation:
        session.expire_all()


@pytest.mark.requirement(45)
def test_the_order_is_that_of_what_happened_not_of_the_clock(session: Session) -> None:
    """The clock went back an hour between yes and no: the no is the newer one, also replayed."""
    publish(session)
    who = somebody(session)
    decide(session, who, at=NOON + timedelta(hours=1), marketing=True)
    decide(session, who, at=NOON, marketing=False)
    projection.rebuild(session)
    now = decisions.current(session, who, at=NOON)["marketing"]
    assert now
    assert (now.state, now.at) == ("withdrawn", NOON)
    states = [one.state for one in decisions.history(session, who) if one.purpose_id == "marketing"]
    assert states == ["given", "withdrawn"]


Harm = Callable[[Session], object]


def _lose(session: Session) -> object:
    return session.execute(delete(CurrentDecision))


def _set(**values: Any) -> Harm:
    return lambda session: session.execute(update(CurrentDecision).values(**values))


@pytest.mark.parametrize(
    "harm",
    [
        _lose,
        _set(state="renewed"),
        _set(at=NOON + timedelta(milliseconds=1)),
        _set(purpose_version=2),
        _set(presentation=None),
        _set(expires_at=None),
        _set(expires_at=months_later(NOON, 240)),
    ],
)
def test_harm_is_found_and_rebuilding_heals_it(session: Session, harm: Harm) -> None:
    """Each column, and rows that are gone; every difference names the entry and the purpose."""
    publish(session)
    for _ in range(3):
        decide(session, somebody(session), marketing=True, analytics=True)
    before = rows(session)
    harm(session)
    session.expire_all()
    found = list(projection.differences(session))
    entries = {row["entry_id"]: row["purpose_id"] for row in before}
    assert len(found) == 6
    for one in found:
        _, entry_id, purpose = one.split()
        assert purpose == f"({entries[entry_id]})"
    assert projection.rebuild(session) == 6
    assert rows(session) == before


def test_a_row_that_the_ledger_knows_nothing_of_is_found(session: Session) -> None:
    """A yes that was made up in the projection is a difference, and goes when it is rebuilt."""
    publish(session)
    yes, nobody = somebody(session), somebody(session)
    decide(session, yes, marketing=True)
    row = session.get_one(CurrentDecision, (yes, "marketing"))
    made_up = {name: getattr(row, name) for name in projection.COLUMNS}
    session.add(CurrentDecision(**{**made_up, "subject_id": nobody}))
    session.flush()
    assert len(list(projection.differences(session))) == 1
    session.expunge_all()
    assert projection.rebuild(session) == 2
    assert list(projection.differences(session)) == []


def test_rebuilding_works_in_batches(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """More rows than one batch holds, and exactly as many."""
    publish(session)
    for _ in range(3):
        decide(session, somebody(session))
    before = rows(session)
    for size in (1, 4, 6):
        monkeypatch.setattr(projection, "_BATCH", size)
        assert projection.rebuild(session) == 6
        assert rows(session) == before
