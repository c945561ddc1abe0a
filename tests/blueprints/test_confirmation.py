"""Links that confirm an address or set a password: looking changes nothing, one press acts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask

from database import Database
from domain.identity import accounts
from tests.support.browser import Browser, Page
from tests.support.links import NEW_EMAIL, WAYS, Way
from tests.support.mails import Mails, link_in, text
from tests.support.people import (
    EMAIL,
    INGRID,
    Guest,
    become_customer,
    confirm,
    press_confirm,
    register,
    sign_in,
)
from tests.support.tables import TRIES, contents, count, entries

Visitors = Callable[..., Browser]


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    """Each kind of link that the account's mails carry."""
    return WAYS[request.param]


@pytest.fixture
def asking(visitor: Visitors, mails: Mails, way: Way) -> Browser:
    """Ingrid, where she can ask for the link."""
    browser = visitor(locale="en")
    way.prepare(browser, mails)
    return browser


@pytest.fixture
def link(asking: Browser, mails: Mails, way: Way) -> str:
    """The link that she was mailed."""
    return way.link(asking, mails)


def token(link: str) -> str:
    """The secret part of a link."""
    return urlsplit(link).path.rpartition("/")[2]


@pytest.mark.requirement(69)
def test_looking_at_a_link_changes_nothing_and_the_press_still_works(
    visitor: Visitors, database: Database, link: str, way: Way
) -> None:
    """Ten scanners open link and page with GET and HEAD; then the person presses."""
    before = contents(database)
    for _ in range(10):
        scanner = visitor(locale="en")
        for method in ("HEAD", "GET"):
            assert scanner.get(link, method=method).status == 200
            assert scanner.get(way.path, method=method).status == 200
    assert contents(database) == before
    browser = visitor(locale="en")
    page = way.press(browser, browser.get(link))
    assert (page.status, page.path) == (200, "/login")
    assert contents(database) != before


@pytest.mark.requirement(66)
def test_a_used_link_is_dead(visitor: Visitors, database: Database, link: str, way: Way) -> None:
    """Opened or pressed again, anywhere: one neutral page, and nothing changes."""
    late, browser = visitor(locale="en"), visitor(locale="en")
    open_since_before = late.get(link)
    way.press(browser, browser.get(link))
    after = contents(database)
    assert visitor(locale="en").get(link).status == 404
    assert way.press(late, open_since_before).status == 404
    assert contents(database) == after


@pytest.mark.requirement(66, 67)
def test_an_expired_link_says_where_to_get_a_new_one(
    visitor: Visitors, database: Database, clock: time_machine.Traveller, link: str, way: Way
) -> None:
    """After sixty minutes: 410, whether it is opened or was open, and nothing changes."""
    browser = visitor(locale="en")
    clock.shift(timedelta(minutes=59))
    page = browser.get(link)
    assert page.status == 200
    clock.shift(timedelta(minutes=1, seconds=1))
    before = contents(database)
    for late in (way.press(browser, page), visitor(locale="en").get(link)):
        assert late.status == 410
        assert late.soup.select_one(f'main a[href="{way.again}"]')
        assert late.headers["Cache-Control"] == "no-store"
    assert contents(database) == before


@pytest.mark.requirement(66)
def test_a_newer_link_voids_the_older_one(
    visitor: Visitors, asking: Browser, mails: Mails, link: str, way: Way
) -> None:
    """Only the newest mail counts."""
    newer = way.link(asking, mails)
    assert newer != link
    browser = visitor(locale="en")
    assert browser.get(link).status == 404
    assert way.press(browser, browser.get(newer)).path == "/login"


@pytest.mark.requirement(68)
def test_a_link_does_nothing_but_its_own(
    visitor: Visitors, database: Database, link: str, way: Way
) -> None:
    """At the address of another kind it is dead, and still works at its own."""
    before = contents(database)
    for path in ("/confirm", "/password/reset", "/requests/verify"):
        if path != way.path:
            assert visitor(locale="en").get(f"{path}/{token(link)}").status == 404
    assert contents(database) == before
    browser = visitor(locale="en")
    assert way.press(browser, browser.get(link)).path == "/login"


