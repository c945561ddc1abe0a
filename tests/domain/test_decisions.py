"""Decisions: what leads where, what leaves no entry, and who wins when two decide at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import decisions, projection
from domain.consent.decisions import DecisionState
from domain.consent.errors import StalePresentation, UnderAge, UnknownPurpose
from domain.consent.models import Presentation
from domain.dates import months_later
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from tests.domain.consenting import changed, decide, publish, served, somebody
from tests.support import NOON

LATER = NOON + timedelta(days=1)
RUN_OUT = months_later(NOON, 24)


def _given(session: Session, who: UUID) -> None:
    decide(session, who, marketing=True)


def _refused(session: Session, who: UUID) -> None:
    decide(session, who, marketing=False)


def _expired(session: Session, who: UUID) -> None:
    _given(session, who)
    decisions.expire_due(session, at=RUN_OUT)


def _renewed(session: Session, who: UUID) -> None:
    _given(session, who)
    decisions.invalidate(session, who, "marketing", "unlawful_wording", at=NOON)
    decide(session, who, marketing=True)


def _withdrawn(session: Session, who: UUID) -> None:
    _given(session, who)
    decide(session, who, marketing=False)


def _invalidated(session: Session, who: UUID) -> None:
    _given(session, who)
    decisions.invalidate(session, who, "marketing", "unlawful_wording", at=NOON)


# How one gets there, when the next form comes, and what yes and no then are: on the same
# version of the purpose, and on a newer one. None is a choice that changes nothing.
TABLE: dict[
    str, tuple[Callable[[Session, UUID], None] | None, datetime, tuple[str | None, ...]]
] = {
    "unknown": (None, LATER, ("given", "refused", "given", "refused")),
    "given": (_given, LATER, (None, "withdrawn", "renewed", "withdrawn")),
    "renewed": (_renewed, LATER, (None, "withdrawn", "renewed", "withdrawn")),
    "refused": (_refused, LATER, ("given", None, "given", "refused")),
    "withdrawn": (_withdrawn, LATER, ("given", None, "given", "refused")),
    "expired": (_expired, RUN_OUT, ("renewed", "refused", "renewed", "refused")),
    "invalidated": (_invalidated, LATER, ("renewed", "refused", "renewed", "refused")),
    "given, run out": (_given, RUN_OUT, ("renewed", "refused", "renewed", "refused")),
    "renewed, run out": (_renewed, RUN_OUT, ("renewed", "refused", "renewed", "refused")),
}


@pytest.mark.requirement(7, 11, 14, 47)
def test_every_state_leads_where_the_table_says(session: Session) -> None:
    """Seven states, yes and no, the same and another version, in time and run out."""
    publish(session)
    same = session.info["purposes"]
    found: dict[str, tuple[str | None, ...]] = {}
    for name, (way, at, _) in TABLE.items():
        outcomes: list[str | None] = []
        for version in (1, 2):
            for yes in (True, False):
                session.info["purposes"] = same
                who = somebody(session)
                if way:
                    way(session, who)
                changed(session, "marketing", version=version)
                made = decide(session, who, at=at, marketing=yes)
                ours = [one for one in made if one.startswith("marketing: ")]
                outcomes.append(ours[0].removeprefix("marketing: ") if ours else None)
        found[name] = tuple(outcomes)
    assert found == {name: outcomes for name, (_, _, outcomes) in TABLE.items()}
    assert {name.partition(",")[0] for name in TABLE} == set(DecisionState)


@pytest.mark.requirement(14)
def test_a_form_that_changes_nothing_leaves_nothing(session: Session) -> None:
    """The ledger records decisions, not clicks: no entry, and no presentation either."""
    publish(session)
    who = somebody(session)
    assert decide(session, who, marketing=True) == ["marketing: given", "analytics: refused"]
    changed(session, "marketing", text=session.info["purposes"].purposes["analytics"].text)
    assert decide(session, who, at=LATER, marketing=True) == []
    assert session.scalar(select(func.count()).select_from(Presentation)) == 1
    assert subjects.get(session, who).linked == 2


@pytest.mark.requirement(11)
@pytest.mark.parametrize("marketing", [True, False])
@pytest.mark.parametrize("analytics", [True, False])
def test_each_purpose_is_decided_by_itself(
    session: Session, marketing: bool, analytics: bool
) -> None:
    """All four combinations can be recorded."""
    publish(session)
    who = somebody(session)
    decide(session, who, marketing=marketing, analytics=analytics)
    now = decisions.current(session, who, at=NOON)
    states = {purpose: one.state.permits for purpose, one in now.items() if one}
    assert states == {"marketing": marketing, "analytics": analytics}


@pytest.mark.requirement(15)
def test_a_yes_says_how_long_it_lasts_and_a_no_lasts(session: Session) -> None:
    """24 months by the calendar; what was chosen, on which words, where and in which language."""
    publish(session)
    who = somebody(session)
    shown = served(session, who, locale="en")
    decide(session, who, shown=shown, marketing=True)
    yes, no = decisions.history(session, who)
    assert (yes.expires_at, no.expires_at) == (RUN_OUT, None)
    assert (yes.presentation, yes.surface, yes.locale) == (
        shown.document.hash,
        "preferences",
        "en",
    )
    assert (yes.at, yes.purpose_version) == (NOON, 1)


@pytest.mark.requirement(33)
def test_give_withdraw_and_give_again_are_three_entries(session: Session) -> None:
    """Each change of mind is kept, in order."""
    publish(session)
    who = somebody(session)
    for yes in (True, False, True):
        decide(session, who, marketing=yes, analytics=True)
    states = [one.state for one in decisions.history(session, who) if one.purpose_id == "marketing"]
    assert states == ["given", "withdrawn", "given"]
    assert decisions.current(session, who, at=NOON)["analytics"]


@pytest.mark.requirement(33, 35)
@pytest.mark.parametrize("clock", [timedelta(minutes=1), timedelta(0), timedelta(minutes=-5)])
def test_an_old_tab_does_not_undo_a_withdrawal(session: Session, clock: timedelta) -> None:
    """Whatever the clock did meanwhile: it is counted what the person had seen, not timed."""
    publish(session)
    who = somebody(session)
    decide(session, who, marketing=True)
    old = served(session, who, at=NOON)
    decide(session, who, at=NOON + clock, marketing=False)
    with pytest.raises(StalePresentation):
        decide(session, who, at=NOON + timedelta(minutes=2), shown=old, marketing=True)
    assert decide(session, who, at=NOON + timedelta(minutes=3), shown=old, marketing=False) == []


def test_an_old_tab_may_say_what_is_so_already(session: Session) -> None:
    """Both tabs said no: the second changes nothing and needs no explanation."""
    publish(session)
    who = somebody(session)
    tabs = [served(session, who), served(session, who)]
    assert decide(session, who, shown=tabs[0]) == ["marketing: refused", "analytics: refused"]
    assert decide(session, who, shown=tabs[1]) == []


@pytest.mark.requirement(33)
@pytest.mark.parametrize("meanwhile", [True, False])
def test_what_happens_between_reading_and_writing_is_seen(
    session: Session, monkeypatch: pytest.MonkeyPatch, meanwhile: bool
) -> None:
    """The person is read without a lock; when something else came first it is decided anew, by
    what is so then."""
    publish(session)
    who = somebody(session)
    decide(session, who, marketing=True)
    shown = served(session, who)
    record = subjects.record_if_unchanged

    def late(*args: Any, **kwargs: Any) -> bool:
        monkeypatch.undo()
        if meanwhile:
            decide(session, who, marketing=True, analytics=True)
        else:
            data = {"kind": "access", "reference": "ABCD-2345"}
            subjects.record(session, who, "request.fulfilled", data, at=NOON)
        return record(*args, **kwargs)

    monkeypatch.setattr(subjects, "record_if_unchanged", late)
    if meanwhile:
        with pytest.raises(StalePresentation):
            decide(session, who, shown=replace(shown, seen=2), analytics=False, marketing=False)
    else:
        assert decide(session, who, shown=shown) == ["marketing: withdrawn"]
    assert subjects.get(session, who).linked == (3 if meanwhile else 4)


def test_other_entries_do_not_make_a_form_old(session: Session) -> None:
    """A request that was received meanwhile has nothing to do with the choices."""
    publish(session)
    who = somebody(session)
    decide(session, who, marketing=True)
    shown = served(session, who)
    data = {"kind": "access", "reference": "ABCD-2345", "due_on": "2026-12-22", "channel": "link"}
    subjects.record(session, who, "request.received", data, at=NOON)
    assert decide(session, who, shown=shown) == ["marketing: withdrawn"]


@pytest.mark.requirement(15)
def test_what_has_run_out_expires_once(session: Session) -> None:
    """At its end and not before; what was withdrawn does not expire any more."""
    publish(session)
    who, other, third = somebody(session), somebody(session), somebody(session)
    for one in (who, other, third):
        decide(session, one, marketing=True)
    decide(session, other, marketing=False)
    moment = timedelta(milliseconds=1)
    assert not decisions.expire_due(session, at=RUN_OUT - moment)
    now = decisions.current(session, who, at=RUN_OUT)["marketing"]
    assert now
    assert now.state is DecisionState.EXPIRED
    assert len(decisions.expire_due(session, at=RUN_OUT, limit=1)) == 1
    assert len(decisions.expire_due(session, at=RUN_OUT, limit=1)) == 1
    assert not decisions.expire_due(session, at=RUN_OUT)
    assert [one.state for one in decisions.history(session, who)][-1] == "expired"


def test_a_consent_that_was_not_valid_is_ended_with_the_reason(session: Session) -> None:
    """Only what is in force can be ended, and only once."""
    publish(session)
    who = somebody(session)
    assert decisions.invalidate(session, who, "marketing", "under_age", at=NOON) is None
    decide(session, who, marketing=True)
    entry_id = decisions.invalidate(session, who, "marketing", "unlawful_wording", at=NOON)
    assert decisions.invalidate(session, who, "marketing", "under_age", at=NOON) is None
    entry = list(subjects.entries(session, who))[-1]
    assert (entry.id, entry.data["reason"]) == (entry_id, "unlawful_wording")


@pytest.mark.requirement(9)
def test_who_is_too_young_is_not_asked_and_not_recorded(session: Session) -> None:
    """A tick is refused; an empty box that was not offered says nothing, now and later."""
    publish(session)
    who = somebody(session, age=13)
    with pytest.raises(UnderAge):
        decide(session, who, marketing=True)
    assert decide(session, who, analytics=True) == ["analytics: given"]

    changed_their_mind = somebody(session, age=15)
    decide(session, changed_their_mind, marketing=True)
    subjects.get(session, changed_their_mind).declared_age = 13
    session.flush()
    assert len(decisions.invalidate_under_age(session, changed_their_mind, at=NOON)) == 1
    assert decisions.invalidate_under_age(session, changed_their_mind, at=NOON) == []
    assert decide(session, changed_their_mind, analytics=True) == ["analytics: given"]


@pytest.mark.requirement(9)
def test_a_yes_from_below_a_raised_age_does_not_outlive_the_next_answer(session: Session) -> None:
    """The operator raised the age: the yes has no effect, and is not there to come back."""
    publish(session)
    who = somebody(session, age=15)
    decide(session, who, marketing=True)
    session.info["purposes"] = replace(session.info["purposes"], marketing_age=16)
    assert decide(session, who) == ["marketing: withdrawn"]


def test_only_people_and_purposes_that_exist_decide(session: Session) -> None:
    """A form without a person, or of a purpose that is none any more, records nothing."""
    publish(session)
    who = somebody(session)
    shown = served(session, who)
    with pytest.raises(UnknownSubject):
        decisions.record(session, uuid4(), {}, shown, at=NOON)
    register = session.info["purposes"]
    left = {name: one for name, one in register.purposes.items() if name != "analytics"}
    session.info["purposes"] = replace(register, purposes=left)
    with pytest.raises(UnknownPurpose):
        decisions.record(session, who, {}, shown, at=NOON)


def _at_once(count: int, act: Callable[[int], object]) -> list[object]:
    """Do it `count` times at the same moment; an error is a result."""
    barrier = Barrier(count)

    def one(number: int) -> object:
        barrier.wait()
        try:
            return act(number)
        except StalePresentation as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_many_people_decide_at_once_on_words_nobody_had_seen(database: Database) -> None:
    """All succeed, and what they were shown is stored once."""
    with database.transaction() as session:
        publish(session)
        people = [somebody(session) for _ in range(6)]

    def act(number: int) -> object:
        with database.transaction() as session:
            return decide(session, people[number], marketing=True)

    expected = ["marketing: given", "analytics: refused"]
    assert _at_once(6, act) == [expected] * 6
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Presentation)) == 1
        assert list(projection.differences(session)) == []


@pytest.mark.requirement(33)
def test_one_person_in_tabs_at_once_decides_each_purpose_once(database: Database) -> None:
    """Tabs that were served alike and sent together: the first that decides a purpose counts,
    and one that would change what it decided is told."""
    with database.transaction() as session:
        publish(session)
        who = somebody(session)
        decide(session, who, marketing=True)
        shown = served(session, who)

    def act(number: int) -> object:
        with database.transaction() as session:
            return decide(session, who, shown=shown, marketing=number % 2 == 0, analytics=True)

    found = _at_once(6, act)
    recorded = [state for one in found if isinstance(one, list) for state in one]
    assert sorted(recorded) in (
        ["analytics: given"],
        ["analytics: given", "marketing: withdrawn"],
    )
    with database.reading() as session:
        assert list(projection.differences(session)) == []
        assert subjects.get(session, who).linked == 2 + len(recorded)


def test_what_could_not_be_written_is_not_told_as_saved(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody changes a person who is locked; should it seem so all the same, that is an error."""
    publish(session)
    who = somebody(session)
    monkeypatch.setattr(subjects, "record_if_unchanged", lambda *_: False)
    with pytest.raises(UnknownSubject):
        decide(session, who, marketing=True)
