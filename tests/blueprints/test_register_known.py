"""Registering an address that is known, waiting, or being registered at this moment."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from threading import Barrier

import pytest
import time_machine

from database import Database
from domain.consent.permission import Permission, permitted
from domain.identity import accounts
from extensions import now
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, INGRID, Guest, confirm, register, sign_in
from tests.support.tables import TRIES, contents, count, entries

Visitors = Callable[..., Browser]


def normal(page: Page) -> str:
    """The page without what is random in it."""
    return re.sub(r'(nonce|value)="[^"]{16,}"', r'\1="…"', page.html)


@pytest.mark.requirement(64)
def test_a_known_address_gets_the_same_answer_and_a_mail_that_says_so(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """Status, headers and body do not tell; the owner is told, and nothing of theirs changes."""
    register(visitor(locale="en"))
    confirm(visitor(locale="en"), mails)
    grows = (TRIES, "outbox_message", "ledger_entry", "ledger_pending")
    before, said = contents(database, but=grows), entries(database)
    answers = []
    for email in (EMAIL, "ukjent@kunde.example"):
        stranger = visitor(locale="en")
        page = stranger.get("/register")
        form = page.form({}, "/register")
        data = {
            str(one["name"]): str(one["value"]) for one in form.select("input[type=hidden][name]")
        }
        data |= {"name": "Per Ås", "email": email.upper(), "password": "et annet godt ord"}
        data |= {"age": "15", "terms": "y", "consent-analytics": "y"}
        sent = stranger.send("/register", data)
        headers = {name for name in sent.headers.to_wsgi_list() if name[0] != "Set-Cookie"}
        kept = {one for one in headers if one[0] != "Content-Security-Policy"}
        cookies = [one.partition("=")[0] for one in sent.headers.getlist("Set-Cookie")]
        follow = stranger.get(sent.headers["Location"])
        answers.append((sent.status, kept, cookies, sent.html, normal(follow)))
        if email == EMAIL:
            assert (contents(database, but=grows), entries(database)) == (before, said)
    assert answers[0] == answers[1]
    told = mails.last(EMAIL)
    assert "/confirm/" not in text(told)
    assert "/password/forgotten" in text(told)
    assert "/confirm/" in text(mails.last("UKJENT@"))


def test_an_unconfirmed_registration_is_replaced_by_the_newest(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """Whoever confirms gets their own choices; the earlier link and password are dead."""
    stranger = replace(INGRID, password="en fremmeds passord", choices={"marketing": True})
    register(visitor(), stranger)
    old = link_in(mails.last(EMAIL))
    register(visitor(locale="en"), replace(INGRID, choices={"analytics": True}))
    browser = visitor(locale="en")
    assert browser.get(old).status == 404
    confirm(browser, mails)
    assert sign_in(visitor(), stranger).status == 422
    assert sign_in(browser).path == "/account"
    assert count(database, "account") == 1
    assert count(database, "subject") == 1
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        found = {
            purpose: permitted(session, account.subject_id, purpose, at=now())
            for purpose in ("marketing", "analytics")
        }
    assert found == {
        "marketing": Permission.NOT_GIVEN,
        "analytics": Permission.PERMITTED,
    }


@pytest.mark.parametrize("before", ["nobody", "unconfirmed", "confirmed"])
def test_simultaneous_registrations_of_one_address_make_one_account(
    visitor: Visitors, database: Database, mails: Mails, before: str
) -> None:
    """All get the same answer, and one account with one set of decisions remains."""
    if before != "nobody":
        register(visitor(locale="en"))
    if before == "confirmed":
        confirm(visitor(locale="en"), mails)
    pages = []
    for _ in range(3):
        browser = visitor(locale="en")
        pages.append((browser, browser.get("/register")))
    together = Barrier(len(pages))

    def send(one: tuple[Browser, Page]) -> tuple[int, str, str]:
        browser, page = one
        together.wait(timeout=10)
        sent = browser.post("/register", INGRID.form(), page=page)
        return sent.status, sent.path, normal(sent)

    with ThreadPoolExecutor(len(pages)) as pool:
        answers = set(pool.map(send, pages))
    assert len(answers) == 1
    assert next(iter(answers))[:2] == (200, "/register/sent")
    assert count(database, "account") == 1
    assert count(database, "subject") == 1
    assert count(database, "current_decision") == 2
    if before != "confirmed":
        confirm(visitor(locale="en"), mails)
    assert sign_in(visitor(locale="en")).path == "/account"


@pytest.mark.requirement(72)
def test_an_inbox_is_not_flooded_by_registering_it(
    visitor: Visitors, database: Database, mails: Mails, clock: time_machine.Traveller
) -> None:
    """The sixth time in an hour is refused, from wherever it comes, and says when it is over."""
    for turn in range(5):
        assert register(visitor(address=f"192.0.2.{turn}")).path == "/register/sent"
        assert count(database, "account") == 1
    guest = visitor(address="192.0.2.99", locale="en")
    before = contents(database)
    page = register(guest)
    assert page.status == 429
    assert contents(database) == before
    wait = int(page.headers["Retry-After"])
    assert 0 < wait <= 3600
    assert page.soup.select_one("main time[datetime]")
    assert register(guest, Guest(email="noen.andre@kunde.example")).path == "/register/sent"
    clock.shift(timedelta(seconds=wait))
    assert register(guest).path == "/register/sent"


@pytest.mark.requirement(72)
def test_one_place_registers_no_crowd(visitor: Visitors) -> None:
    """Thirty in an hour is what a school may need; more is somebody who tries addresses."""
    browser = visitor(locale="en")
    page = browser.get("/register")
    statuses = [
        browser.post("/register", Guest(email=f"nr{turn}@kunde.example").form(), page=page).status
        for turn in range(31)
    ]
    assert statuses == [200] * 30 + [429]


def test_who_is_signed_in_has_an_account_already(visitor: Visitors, mails: Mails) -> None:
    """The form leads a signed-in person to their account and opens no other."""
    browser = visitor(locale="en")
    page = browser.get("/register")
    register(browser)
    confirm(browser, mails)
    sign_in(browser)
    assert browser.get("/register").path == "/account"
    sent = browser.post("/register", Guest(email="to@kunde.example").form(), page=page)
    assert sent.status in (200, 403, 422)
    assert mails.to("to@kunde.example") == []
