"""People who were brought here from another controller, before and when they come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine

from database import Database
from domain.identity import accounts, correspondents
from domain.identity.accounts import Person
from domain.rights import arriving
from extensions import now
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, INGRID, PASSWORD, Guest, register, sign_in
from tests.support.tables import count

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]


@pytest.fixture
def brought(clock: time_machine.Traveller, app: object, database: Database) -> None:
    """Ingrid, as she was elsewhere; nobody has come yet."""
    with database.transaction() as session:
        person = Person(name=INGRID.name, email=EMAIL)
        account = accounts.bring(session, person, locale="nb", declared_age=20, at=now())
        arriving.invite(session, account, at=now())


@pytest.mark.requirement(64)
@pytest.mark.usefixtures("brought")
def test_who_registers_the_address_takes_nothing_from_who_was_brought_here(
    visitor: Visitor, database: Database, mails: Mails, clock: time_machine.Traveller
) -> None:
    """The log grows as it does for a stranger's address, the answer is the same, and the mail has
    the link to come by once more, for the days that are left."""
    first = link_in(mails.last(EMAIL))
    clock.shift(timedelta(days=2))
    grown, pages = [], []
    for email in (EMAIL, "ukjent@kunde.example"):
        before = count(database, "ledger_entry")
        pages.append(register(visitor(), Guest(email=email)))
        grown.append(count(database, "ledger_entry") - before)
    assert grown[0] == grown[1]
    assert (pages[0].status, pages[0].path) == (pages[1].status, pages[1].path)
    mail = mails.last(EMAIL)
    assert "5 " in text(mail)
    browser = visitor()
    assert browser.get(first).status == 404
    page = browser.get(link_in(mail))
    browser.press(page, "/password/reset", {"password": PASSWORD, "terms": True})
    assert sign_in(browser).path == "/account"
    assert count(database, "account") == 2


@pytest.mark.requirement(56, 59)
@pytest.mark.usefixtures("brought")
def test_what_was_written_before_is_theirs_when_they_come(
    visitor: Visitor, database: Database, mails: Mails
) -> None:
    """Otherwise their erasure would leave it."""
    link = link_in(mails.last(EMAIL))
    visitor().post("/requests/new?kind=enquiry", {"email": EMAIL, "words": "Kven er Bulbasaur?"})
    mails.deliver()
    with database.reading() as session:
        assert correspondents.find(session, EMAIL) is not None
    browser = visitor()
    page = browser.get(link)
    browser.press(page, "/password/reset", {"password": PASSWORD, "terms": True})
    with database.reading() as session:
        assert correspondents.find(session, EMAIL) is None
    assert count(database, "request_text") == 1
