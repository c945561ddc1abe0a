"""The visitors' choice and the account beside it: sign-up, sign-in, and whose answer counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from database import Database
from tests.blueprints.visiting import GPC, Visitors, asks, box, choose, counted
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import INGRID, become_customer, confirm, register, sign_in
from tests.support.tables import count, decided, entries

pytestmark = pytest.mark.usefixtures("clock")


@pytest.mark.requirement(10, 29)
@pytest.mark.parametrize(("button", "ticked"), [("accept", True), ("refuse", False)])
def test_signing_up_shows_and_links_the_earlier_choice(
    client: Browser, database: Database, mails: Mails, button: str, ticked: bool
) -> None:
    """It is ticked only where the yes was said in this browser; the ledger ties the visitor's entry
    to the account, and the person can choose otherwise before sending."""
    choose(client, button)
    page = client.get("/register?lang=en")
    assert box(client, "/register") == ticked
    (earlier,) = page.soup.select(".consent .state")
    assert "The number of that entry" in earlier.get_text(), "also of a no"
    client.post("/register", INGRID.form(), page=page)
    (own,) = [one for one in entries(database) if one.data.get("surface") == "visitor"]
    (linked,) = [one for one in entries(database) if one.type == "visitor.linked"]
    assert linked.data == {"purpose": "analytics", "entry": own.id}
    at_sign_up = [one for one in entries(database) if one.data.get("surface") == "register"]
    state = {one.data["purpose"]: one.type for one in at_sign_up}["analytics"]
    assert state == ("consent.given" if ticked else "consent.refused")
    confirm(client, mails)
    sign_in(client)
    assert counted(client, database) == ticked


@pytest.mark.requirement(10)
def test_signing_up_elsewhere_or_with_the_signal_ticks_nothing(visitor: Visitors) -> None:
    """Another browser knows nothing of the yes, and the signal takes it back."""
    browser = visitor()
    choose(browser, "accept")
    assert not box(visitor(), "/register")
    assert not box(browser, "/register", **GPC)
    unticked = {**INGRID.form(), "consent-analytics": False}
    browser.post("/register", unticked)
    assert browser.cookie("counting") is None, "unticked there, it is a no here"


@pytest.mark.requirement(64)
def test_a_linked_choice_does_not_tell_whether_the_address_is_known(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """The log grows by as much for a customer's address as for any other, and nothing is linked."""
    become_customer(visitor(), mails)
    grown = {}
    for email in (INGRID.email, "nobody@kunde.example"):
        browser = visitor()
        choose(browser, "accept")
        before = count(database, "ledger_entry")
        register(browser, replace(INGRID, email=email))
        grown[email] = count(database, "ledger_entry") - before
    assert len(set(grown.values())) == 1, grown
    assert [one.type for one in entries(database)].count("visitor.linked") == 1


@pytest.mark.requirement(33)
@pytest.mark.parametrize("account", [True, False])
def test_signed_in_the_account_counts_and_signed_out_the_browser(
    visitor: Visitors, database: Database, mails: Mails, account: bool
) -> None:
    """The two say different things, on two devices, in two languages: page, ledger and what is
    counted agree each time, and signing in tells whose word it is."""
    phone, desk = visitor(locale="nn"), visitor(locale="en")
    guest = replace(INGRID, choices={"analytics": account})
    register(phone, guest)
    confirm(phone, mails, guest)
    choose(desk, "refuse" if account else "accept", "/tips?lang=nb")
    before = decided(database)
    assert counted(desk, database) != account
    assert box(desk, "/consent") != account
    page = sign_in(desk, guest)
    assert len(page.soup.select("[role=status] .note.info")) == 1
    assert not asks(desk)
    assert counted(desk, database) == account
    assert box(desk, "/preferences") == account
    (note,) = desk.get("/consent?lang=en").soup.select("main div.note strong")
    assert note.get_text() == ("yes" if account else "no")
    assert decided(database) == before, "looking and signing in decide nothing"
    desk.press(desk.get("/"), "/logout")
    assert counted(desk, database) != account, "signed out, the browser's own counts again"
    sign_in(phone, guest)
    assert counted(phone, database) == account


@pytest.mark.requirement(31, 33)
def test_a_yes_of_the_account_does_not_count_with_the_signal_until_it_is_said_with_it(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """The pages say so. Saving something else beside it is no such word; the box for it is."""
    browser = visitor(locale="en")
    become_customer(browser, mails, replace(INGRID, choices={"analytics": True}))
    for path, words in (("/preferences", "main .state"), ("/consent", "main div.note strong")):
        heard, silenced = (browser.get(path, **headers) for headers in ({}, GPC))
        assert silenced.soup.select(words) != heard.soup.select(words), path
    assert counted(browser, database)
    assert not counted(browser, database, **GPC)
    for own, counts in (({"consent-marketing": True}, False), ({"despite": True}, True)):
        browser.post("/preferences", own, page=browser.get("/preferences", **GPC), **GPC)
        assert counted(browser, database, **GPC) == counts
    assert not browser.get("/preferences", **GPC).soup.select("#despite")
    (note,) = browser.get("/consent", **GPC).soup.select("main div.note strong")
    assert note.get_text() == "yes"


@pytest.mark.requirement(28, 33)
def test_a_no_in_the_account_ends_the_yes_of_the_browser_and_a_yes_nothing(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """The last thing that was said in this browser was no; another browser's yes is its own."""
    here, there = visitor(), visitor()
    for browser in (here, there):
        choose(browser, "accept")
    become_customer(here, mails, replace(INGRID, choices={"analytics": True}))
    here.post("/preferences", {"consent-analytics": False})
    assert here.cookie("counting") is None
    withdrawn = [one for one in entries(database) if one.type == "consent.withdrawn"]
    assert [one.data["surface"] for one in withdrawn] == ["preferences", "preferences"]
    here.post("/preferences", {"consent-analytics": True})
    here.press(here.get("/"), "/logout")
    assert not counted(here, database)
    assert not box(here, "/consent")
    assert counted(there, database)


@pytest.mark.requirement(14, 17)
def test_a_deleted_cookie_is_no_choice_and_a_new_one_is_asked_for(
    client: Browser, database: Database
) -> None:
    """Nothing is counted by the mark alone, and a new yes takes away what it found."""
    choose(client, "accept")
    mark = client.cookie("counting")
    assert counted(client, database)
    client.forget("choice")
    assert asks(client)
    assert not counted(client, database)
    choose(client, "accept", "/")
    assert client.cookie("counting") != mark
    assert count(database, "usage_key") == 1
    assert count(database, "usage_event") == 0


@pytest.mark.requirement(28, 33)
def test_cookies_from_before_a_withdrawal_bring_no_yes_back(
    client: Browser, database: Database
) -> None:
    """Put back from a copy of the browser they count for nothing, no page takes them for a yes, and
    a new yes is a new entry."""
    choose(client, "accept")
    kept = {name: client.cookie(name) or "" for name in ("choice", "counting")}
    choose(client, "refuse", "/consent")
    for name, value in kept.items():
        client.keep(name, value)
    assert not counted(client, database)
    assert not box(client, "/consent")
    assert not box(client, "/register")
    choose(client, "accept", "/consent")
    assert counted(client, database)
    assert [state for state, _ in decided(database)] == ["given", "given", "withdrawn"]
