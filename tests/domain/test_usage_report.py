"""The report: what a recount says, less the groups that are too small to be told of."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import date, timedelta
from uuid import UUID

import pytest

from database import Database
from domain.analytics import lapsing, pseudonyms, report, usage
from domain.analytics.report import Group
from domain.analytics.usage import Kind
from domain.dates import add_months, local_day
from tests.domain import counted
from tests.domain.counted import START, count, events, member, rows
from tests.domain.lapsing import noon, run

DAY = timedelta(days=1)
ITEMS = ("calmer-mornings", "rainy-days", "morning-planner")


def population(database: Database, seed: int) -> dict[tuple[date, str, Kind, str], set[int]]:
    """Forty people do things for five weeks, some of them with a no or a signal, some leaving
    on the way; what a recount finds of those who are counted and stayed."""
    dice = random.Random(seed)
    said_yes = [number % 5 != 4 for number in range(40)]
    people: list[UUID | str] = [
        member(database, yes=yes)
        if number % 2
        else counted.browser(database, f"mark {number}", months=24)  # they said it once more
        for number, yes in enumerate(said_yes)
    ]
    leaving = {number: dice.randrange(10, 30) for number in dice.sample(range(40), 8)}
    done: dict[tuple[date, str, Kind, str], set[int]] = defaultdict(set)
    for day in range(0, 35):
        at = START + day * DAY
        for number, who in enumerate(people):
            if leaving.get(number) == day:
                _leave(database, who, day)
            if dice.random() < 0.6:
                continue
            what = (dice.choice(ITEMS), dice.choice((Kind.READ, Kind.READ, Kind.USED)))
            locale, signal = dice.choice(("nb", "nb", "nb", "en")), dice.random() < 0.1
            gone = number in leaving and day >= leaving[number]
            expected = (said_yes[number] or not number % 2) and not signal and not gone
            if not gone:
                assert count(database, who, *what, locale, signal=signal, at=at) is expected
            if expected and number not in leaving:
                done[pseudonyms.monday(local_day(at)), *what, locale].add(number)
    return done


def _leave(database: Database, who: UUID | str, day: int) -> None:
    if isinstance(who, UUID):
        counted.choose(database, who, analytics=False, at=START + day * DAY)
        return
    with database.transaction() as session:
        usage.end_browser(session, who)


def shown(database: Database) -> list[Group]:
    """What the report has of these weeks."""
    with database.reading() as session:
        return report.groups(session, report.weeks(local_day(START + 35 * DAY), 6))


def test_the_report_is_a_recount_and_stays_one_when_the_events_are_gone(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything that somebody who is counted did, by week, tip, kind and language; of groups of
    five or more, and nothing else, anywhere. Thirteen months later the events go, a few at a time,
    and then the keys of their months; the sums that are left say the same."""
    recount = population(database, 20261123)
    expected = {
        Group(*key, len(people)) for key, people in recount.items() if len(people) >= lapsing.FEWEST
    }
    assert 20 < len(expected) < len(recount), "there are large groups and small ones"
    found = shown(database)
    assert set(found) == expected
    by_item = report.sums(found, lambda one: one.item)
    assert sum(sum(kinds.values()) for kinds in by_item.values()) == sum(
        one.people for one in expected
    )

    first = add_months(local_day(START), 13)
    assert run(database, noon(str(first - DAY)))["usage"] == 0
    monkeypatch.setattr("domain.rights.retention.ROWS", 7)
    before = len(events(database))
    for weeks in (0, 2, 3, 12):
        assert run(database, noon(str(first + timedelta(weeks=weeks))))["usage"] > 0
        assert set(shown(database)) == expected
        assert len(events(database)) < before
        before = len(events(database))
    assert (before, rows(database, "usage_month")) == (0, 0)
    assert rows(database, "usage_week") == len(expected)


def test_a_kill_between_two_parts_of_a_week_changes_no_number(database: Database) -> None:
    """The sums are written with the first part, from all that was there, and never again; who
    leaves meanwhile is in them, as one of five, and their events go."""
    people = [member(database) for _ in range(5)]
    for who in people:
        for item in ITEMS:
            assert count(database, who, item)
    day = local_day(START)
    with database.transaction() as session:
        assert lapsing.lapse(session, day, 4) == 4
    counted.choose(database, people[0], analytics=False, at=START)
    while events(database):
        with database.transaction() as session:
            assert lapsing.lapse(session, day, 4)
    with database.reading() as session:
        left = report.groups(session, report.weeks(day, 1))
    assert {(one.item, one.people) for one in left} == {(item, 5) for item in ITEMS}
