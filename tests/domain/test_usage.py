"""Usage: counted by who said yes, while the yes stands, and gone with it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time, timedelta
from threading import Event
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from database import Database, table_of
from domain.analytics import pseudonyms, usage
from domain.analytics.models import UsageKey, UsageMonth
from domain.analytics.usage import Kind
from domain.consent import decisions
from domain.dates import OSLO, months_later
from domain.rights import cases, erasure, retention, telling, vault_rotation
from domain.subjects import service as subjects
from tests.domain import counted
from tests.domain.consenting import somebody
from tests.domain.counted import START, TIP, count, events, member, rows
from tests.domain.lapsing import run
from tests.support import NOON

DAY, WEEK = timedelta(days=1), timedelta(weeks=1)
LATER = START + timedelta(minutes=1)
RUN_OUT = months_later(START, 24)


def _withdraw(database: Database, who: UUID) -> None:
    counted.choose(database, who, marketing=True, at=LATER)


def _withdraw_in_steps(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        decisions.invalidate(session, who, "analytics", "unlawful_wording", at=LATER)
        usage.follow(session, who)


def _object(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        cases.object_to(session, who, "analytics", at=LATER)


def _expire(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        telling.expire_due(session, at=RUN_OUT)


def _refuse_when_run_out(database: Database, who: UUID) -> None:
    counted.choose(database, who, marketing=True, at=RUN_OUT)


def _erase(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        erasure.forget(session, who, "unconfirmed", at=LATER)


@pytest.mark.requirement(28)
@pytest.mark.parametrize(
    "end",
    [_withdraw, _withdraw_in_steps, _object, _expire, _refuse_when_run_out, _erase],
)
def test_whatever_ends_the_yes_takes_everything_along(
    database: Database, end: Callable[[Database, UUID], None]
) -> None:
    """Key and events of every month go with the decision, and nobody else's; then nothing is
    counted until there is a new yes, which begins with a new key."""
    who, other = member(database), member(database, at=START + WEEK)
    for at in (START, START + 5 * WEEK):
        for one in (who, other):
            assert count(database, one, at=at)
    mine = {pseudonym for pseudonym, *_ in events(database)}
    assert len(mine) == 4, "another mark for each month, and for each person"

    end(database, who)
    left = events(database)
    assert len(left) == 2
    assert rows(database, "usage_key") == 1
    assert not count(database, who, at=RUN_OUT + DAY)
    assert events(database) == left
    if end in (_withdraw, _object):
        counted.choose(database, who, analytics=True, at=LATER + DAY)
        assert count(database, who, at=LATER + DAY)
        (new,) = {one for one, *_ in events(database)} - {one for one, *_ in left}
        assert new not in mine


def _restrict(session: Session, who: UUID) -> None:
    subjects.restrict(session, who, at=START)


def _freeze(session: Session, who: UUID) -> None:
    subjects.freeze(session, who, at=START)


@pytest.mark.requirement(19, 60)
def test_nobody_is_counted_without_a_yes_that_counts_now(database: Database) -> None:
    """Who refused, who never answered, whose yes has run out though nobody has noted it, who is
    restricted or being erased; a browser that we do not know. What is there is left alone."""
    refused, ran_out = member(database, yes=False), member(database)
    restricted, erasing = member(database), member(database)
    with database.transaction() as session:
        silent = somebody(session)
    assert count(database, restricted)
    assert count(database, erasing)
    with database.transaction() as session:
        _restrict(session, restricted)
        _freeze(session, erasing)
    before = events(database)
    for who in (refused, silent, restricted, erasing, "nobody's mark"):
        assert not count(database, who, "another-tip")
    assert not count(database, ran_out, at=RUN_OUT)
    assert events(database) == before


def test_newer_words_let_counting_rest_until_they_are_answered(database: Database) -> None:
    """A yes to another version counts for nothing, and takes nothing back either."""
    who = member(database, at=NOON)
    assert count(database, who, at=NOON)
    assert not count(database, who), "since the 24th the purpose says more"
    assert len(events(database)) == 1
    counted.choose(database, who, analytics=True, at=LATER)
    assert count(database, who)
    assert len({pseudonym for pseudonym, *_ in events(database)}) == 1


@pytest.mark.requirement(31)
def test_a_browser_that_asks_not_to_be_counted_is_not(database: Database) -> None:
    """Unless the yes was said in spite of that, which a member's other browsers then share; saving
    something else beside it says nothing. To say no and yes again without the signal takes that
    back, and with it says it."""
    who, visitor = member(database), counted.browser(database, "mark")
    for one in (who, visitor):
        assert not count(database, one, signal=True)
        assert count(database, one)
    assert counted.choose(database, who, analytics=True, signal=True, at=LATER) == []
    assert not count(database, who, signal=True), "a box that stays ticked says nothing"
    said = {"signal": True, "despite": True}
    assert counted.choose(database, who, analytics=True, **said, at=LATER) == []
    counted.browser(database, "mark", despite=True)
    for one in (who, visitor):
        assert count(database, one, "another-tip", signal=True)
        assert count(database, one, "a-third-tip")
    assert len({pseudonym for pseudonym, *_ in events(database)}) == 2
    counted.browser(database, "mark", despite=False)
    assert not count(database, visitor, signal=True)
    for choice in (False, True):
        counted.choose(database, who, analytics=choice, at=LATER + DAY)
    assert not count(database, who, signal=True)
    for choice in (False, True):
        counted.choose(database, who, analytics=choice, signal=True, at=LATER + 2 * DAY)
    assert count(database, who, signal=True)


def test_a_week_has_one_mark_for_a_person_and_the_next_month_another(database: Database) -> None:
    """A month's first days belong to the month of their Monday, as 2027-01-01 to December. A second
    time on a day is no second event."""
    who = member(database)
    for day in (4, 4, 5, 36, 37, 39, 40):  # from 29 November, a Sunday, to 4 January, a Monday
        assert count(database, who, at=START + day * DAY)
    first, second, *december, january = [pseudonym for pseudonym, *_ in events(database)]
    assert first == second
    assert len(december) == 3
    assert len(set(december)) == 1
    assert len({first, *december, january}) == 3


def test_of_two_answers_in_a_week_the_newest_counts(database: Database) -> None:
    """Who changes their mind has not found it useful and useless; of another tip, or in another
    week, it says nothing."""
    who = member(database)
    said = [(0, TIP, Kind.NOT_USEFUL), (5, TIP, Kind.NOT_USEFUL), (5, "b", Kind.NOT_USEFUL)]
    for days, item, kind in [*said, (6, TIP, Kind.USEFUL)]:
        assert count(database, who, item, kind, at=START + days * DAY)
    kinds = [(item, kind) for _, item, kind in events(database)]
    assert kinds == [(TIP, "not_useful"), ("b", "not_useful"), (TIP, "useful")]


def test_a_browsers_yes_runs_out_and_what_was_counted_goes(database: Database) -> None:
    """By itself, on the day of its cookie; another's stays. A no ends it at once. When the yes was
    said stands there by the day alone: by the second it would lead to its entry in the ledger."""
    for token in ("first", "second", "third"):
        counted.browser(database, token, at=START - (token == "first") * DAY)
        assert count(database, token)
    with database.reading() as session:
        times = session.execute(select(UsageKey.begun_at, UsageKey.expires_at)).all()
    assert {one.astimezone(OSLO).time() for both in times for one in both} == {time.min}
    assert all(ends == months_later(begun, 12) for begun, ends in times)
    over = months_later(START - DAY, 12)
    assert not count(database, "first", "another-tip", at=over)
    with database.reading() as session:
        assert retention.waiting(session, at=over)["visitors"] == 1
    assert run(database, over)["visitors"] == 1
    assert len(events(database)) == 2
    with database.transaction() as session:
        assert usage.end_browser(session, "second") == 1
    assert len(events(database)) == 1
    assert not count(database, "second")


def test_the_person_is_told_until_when_it_stays(database: Database) -> None:
    """Thirteen months from the last thing that they did."""
    who = member(database)

    def told() -> tuple[str, date | None]:
        with database.reading() as session:
            found = retention.dates(session, who, at=START)
        (one,) = [(kept.rule, kept.until) for kept in found if kept.holding == "usage"]
        return one

    assert count(database, who)
    assert told() == ("usage", date(2027, 12, 25))
    assert count(database, who, at=START + DAY)
    assert told() == ("usage", date(2027, 12, 26))


def test_a_month_whose_key_is_lost_keeps_nobody_from_leaving(database: Database) -> None:
    """Its events lead to nobody any more; the others still go."""
    who = member(database)
    for at in (START, START + 5 * WEEK):
        assert count(database, who, at=at)
    month = table_of(UsageMonth)
    with database.transaction() as session:
        session.execute(update(month).where(month.c.month == "2026-11").values(key=b"\0\1damaged"))
    pseudonyms._opened.clear()
    _erase(database, who)
    assert len(events(database)) == 1


def test_the_keys_of_the_months_are_sealed_again_with_the_rest(
    database: Database, keys: object
) -> None:
    """`flask vault rotate` finds them; the marks stay what they were."""
    who = member(database)
    assert count(database, who)
    assert pseudonyms.SEALED in vault_rotation.SEALED
    ring = database.info["keyring"]
    database.info["keyring"] = newer = type(ring)(
        {**ring.epochs, 2: bytes(range(32, 64))}, ring.lookup_key, ring.signing_key
    )
    assert pseudonyms.SEALED.rotate(database, newer, [1])
    pseudonyms._opened.clear()
    assert count(database, who, "another-tip")
    with database.reading() as session:
        assert bytes(session.scalar(select(UsageMonth.key)) or b"")[:2] == b"\0\2"
    assert len({pseudonym for pseudonym, *_ in events(database)}) == 1


@pytest.mark.requirement(28, 35)
def test_nothing_is_recorded_once_a_withdrawal_is_answered(database: Database) -> None:
    """Somebody reads in three tabs while they withdraw, again and again; visitors too. When the
    answer is there, so is the end of it."""
    for turn in range(6):
        at = START + turn * DAY
        who = member(database, at=at) if turn % 2 else counted.browser(database, f"mark {turn}")
        stop, begun = Event(), Event()

        def read(tab: int, who: UUID | str = who, stop: Event = stop, begun: Event = begun) -> int:
            number = 0
            while not stop.is_set():
                count(database, who, f"tip-{tab}-{number}", at=LATER)
                number += 1
                if number > 3:
                    begun.set()
            return number

        with ThreadPoolExecutor(3) as pool:
            tabs = [pool.submit(read, tab) for tab in range(3)]
            try:
                assert begun.wait(20)
                before = len(events(database))
                _take_back(database, who, at=at + 2 * (LATER - START))
                answered = events(database)
                begun.clear()
                assert begun.wait(20), "they go on reading"
            finally:
                stop.set()
            assert all(tab.result() for tab in tabs)
        assert before > 0
        assert answered == events(database) == []


def _take_back(database: Database, who: UUID | str, *, at: datetime) -> None:
    if isinstance(who, UUID):
        counted.choose(database, who, marketing=True, at=at)
        return
    with database.transaction() as session:
        usage.end_browser(session, who)
