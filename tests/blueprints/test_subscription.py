"""The subscription on the account's pages: shown, ended, and the day on which the account goes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import pytest
from time_machine import Traveller

from database import Database
from domain.identity import accounts, subscriptions
from extensions import now
from tests.support.browser import Browser
from tests.support.mails import Mails, receipts_in, text
from tests.support.people import EMAIL, become_customer
from tests.support.tables import contents, entries

pytestmark = pytest.mark.usefixtures("clock")

Visitors = Callable[..., Browser]
PAGE = "/account/subscription"


@pytest.fixture
def ingrid(visitor: Visitors, mails: Mails) -> Browser:
    """A person with an account, signed in."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    return browser


@pytest.fixture
def subject_id(ingrid: Browser, database: Database) -> UUID:
    """Who she is to the database."""
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        return account.subject_id


def subscribe(database: Database, subject_id: UUID, on: date = date(2026, 2, 1)) -> None:
    """Let a subscription run since that day."""
    with database.transaction() as session:
        subscriptions.start(session, subject_id, on=on, at=now())


def test_who_never_subscribed_sees_nothing_of_it(ingrid: Browser) -> None:
    """No section, no link, and the address leads back to the account."""
    assert ingrid.get(PAGE).path == "/account"
    page = ingrid.get("/account")
    assert not page.soup.select("#subscription")
    assert not page.soup.select(f'a[href="{PAGE}"]')


@pytest.mark.requirement(3, 32, 74)
def test_one_button_ends_it_and_the_page_said_what_comes_of_that(
    ingrid: Browser, subject_id: UUID, database: Database, mails: Mails
) -> None:
    """Opening the page changes nothing; it asks for no reason; afterwards account, page and mail
    name the same day, six months on."""
    subscribe(database, subject_id)
    assert "1 February 2026" in ingrid.get("/account").text
    before = contents(database)
    page = ingrid.get(PAGE)
    assert contents(database) == before
    for said in ("22 November 2026", "22 May 2027", "6 months", "30 days"):
        assert said in page.text
    assert not page.soup.select("main input:not([type=hidden]), main textarea, main select")
    assert len(page.soup.select("main form button")) == 1
    page = ingrid.press(page, PAGE)
    assert page.path == "/account"
    assert "22 May 2027" in page.text
    assert not page.soup.select(f'a[href="{PAGE}"]')
    assert "22 May 2027" in ingrid.get("/account/privacy").text
    (ended,) = [one for one in entries(database) if one.type == "subscription.ended"]
    assert ended.data == {"ended_on": "2026-11-22"}
    mail = mails.last(EMAIL)
    for said in ("22 November 2026", "22 May 2027", "/account/privacy", "Subscription ended"):
        assert said in text(mail)
    assert len(receipts_in(mail)) == 1


def test_pressing_twice_ends_it_once(
    ingrid: Browser, subject_id: UUID, database: Database, mails: Mails
) -> None:
    """A second press from an old page leads to the account, and no second mail goes out."""
    subscribe(database, subject_id)
    page = ingrid.get(PAGE)
    ingrid.press(page, PAGE)
    sent = len(mails.all())
    assert ingrid.press(page, PAGE).path == "/account"
    assert len(mails.all()) == sent
    assert [one.type for one in entries(database)].count("subscription.ended") == 1


def test_what_has_not_begun_ends_on_the_day_it_would_have(
    ingrid: Browser, subject_id: UUID, database: Database
) -> None:
    """There is no subscription that ends before it starts."""
    subscribe(database, subject_id, date(2026, 12, 24))
    ingrid.press(ingrid.get(PAGE), PAGE)
    with database.reading() as session:
        (one,) = subscriptions.of_subject(session, subject_id)
    assert one.ended_on == date(2026, 12, 24)


@pytest.mark.requirement(51)
def test_a_new_one_stops_the_clock(
    ingrid: Browser, subject_id: UUID, database: Database, clock: Traveller
) -> None:
    """The account does not say any more that it goes, and the new one can be ended."""
    subscribe(database, subject_id)
    ingrid.press(ingrid.get(PAGE), PAGE)
    clock.shift(timedelta(minutes=5))
    subscribe(database, subject_id, date(2026, 11, 22))
    page = ingrid.get("/account")
    assert "2027" not in page.text
    assert page.soup.select(f'a[href="{PAGE}"]')
