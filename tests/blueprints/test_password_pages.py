"""A forgotten password, and a new one by link or by the old one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from flask import Flask

from database import Database
from domain.identity import accounts
from domain.identity.passwords import Passwords
from tests.support.browser import Browser, Page
from tests.support.links import NEW_PASSWORD
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, INGRID, Guest, become_customer, register, sign_in
from tests.support.tables import TRIES, contents

Visitors = Callable[..., Browser]
UNKNOWN = "ukjent@kunde.example"
WEAK = ("", "kort", "p" * 257, "password1")


@pytest.fixture
def customer(visitor: Visitors, mails: Mails) -> Browser:
    """Ingrid, signed in."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    return browser


def normal(page: Page) -> str:
    """The page without what is random in it."""
    return re.sub(r'(nonce|value)="[^"]{16,}"', r'\1="…"', page.html)


@pytest.mark.requirement(64)
def test_asking_for_a_new_password_tells_nobody_who_has_an_account(
    customer: Browser, visitor: Visitors, mails: Mails
) -> None:
    """Known, unknown and unconfirmed addresses get the same answer; the mails say the rest."""
    waiting = "venter@kunde.example"
    register(visitor(), Guest(email=waiting))
    pages = [
        visitor(locale="en").post("/password/forgotten", {"email": email})
        for email in (EMAIL, UNKNOWN, waiting)
    ]
    assert {(page.status, page.path) for page in pages} == {(200, "/password/forgotten/sent")}
    assert len({normal(page) for page in pages}) == 1
    assert "/password/reset/" in link_in(mails.last(EMAIL))
    for email in (UNKNOWN, waiting):
        assert "/password/reset/" not in text(mails.last(email))
        assert "/register" in text(mails.last(email))


@pytest.mark.requirement(72)
def test_an_inbox_is_not_flooded_with_links(visitor: Visitors, database: Database) -> None:
    """Five an hour, wherever they are asked for."""
    for turn in range(5):
        browser = visitor(address=f"192.0.2.{turn}")
        assert browser.post("/password/forgotten", {"email": UNKNOWN}).status == 200
    before = contents(database)
    page = visitor(address="192.0.2.99").post("/password/forgotten", {"email": UNKNOWN.upper()})
    assert page.status == 429
    assert int(page.headers["Retry-After"]) > 0
    assert contents(database) == before


@pytest.mark.parametrize("email", ["", "ingen adresse"])
def test_a_forgotten_password_takes_an_address(
    visitor: Visitors, database: Database, email: str
) -> None:
    """What is wrong is said beside the field, and what was typed stays."""
    before = contents(database)
    page = visitor(locale="en").post("/password/forgotten", {"email": email})
    assert page.status == 422
    assert page.soup.select_one("#email-error")
    assert page.soup.select_one(f'[name=email][value="{email}"]')
    assert contents(database) == before


@pytest.mark.requirement(76, 78)
def test_a_password_set_by_link_ends_every_session_and_is_told(
    customer: Browser, visitor: Visitors, mails: Mails
) -> None:
    """The old password opens nothing more, and the person hears of it."""
    customer.post("/password/forgotten", {"email": EMAIL})
    browser = visitor(locale="en")
    page = browser.get(link_in(mails.last(EMAIL)))
    sent = len(mails.to(EMAIL))
    assert browser.press(page, "/password/reset", {"password": NEW_PASSWORD}).path == "/login"
    assert customer.get("/account").path.startswith("/login")
    assert sign_in(visitor()).status == 422
    assert sign_in(visitor(), replace(INGRID, password=NEW_PASSWORD)).path == "/account"
    assert len(mails.to(EMAIL)) == sent + 1