@pytest.mark.requirement(65, 66)
def test_a_broken_link_gets_the_neutral_page(visitor: Visitors, link: str, way: Way) -> None:
    """Cut short, lengthened, made up, or full of what no token holds."""
    whole = token(link)
    assert len(whole) >= 32
    broken = (whole[:-1], whole[:20], f"{whole}x", whole[::-1], "x", "x" * 5000, "%00", "æ%ff")
    pages = [visitor(locale="en").get(f"{way.path}/{one}") for one in broken]
    assert {page.status for page in pages} == {404}
    assert len({page.soup.select_one("main") for page in pages}) == 1
    assert visitor(locale="en").get(way.path).status == 404, "no link was opened at all"


@pytest.mark.requirement(66)
def test_of_simultaneous_presses_one_succeeds(
    visitor: Visitors, database: Database, link: str, way: Way
) -> None:
    """The link is used up once; the others see the neutral page."""
    opened = [(browser, browser.get(link)) for browser in (visitor(locale="en") for _ in range(3))]
    together = Barrier(len(opened))

    def press(one: tuple[Browser, Page]) -> int:
        together.wait(timeout=10)
        return way.press(*one).status

    with ThreadPoolExecutor(len(opened)) as pool:
        assert sorted(pool.map(press, opened)) == [200, 404, 404]


@pytest.mark.requirement(71)
def test_the_token_leaves_the_address_bar(visitor: Visitors, link: str, way: Way) -> None:
    """It goes into the visitor's own session; neither page is stored or named to anyone."""
    browser = visitor(locale="en")
    first = browser.get(link, follow=False)
    assert first.status == 303
    assert urlsplit(first.headers["Location"]).path == way.path
    page = browser.get(first.headers["Location"])
    assert token(link) not in first.headers["Location"] + first.html + page.html
    for answer in (first, page):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.requirement(66, 75)
@pytest.mark.parametrize("way", [WAYS["new_address"], WAYS["reset"]], ids=["new_address", "reset"])
def test_a_changed_password_voids_the_links_that_were_mailed(
    visitor: Visitors, asking: Browser, link: str, way: Way
) -> None:
    """Whoever had the mailbox or the session before has nothing left."""
    change = {"current": INGRID.password, "password": "noe helt annet nå"}
    assert asking.post("/account/password", change).path == "/account"
    assert visitor(locale="en").get(link).status == 404


def test_confirming_signs_nobody_in_and_whoever_was_in_out(visitor: Visitors, mails: Mails) -> None:
    """A shared machine: the link of one person does not act in the session of another."""
    browser = visitor(locale="en")
    other = Guest(email="en.annen@kunde.example")
    become_customer(browser, mails, other)
    register(visitor(locale="en"))
    assert confirm(browser, mails).path == "/login"
    assert browser.get("/account").path.startswith("/login")


@pytest.mark.requirement(58)
def test_a_new_address_is_confirmed_at_the_new_one_and_told_to_the_old_one(
    visitor: Visitors, mails: Mails
) -> None:
    """Until the link is followed nothing changes; then every session ends."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    before = len(mails.to(EMAIL))
    link = WAYS["new_address"].link(browser, mails)
    assert NEW_EMAIL in browser.get("/account").text
    asked = mails.to(EMAIL)[before:]
    assert len(asked) == 1
    assert "/confirm/" not in text(asked[0])
    assert sign_in(visitor()).path == "/account"
    other = visitor(locale="en")
    assert press_confirm(other, other.get(link)).path == "/login"
    assert len(mails.to(EMAIL)) == before + 2
    assert browser.get("/account").path.startswith("/login")
    assert sign_in(visitor()).status == 422
    assert sign_in(browser, Guest(email=NEW_EMAIL)).path == "/account"


@pytest.mark.requirement(64)
def test_an_address_that_somebody_has_is_not_taken_and_not_told(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """Asking for it looks as for any other; its owner's press gets the neutral page."""
    owner = Guest(email=NEW_EMAIL)
    become_customer(visitor(locale="en"), mails, owner)
    browser = visitor(locale="en")
    become_customer(browser, mails)
    assert WAYS["new_address"].ask(browser).path == "/account"
    before = contents(database, but=("outbox_message", TRIES))
    other = visitor(locale="en")
    page = press_confirm(other, other.get(link_in(mails.last(NEW_EMAIL))))
    assert page.status == 404
    assert contents(database, but=("outbox_message", TRIES)) == before
    assert sign_in(visitor(), owner).path == "/account"
    assert sign_in(visitor()).path == "/account"


