"""Everybody sees how the log grows, and nobody sees by it whose address is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from flask import Flask

from database import Database
from domain.delivery import outbox
from domain.rights import requests, upkeep
from extensions import now
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import INGRID, Guest, confirm, register
from tests.support.tables import TRIES, contents

KNOWN, UNCONFIRMED, WRITER, UNKNOWN = ADDRESSES = tuple(f"{name}@kunde.example" for name in "abcd")
# What is filled in beside the address, for each kind that can be asked for by mail.
ASKED = {
    **{kind: {} for kind in ("access", "portability", "rectification", "erasure", "restriction")},
    "objection": {"about": "marketing"},
    "enquiry": {"words": "Hvor lenge har dere adressen min?"},
}
WEEK = timedelta(days=7)


class Stranger:
    """Somebody who sends a form and looks at the public checkpoint before and after."""

    def __init__(self, app: Flask, mails: Mails, visitor: Callable[..., Browser]):
        self._places: Iterator[str] = (f"192.0.2.{number}" for number in range(1, 255))
        self._app, self._mails, self._visitor = app, mails, visitor

    def browser(self) -> Browser:
        """A browser that has never been here."""
        return self._visitor(address=next(self._places))

    def ask(self, kind: str, address: str) -> Page:
        """Ask for this by mail, from a place that has never asked for anything."""
        return self.browser().post(f"/requests/new?kind={kind}", {**ASKED[kind], "email": address})

    def size(self) -> int:
        """How many entries the site says that there are, when all that waits is done."""
        self._mails.deliver()
        checkpoint = self._app.test_client().get("/ledger/checkpoint")
        return int(checkpoint.get_data(as_text=True).split("\n")[1])

    def grown(self, act: Callable[[], object]) -> int:
        """By how much the log grows when this is done."""
        before = self.size()
        act()
        return self.size() - before


@pytest.fixture
def stranger(
    app: Flask, mails: Mails, visitor: Callable[..., Browser], clock: time_machine.Traveller
) -> Stranger:
    """Comes when there is a customer, somebody who never confirmed, and somebody who wrote."""
    one = Stranger(app, mails, visitor)
    for address in (KNOWN, UNCONFIRMED):
        register(one.browser(), Guest(email=address))
    confirm(one.browser(), mails, Guest(email=KNOWN))
    one.ask("enquiry", WRITER)
    one.size()
    return one


@pytest.mark.requirement(64)
@pytest.mark.parametrize("age", ["15", "13"])
def test_registering_makes_the_log_grow_by_as_much_whoever_has_the_address(
    stranger: Stranger, age: str
) -> None:
    """Known, never confirmed, unknown, and each of them once more."""
    for address in ADDRESSES * 2:
        guest = Guest(email=address, age=age)
        grown = stranger.grown(partial(register, stranger.browser(), guest))
        # One for what may have to be replaced, one for the account, one for each decision.
        assert grown == (4 if age == "15" else 3), address


@pytest.mark.requirement(64)
@pytest.mark.parametrize("kind", ASKED)
def test_asking_makes_the_log_grow_by_one_whoever_has_the_address(
    stranger: Stranger, kind: str
) -> None:
    """Also for a request that is open already."""
    for address in ADDRESSES * 2:
        assert stranger.grown(partial(stranger.ask, kind, address)) == 1, address


@pytest.mark.requirement(64)
def test_following_a_case_leaves_nothing_in_the_log(stranger: Stranger, database: Database) -> None:
    """Whoever's it is, and where there is none."""
    with database.reading() as session:
        (case,) = requests.newest(session)
    for address in ADDRESSES:
        for reference in (case.reference, "BBBB-2222"):
            filled = {"email": address, "reference": reference}
            follow = partial(stranger.browser().post, "/requests/follow", filled)
            assert stranger.grown(follow) == 0, address


@pytest.mark.requirement(64)
def test_a_forgotten_password_and_signing_in_leave_nothing_in_the_log(stranger: Stranger) -> None:
    """Whatever is typed, and whoever has the address."""
    for address in ADDRESSES:
        wrong = {"email": address, "password": "something else entirely"}
        for path, filled in (("/password/forgotten", {"email": address}), ("/login", wrong)):
            assert stranger.grown(partial(stranger.browser().post, path, filled)) == 0, path


@pytest.mark.requirement(64)
@pytest.mark.parametrize("flow", ["register", "access", "objection", "enquiry"])
def test_a_week_later_the_log_grows_by_one_whoever_has_the_address(
    stranger: Stranger, clock: time_machine.Traveller, app: Flask, flow: str
) -> None:
    """What nobody confirmed goes then, and what there is nothing to do about is entered too; a
    question waits for its answer, and for nothing else."""
    clock.shift(WEEK)
    stranger.size()  # those who were there before
    clock.shift(timedelta(days=1))

    def keep_house() -> None:
        upkeep.everything(app.extensions["database"], at=now())

    keep_house()
    for address in ADDRESSES:
        clock.shift(timedelta(hours=1))
        if flow == "register":
            register(stranger.browser(), Guest(email=address))
        else:
            stranger.ask(flow, address)
        stranger.size()
        clock.shift(WEEK - timedelta(minutes=1))
        assert stranger.grown(keep_house) == 1, address  # the day's, whatever it finds
        settled = 0 if flow == "enquiry" else 1
        assert stranger.grown(lambda: clock.shift(timedelta(minutes=1))) == settled, address
        assert stranger.grown(lambda: clock.shift(timedelta(days=2))) == 0, address
        assert stranger.grown(keep_house) == 1, address  # the day's, whatever it finds


def test_who_confirms_stays_and_who_does_not_goes(
    stranger: Stranger, database: Database, clock: time_machine.Traveller, mails: Mails
) -> None:
    """After the week the customer is still there, and the one who never confirmed is not; nothing
    waits any more."""
    kept = Guest(email="d@kunde.example")
    register(stranger.browser(), kept)
    confirm(stranger.browser(), mails, kept)
    clock.shift(WEEK)
    stranger.size()
    after = contents(database, but=(TRIES,))
    assert len(after["account"]) == 2
    assert len(after["subject"]) == 3
    assert not any("queued" in row for row in after["outbox_message"])


def test_padding_is_bound_to_its_registration(
    stranger: Stranger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the mail to a known address cannot be queued there is no padding either."""

    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("injected")

    browser = stranger.browser()
    before = contents(database, but=(TRIES,))
    monkeypatch.setattr(outbox, "post", failing)
    assert register(browser, Guest(email=KNOWN, name=INGRID.name)).status == 500
    assert contents(database, but=(TRIES,)) == before
