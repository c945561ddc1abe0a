"""The account's pages: what is kept, and where each part of it is corrected."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace

import pytest

from database import Database
from domain.consent.permission import Permission, permitted
from domain.identity import accounts
from extensions import now
from tests.support import NOON
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, become_customer
from tests.support.tables import contents, decided

Visitors = Callable[..., Browser]

CORRECTED: Mapping[str, tuple[str, str | None]] = {
    "name": ("Ingrid Å. Testesen", "Ingrid Å. Testesen"),
    "phone": ("906 12 345", "+4790612345"),
    "address": ("Bokhylla 2", "Bokhylla 2"),
    "postal_code": ("SW1A 1AA", "SW1A 1AA"),
    "city": ("Å i Lofoten", "Å i Lofoten"),
}
WRONG = {
    "name": "",
    "phone": "ring meg",
    "address": "g" * 201,
    "postal_code": "<7010>",
    "city": "b" * 101,
    "age": "0",
}


@pytest.fixture
def customer(visitor: Visitors, mails: Mails) -> Browser:
    """Ingrid, signed in, with yes to both."""
    browser = visitor(locale="en")
    choices = {"marketing": True, "analytics": True}
    become_customer(browser, mails, replace(INGRID, choices=choices))
    return browser


def kept(database: Database) -> dict[str, str | None]:
    """What is kept about Ingrid."""
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        return asdict(accounts.person(session, account))


def may(database: Database, purpose: str) -> Permission:
    """Whether a purpose is permitted for Ingrid now."""
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        return permitted(session, account.subject_id, purpose, at=now())


@pytest.mark.parametrize(
    "path", ["/account", "/account/details", "/account/email", "/account/password"]
)
def test_the_account_is_for_who_is_signed_in(visitor: Visitors, path: str) -> None:
    """Everybody else is asked to sign in first."""
    assert visitor().get(path).path.startswith("/login?next=")


@pytest.mark.requirement(56, 58)
def test_the_account_shows_what_is_kept(customer: Browser, database: Database) -> None:
    """Every value that the person told stands on one page."""
    page = customer.get("/account")
    for value in kept(database).values():
        assert value
        assert value in page.text


@pytest.mark.requirement(58)
@pytest.mark.parametrize("name", CORRECTED)
def test_each_field_can_be_corrected(customer: Browser, database: Database, name: str) -> None:
    """The one that was changed changes, and no other."""
    before = kept(database)
    written, stored = CORRECTED[name]
    assert customer.post("/account/details", {name: written}).path == "/account"
    assert kept(database) == {**before, name: stored}
    assert decided(database) == [("given", "analytics"), ("given", "marketing")]


@pytest.mark.requirement(58)
@pytest.mark.parametrize("name", ["phone", "address", "postal_code", "city"])
def test_what_is_optional_can_be_taken_away(
    customer: Browser, database: Database, name: str
) -> None:
    """An emptied field keeps nothing."""
    before = kept(database)
    assert customer.post("/account/details", {name: " "}).path == "/account"
    assert kept(database) == {**before, name: None}


@pytest.mark.requirement(86, 87)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_correction_is_explained_and_what_was_typed_stays(
    customer: Browser, database: Database, name: str
) -> None:
    """Nothing is saved, not even what was right."""
    before = contents(database)
    filled = {"city": "Hamar", name: WRONG[name]}
    page = customer.post("/account/details", filled)
    assert page.status == 422
    assert page.soup.select_one(f"#{name}-error")
    assert page.soup.select_one(f'.summary a[href^="#{name}"]')
    assert page.soup.select_one(f'[name=city][value="{filled["city"]}"]')
    assert contents(database) == before


@pytest.mark.requirement(89)
def test_mails_come_in_the_language_that_was_chosen(customer: Browser, mails: Mails) -> None:
    """The language of mails is a detail like the others."""
    customer.post("/account/details", {"locale": "nn"})
    customer.post("/account/password", {"current": INGRID.password, "password": "et godt ord til"})
    assert mails.last(EMAIL)["Content-Language"] == "nn"


@pytest.mark.requirement(9)
def test_a_lowered_age_ends_the_newsletter_and_nothing_else(
    customer: Browser, database: Database
) -> None:
    """The ledger says that it was invalidated; the higher age brings it back to no life."""
    assert may(database, "marketing") is Permission.PERMITTED
    page = customer.post("/account/details", {"age": "13"})
    assert page.path == "/account"
    assert len(page.soup.select("[role=status] .note")) == 2
    assert may(database, "marketing") is Permission.NOT_GIVEN
    assert may(database, "analytics") is Permission.PERMITTED
    assert ("invalidated", "marketing") in decided(database)
    page = customer.post("/account/details", {"age": "15"})
    assert len(page.soup.select("[role=status] .note")) == 1
    assert may(database, "marketing") is Permission.NOT_GIVEN
    assert len(decided(database)) == 3


def test_saving_the_form_as_it_stands_changes_nothing_that_was_told(
    customer: Browser, database: Database
) -> None:
    """The form shows what is kept, in the words in which it is kept."""
    before = kept(database)
    assert customer.post("/account/details").path == "/account"
    assert kept(database) == before


def test_an_address_that_fails_is_shown_and_taken_back_by_a_link(
    client: Browser, mails: Mails, database: Database
) -> None:
    """Nothing is said of one that works. A link to the address, once followed, is enough; asking
    for one is not."""
    become_customer(client, mails)
    assert not client.get("/account").soup.select(".note.error")
    with database.transaction() as session:
        account = accounts.find(session, EMAIL)
        assert account
        accounts.mark_undeliverable(session, account.subject_id, "5.1.1", at=NOON)
    page = client.get("/account")
    assert page.soup.select(".note.error form")
    page = client.press(page, "/account/email/check")
    assert page.soup.select(".note.error")
    followed = client.get(link_in(mails.last(EMAIL)))
    client.press(followed, "/confirm")
    client.post("/login", {"email": EMAIL, "password": INGRID.password})
    page = client.get("/account")
    assert (page.path, page.soup.select(".note.error")) == ("/account", [])
