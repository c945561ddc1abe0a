"""Processes die at random under load; what somebody saw accepted is in the ledger, once.

CHAOS_SEED gives the order of a run again, CHAOS_ROUNDS makes it shorter or longer.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.identity import accounts
from domain.ledger import high_water, log_keys, tree
from domain.ledger.log import log
from domain.ledger.merkle import verify_consistency
from domain.ledger.models import LedgerCheckpoint, LedgerEntry, LedgerPending
from domain.subjects import service as subjects
from settings import Settings
from tests.support.browser import Browser
from tests.support.chaos import PURPOSES, Crowd, Outcome, Person, Try, waited_for
from tests.support.hatchery import WEB, WORKER, Eggs, Hatchery, hatchery
from tests.support.live import free_port
from tests.support.mails import Mails
from tests.support.people import Guest, become_customer

ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "60"))
PEOPLE = 5
_LONGEST_ROUND = 0.15
_GROWS = 10  # rounds in which the log must grow
_PATIENCE = 60.0
Recorded = dict[str, list[tuple[str, bool]]]


@dataclass
class Site:
    """Two servers and two workers. Any of them may die at any time, and is then started again."""

    hatchery: Hatchery
    children: list[tuple[str, int]]

    def kill_some(self, chance: Random) -> None:
        """Kill one or two of them at the same moment, and start them again."""
        victims = chance.sample(range(len(self.children)), chance.choice((1, 2)))
        for number in victims:
            self.hatchery.kill(self.children[number][1])
        for number in victims:
            kind = self.children[number][0]
            self.children[number] = (kind, self.hatchery.hatch(kind))


@pytest.fixture
def chance() -> Random:
    """The order of the run; pytest shows its seed with a failure."""
    seed = int(os.environ.get("CHAOS_SEED") or secrets.randbelow(2**32))
    print(f"CHAOS_SEED={seed}")  # noqa: T201
    return Random(seed)


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """The port of the site."""
    with free_port() as listening:
        yield listening


@pytest.fixture
def cookies(visitor: Callable[..., Browser], mails: Mails) -> dict[str, str]:
    """People who are signed in: their sessions, by address."""
    found = {}
    for number in range(PEOPLE + 1):
        browser = visitor(address=f"192.0.2.{number + 1}")
        guest = Guest(email=f"person{number}@kunde.example")
        become_customer(browser, mails, guest)
        found[guest.email] = f"session={browser.cookie('session')}"
    return found


@pytest.fixture
def site(
    cookies: dict[str, str], settings: Settings, listening: socket.socket, tmp_path: Path
) -> Iterator[Site]:
    """The site's processes. What they wrote to standard error is shown with a failure."""
    _, first = cookies.popitem()
    with hatchery(Eggs(settings, listening, first, tmp_path / "stderr")) as hatching:
        yield Site(hatching, [(kind, hatching.hatch(kind)) for kind in (WEB, WEB, WORKER, WORKER)])
    print((tmp_path / "stderr").read_text()[-20_000:])  # noqa: T201


@pytest.fixture
def crowd(cookies: dict[str, str], site: Site, listening: socket.socket, chance: Random) -> Crowd:
    """People who change their mind all the time."""
    port = listening.getsockname()[1]
    return Crowd(
        [Person(email, port, cookie, Random(chance.random())) for email, cookie in cookies.items()]
    )


def test_what_somebody_saw_accepted_is_in_the_ledger_once_whoever_was_killed(
    site: Site, crowd: Crowd, app: Flask, database: Database, chance: Random
) -> None:
    with crowd.deciding():
        for number in range(ROUNDS):
            go_on(crowd, database, chance, grow=number % _GROWS == 0)
            site.kill_some(chance)
    crowd.check()
    assert waited_for(lambda: nothing_is_left_to_do(database), _PATIENCE, crowd)

    print({outcome.value: crowd.count(outcome) for outcome in Outcome})  # noqa: T201
    with database.reading() as session:
        for person in crowd.people:
            assert_accounted_for(person.tries, recorded(session, person.email))
        assert_one_log(session)
    verified = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert verified.exit_code == 0, verified.output
    # Otherwise this was no load, and nobody died under it.
    assert crowd.count(Outcome.ACCEPTED) >= ROUNDS
    assert crowd.count(Outcome.REFUSED) > ROUNDS / 20
    assert crowd.count(Outcome.LOST) > ROUNDS / 20


def go_on(crowd: Crowd, database: Database, chance: Random, *, grow: bool) -> None:
    """Let some time pass: until somebody was answered, however slow the machine, and now and
    then until the log has grown."""
    accepted, size = crowd.count(Outcome.ACCEPTED), published(database)
    time.sleep(chance.uniform(0.02, _LONGEST_ROUND))
    assert waited_for(lambda: crowd.count(Outcome.ACCEPTED) > accepted, _PATIENCE, crowd)
    if grow:
        assert waited_for(lambda: published(database) > size, _PATIENCE, crowd)


def published(database: Database) -> int:
    """The size of the newest checkpoint."""
    with database.reading() as session:
        newest = tree.published(session)
        return newest.size if newest else 0


def nothing_is_left_to_do(database: Database) -> bool:
    """Whether every entry has its position, and is published."""
    with database.reading() as session:
        waiting = session.scalar(select(func.count()).select_from(LedgerPending))
        entries = session.scalar(select(func.count()).select_from(LedgerEntry))
    return not waiting and published(database) == entries


def recorded(session: Session, email: str) -> Recorded:
    """What the ledger says this person decided on the preferences page: purposes and answers,
    by when the form was served that they came of."""
    account = accounts.find(session, email)
    assert account is not None
    found: Recorded = defaultdict(list)
    for entry in subjects.entries(session, account.subject_id):
        if entry.data.get("surface") == "preferences":
            yes = entry.type in ("consent.given", "consent.renewed")
            found[entry.data["served_at"]].append((entry.data["purpose"], yes))
    return dict(found)


def assert_accounted_for(tries: list[Try], found: Recorded) -> None:
    """Every try that was accepted was recorded, whole and once; none that was refused was; of one
    whose answer was lost, all or nothing; and they stand in the order in which they were made."""
    assert len({one.served_at for one in tries}) == len(tries)
    order = iter(found)
    newest: Try | None = None
    for one in tries:
        if one.served_at in found:
            assert one.outcome is not Outcome.REFUSED, f"refused and recorded: {one}"
            assert next(order) == one.served_at, f"recorded out of order: {one}"
            assert sorted(found[one.served_at]) == [(name, one.yes) for name in PURPOSES], one
            newest = one
        elif one.outcome is Outcome.ACCEPTED:
            # A lost try may be recorded after the page was opened again (PostgreSQL finishes a
            # commit that its client did not live to see). To say the same again records nothing.
            said = newest is not None and newest.outcome is Outcome.LOST and newest.yes is one.yes
            assert said, f"accepted and not recorded: {one}"
    assert next(order, None) is None, "recorded and never sent"


def assert_one_log(session: Session) -> None:
    """Whatever was published goes on from what was published before, and from nothing else."""
    notes = session.scalars(select(LedgerCheckpoint.note).order_by(LedgerCheckpoint.size)).all()
    signed = [log_keys.trusted(session, note).checkpoint for note in notes]
    for old, new in pairwise(signed):
        proof = tree.consistency(session, old.size, new.size)
        verify_consistency(old.size, old.root, new.size, new.root, proof)
    assert len(signed) >= ROUNDS // _GROWS
    assert high_water.checkpoint(log(session).high_water) == signed[-1]
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == signed[-1].size
