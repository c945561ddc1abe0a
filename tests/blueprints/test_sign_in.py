"""Signing in: one answer to everybody who does not get in, and nowhere but here afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
import time_machine
from flask import Flask

from database import Database
from domain.identity import accounts
from domain.identity.passwords import Passwords
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, Guest, become_customer, register, sign_in
from tests.support.tables import TRIES, contents

Visitors = Callable[..., Browser]

OUTWARD = (
    *("//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "/\t/evil.test"),
    *("https://evil.test", "https:evil.test", "http:/evil.test", "javascript:alert(1)"),
    *(" //evil.test", "/\r\nLocation: //evil.test", "\r\n//evil.test", "/\x00", "evil.test", ""),
)


def normal(page: Page) -> str:
    """The page without what is random in it, and without the address that was typed."""
    plain = re.sub(r'(nonce|value)="[^"]{16,}"', r'\1="…"', page.html)
    return re.sub(r"value=\"[^\"]*kunde\.example\"", "", plain)


def headers(page: Page) -> set[tuple[str, str]]:
    """The headers that say the same to everybody."""
    random = {"Set-Cookie", "Content-Security-Policy", "Content-Length"}
    return {one for one in page.headers.to_wsgi_list() if one[0] not in random}


@pytest.fixture
def customer(visitor: Visitors, mails: Mails) -> Browser:
    """Ingrid, signed in."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    return browser


@pytest.mark.requirement(64)
def test_failures_to_sign_in_look_the_same(
    customer: Browser, visitor: Visitors, database: Database
) -> None:
    """Unknown address, wrong password, unconfirmed account: same page, status and headers."""
    waiting = Guest(email="venter.pa@kunde.example")
    register(visitor(locale="en"), waiting)
    before = contents(database, but=(TRIES,))
    pages = []
    for guest in (Guest(email="ukjent@kunde.example"), replace(INGRID, password="galt"), waiting):
        pages.append(sign_in(visitor(locale="en"), guest))
        assert pages[-1].soup.select_one(f'[name=email][value="{guest.email}"]')
        assert pages[-1].soup.select_one('[name=password][value=""]')
    assert {page.status for page in pages} == {422}
    assert len({normal(page) for page in pages}) == 1
    assert headers(pages[0]) == headers(pages[1]) == headers(pages[2])
    assert contents(database, but=(TRIES,)) == before


@pytest.mark.parametrize("spelled", ["INGRID.H@Kunde.Example", f"  {EMAIL} "])
def test_the_spelling_of_the_address_does_not_matter(
    customer: Browser, visitor: Visitors, spelled: str
) -> None:
    """A telephone that writes the first letter large gets in too."""
    assert sign_in(visitor(), replace(INGRID, email=spelled)).path == "/account"


@pytest.mark.parametrize("missing", ["email", "password"])
def test_an_empty_field_is_explained_and_no_try(
    customer: Browser, visitor: Visitors, database: Database, missing: str
) -> None:
    """What was forgotten is said beside the field; nothing is counted."""
    before = contents(database)
    browser = visitor(locale="en")
    page = browser.post("/login", {"email": EMAIL, "password": INGRID.password, missing: ""})
    assert page.status == 422
    assert page.soup.select_one(f"#{missing}-error")
    assert contents(database) == before


def test_signing_in_leads_to_where_one_was_going(customer: Browser, visitor: Visitors) -> None:
    """A page that asks to sign in is shown once one has."""
    browser = visitor(locale="en")
    page = browser.get("/preferences?lang=nn")
    assert page.path.startswith("/login?next=")
    filled = {"email": EMAIL, "password": INGRID.password}
    assert browser.post(page.path, filled).path == "/preferences?lang=nn"


@pytest.mark.parametrize("target", OUTWARD)
def test_signing_in_never_leads_away_from_the_site(
    customer: Browser, visitor: Visitors, target: str
) -> None:
    """Whatever stands in ?next=, the way goes to the account, also for who is signed in."""
    address = f"/login?next={quote(target, safe='')}"
    browser = visitor(locale="en")
    page = browser.get(address)
    form = page.form({}, "/login")
    data = {str(one["name"]): str(one.get("value", "")) for one in form.select("input[name]")}
    sent = browser.send(address, {**data, "email": EMAIL, "password": INGRID.password})
    assert (sent.status, sent.headers["Location"]) == (303, "/account")
    assert browser.get(address, follow=False).headers["Location"] == "/account"


@pytest.mark.requirement(72)
def test_guessing_is_stopped_and_its_owner_comes_in_from_elsewhere(
    customer: Browser, visitor: Visitors, clock: time_machine.Traveller
) -> None:
    """Ten tries from one place; then even the right password waits, but only there."""
    guesser = visitor(address="192.0.2.66", locale="en")
    wrong = replace(INGRID, password="gjett igjen")
    assert [sign_in(guesser, wrong).status for _ in range(10)] == [422] * 10
    page = sign_in(guesser)
    assert page.status == 429
    wait = int(page.headers["Retry-After"])
    assert 0 < wait <= 900
    assert page.soup.select_one("main time[datetime]")
    assert sign_in(visitor(address="192.0.2.67")).path == "/account"
    clock.shift(timedelta(seconds=wait))
    assert sign_in(guesser).path == "/account"


@pytest.mark.requirement(72)
def test_signing_in_forgets_the_tries_before(customer: Browser, visitor: Visitors) -> None:
    """Who mistypes now and then is never stopped."""
    browser = visitor(address="192.0.2.66", locale="en")
    wrong = replace(INGRID, password="gjett igjen")
    for _ in range(2):
        assert {sign_in(browser, wrong).status for _ in range(9)} == {422}
        assert sign_in(browser).path == "/account"
        browser.post("/logout", page=browser.get("/account"))


@pytest.mark.requirement(72)
def test_one_place_does_not_try_everybody(visitor: Visitors, database: Database) -> None:
    """Fifty tries in a quarter of an hour at whatever addresses are enough."""
    browser = visitor(locale="en")
    page = browser.get("/login")
    statuses = []
    for turn in range(51):
        filled = {"email": f"nr{turn}@kunde.example", "password": "gjett igjen"}
        statuses.append(browser.post("/login", filled, page=page).status)
    assert statuses == [422] * 50 + [429]


@pytest.mark.requirement(76)
def test_an_old_scrambling_is_renewed_at_sign_in(
    app: Flask,
    customer: Browser,
    visitor: Visitors,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password is kept at today's strength from then on; no session ends."""
    strong = Passwords("strong")
    monkeypatch.setitem(app.extensions, "passwords", strong)
    assert sign_in(visitor()).path == "/account"
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
    assert account
    assert not strong.needs_rehash(account.password_hash)
    assert strong.verify(account.password_hash, INGRID.password)
    assert customer.get("/account").path == "/account"


def test_renewing_the_scrambling_never_brings_an_old_password_back(
    app: Flask,
    customer: Browser,
    visitor: Visitors,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A password that is changed while somebody signs in with the old one stays changed."""

    class Meanwhile(Passwords):
        def hash(self, password: str) -> str:
            """Scramble; just then the password is changed elsewhere."""
            if password == INGRID.password:
                with database.transaction() as session:
                    account = accounts.find(session, EMAIL)
                    assert account
                    accounts.change_password(session, account, super().hash("det nye passordet"))
            return super().hash(password)

    monkeypatch.setitem(app.extensions, "passwords", Meanwhile("strong"))
    assert sign_in(visitor()).path.startswith("/login"), "the change ends the session"
    assert sign_in(visitor()).status == 422
    assert sign_in(visitor(), replace(INGRID, password="det nye passordet")).path == "/account"