@pytest.mark.requirement(76)
@pytest.mark.parametrize("weak", WEAK)
def test_an_easy_password_does_not_use_the_link_up(
    customer: Browser, visitor: Visitors, database: Database, mails: Mails, weak: str
) -> None:
    """It is explained beside the field, and the next try works."""
    customer.post("/password/forgotten", {"email": EMAIL})
    browser = visitor(locale="en")
    page = browser.get(link_in(mails.last(EMAIL)))
    before = contents(database)
    page = browser.press(page, "/password/reset", {"password": weak})
    assert page.status == 422
    assert page.soup.select_one("#password-error")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert contents(database) == before
    assert browser.press(page, "/password/reset", {"password": NEW_PASSWORD}).path == "/login"


@pytest.mark.requirement(72)
def test_a_new_password_ends_the_pause_after_too_many_tries(
    customer: Browser, visitor: Visitors, mails: Mails
) -> None:
    """Who forgot it, tried ten times and then set a new one, is let in at once."""
    browser = visitor(locale="en")
    wrong = replace(INGRID, password="gjett igjen")
    assert [sign_in(browser, wrong).status for _ in range(11)][-1] == 429
    browser.post("/password/forgotten", {"email": EMAIL})
    page = browser.get(link_in(mails.last(EMAIL)))
    browser.press(page, "/password/reset", {"password": NEW_PASSWORD})
    assert sign_in(browser, replace(INGRID, password=NEW_PASSWORD)).path == "/account"


@pytest.mark.requirement(76)
@pytest.mark.parametrize("weak", WEAK)
def test_an_easy_password_is_not_taken_in_exchange(
    customer: Browser, database: Database, weak: str
) -> None:
    """The page for a changed password asks the same of it."""
    before = contents(database)
    filled = {"current": INGRID.password, "password": weak}
    page = customer.post("/account/password", filled)
    assert page.status == 422
    assert page.soup.select_one("#password-error")
    assert INGRID.password not in page.html
    assert contents(database) == before


@pytest.mark.requirement(72)
@pytest.mark.parametrize("path", ["/account/password", "/account/email"])
def test_a_wrong_password_inside_counts_as_a_try(
    customer: Browser, visitor: Visitors, database: Database, path: str
) -> None:
    """Whoever finds an open session guesses no more often than whoever stands outside."""
    field = "current" if path == "/account/password" else "password"
    filled = {"password": NEW_PASSWORD, "email": "ny@kunde.example", field: "gjett igjen"}
    if field == "current":
        del filled["email"]
    before = contents(database, but=(TRIES,))
    for _ in range(10):
        page = customer.post(path, filled)
        assert page.status == 422
        assert page.soup.select_one(f"#{field}-error")
    assert customer.post(path, filled).status == 429
    assert sign_in(visitor()).status == 429
    assert contents(database, but=(TRIES,)) == before


@pytest.mark.requirement(78)
def test_a_changed_password_is_told_by_mail(customer: Browser, mails: Mails) -> None:
    """The person may not be the one who did it."""
    sent = len(mails.to(EMAIL))
    filled = {"current": INGRID.password, "password": NEW_PASSWORD}
    assert customer.post("/account/password", filled).path == "/account"
    assert len(mails.to(EMAIL)) == sent + 1


def test_a_password_changed_elsewhere_at_this_moment_stays(
    app: Flask,
    customer: Browser,
    visitor: Visitors,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of two who change it at once, whoever was slower does not win by the old password."""

    class Meanwhile(Passwords):
        def hash(self, password: str) -> str:
            """Scramble; just then the owner sets another one by link."""
            if password == NEW_PASSWORD:
                with database.transaction() as session:
                    account = accounts.find(session, EMAIL)
                    assert account
                    accounts.change_password(session, account, super().hash("eierens nye ord"))
            return super().hash(password)

    monkeypatch.setitem(app.extensions, "passwords", Meanwhile("cheapest"))
    filled = {"current": INGRID.password, "password": NEW_PASSWORD}
    assert customer.post("/account/password", filled).status == 422
    assert sign_in(visitor(), replace(INGRID, password=NEW_PASSWORD)).status == 422
    assert sign_in(visitor(), replace(INGRID, password="eierens nye ord")).path == "/account"