def test_a_new_address_takes_the_place_of_a_registration_that_nobody_confirmed(
    app: Flask, visitor: Visitors, database: Database, mails: Mails
) -> None:
    """Who reads the mail has the address: the stranger's registration is erased."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    register(visitor(), Guest(email=NEW_EMAIL, password="en fremmeds passord"))
    strangers = link_in(mails.last(NEW_EMAIL))
    link = WAYS["new_address"].link(browser, mails)
    other = visitor(locale="en")
    assert press_confirm(other, other.get(link)).path == "/login"
    assert visitor(locale="en").get(strangers).status == 404
    assert sign_in(visitor(), Guest(email=NEW_EMAIL)).path == "/account"
    assert (count(database, "account"), count(database, "subject")) == (1, 1)
    erased = [entry for entry in entries(database) if entry.type == "erasure.executed"]
    assert [entry.data["cause"] for entry in erased] == ["replaced"]
    verified = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert verified.exit_code == 0, verified.output


def test_asking_for_the_address_one_has_mails_nobody(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """And an earlier wish is taken back by it."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    link = WAYS["new_address"].link(browser, mails)
    sent = len(mails.all())
    own = {"email": EMAIL.upper(), "password": INGRID.password}
    assert browser.post("/account/email", own).path == "/account"
    assert len(mails.all()) == sent
    assert visitor(locale="en").get(link).status == 404
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        assert accounts.pending_email(session, account) is None


@pytest.mark.requirement(58)
@pytest.mark.parametrize(
    ("filled", "wrong"),
    [
        ({"email": NEW_EMAIL, "password": "galt passord"}, "password"),
        ({"email": NEW_EMAIL, "password": ""}, "password"),
        ({"email": "ingen adresse", "password": INGRID.password}, "email"),
    ],
)
def test_a_new_address_takes_the_password_and_an_address(
    visitor: Visitors, database: Database, mails: Mails, filled: dict[str, str], wrong: str
) -> None:
    """What is wrong is said beside the field, and nothing is asked for."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    before = contents(database, but=(TRIES,))
    page = browser.post("/account/email", filled)
    assert page.status == 422
    assert page.soup.select_one(f"#{wrong}-error")
    assert page.soup.select_one(f'[name=email][value="{filled["email"]}"]')
    assert contents(database, but=(TRIES,)) == before


@pytest.mark.requirement(16, 64)
def test_nobody_confirms_a_strangers_registration_or_choices(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """A stranger who registers the address again, with a yes of their own, gets nothing by its
    owner's click: another browser than the one that registered is asked for the password."""
    owner, stranger = visitor(locale="en"), visitor(locale="en")
    register(owner)
    theirs = Guest(password="en fremmeds passord", choices={"marketing": True})
    register(stranger, theirs)
    page = owner.get(link_in(mails.last(EMAIL)))
    before = contents(database, but=(TRIES,))
    assert press_confirm(owner, page).status == 422
    assert contents(database, but=(TRIES,)) == before
    assert sign_in(stranger, theirs).status == 422


@pytest.mark.requirement(58)
def test_nobody_makes_their_address_a_strangers_by_following_a_mail(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """Somebody asks for an address that is not theirs: its owner's press alone changes nothing."""
    somebody, owner = visitor(locale="en"), visitor(locale="en")
    become_customer(somebody, mails)
    page = owner.get(WAYS["new_address"].link(somebody, mails))
    before = contents(database, but=(TRIES,))
    assert owner.press(page, "/confirm", {"password": "mitt eget passord"}).status == 422
    assert contents(database, but=(TRIES,)) == before
