"""Counting over HTTP, and the page that shows what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from database import Database
from domain.identity.models import Account
from domain.locales import LOCALES
from domain.tips.library import Library
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import Guest, become_customer, sign_in
from tests.support.tables import count
from tests.support.traces import Logged

Visitors = Callable[..., Browser]

pytestmark = [
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
    pytest.mark.usefixtures("clock"),
]
READ, OTHER = "rainy-days", "calmer-mornings"
GPC: dict[str, Any] = {"Sec-GPC": "1"}
STAFF = Guest(email="ansatt@lillemini.example", choices={"analytics": True})


def say(browser: Browser, button: str, **headers: Any) -> Browser:
    """Answer on the page of the visitors' choice."""
    page = browser.get("/consent", **headers)
    browser.submit(page, page.form({}, "/consent"), {}, button=button, **headers)
    return browser


def report(browser: Browser, query: str = "") -> Counter[tuple[str, str]]:
    """The numbers of the first table, by tip and column."""
    table = browser.get(f"/staff/usage{query}").soup.find("table")
    if table is None:
        return Counter()
    columns = [cell.get_text(strip=True) for cell in table.select("thead th")][1:]
    found: Counter[tuple[str, str]] = Counter()
    for row in table.select("tbody tr"):
        name, *numbers = [cell.get_text(strip=True) for cell in row.select("th, td")]
        found.update(
            {
                (name, column): int(number)
                for column, number in zip(columns, numbers, strict=True)
                if number != "–"
            }
        )
    return found


def members(visitor: Visitors, mails: Mails, database: Database) -> tuple[Browser, Browser]:
    """Somebody who works here and said yes, and a member who said no."""
    works, other = visitor(locale="en"), visitor(locale="en", address="192.0.2.77")
    become_customer(works, mails, STAFF)
    become_customer(other, mails, Guest(choices={"analytics": False}))
    with database.transaction() as session:
        session.execute(update(Account).values(staff=True))
    return works, other


@pytest.mark.requirement(19, 28, 31)
def test_the_page_shows_a_recount_of_those_who_said_yes(
    app: Flask, visitor: Visitors, mails: Mails, database: Database
) -> None:
    """Twenty visitors and two members read, finish and answer; some said nothing, some no, some
    send GPC, some take their yes back. The page has everybody else, from five on."""
    works, refused = members(visitor, mails, database)
    for number in range(20):
        browser = visitor(locale="en", address=f"192.0.2.{number}")
        browser.get(f"/tips/{READ}")
        headers: dict[str, Any] = GPC if number in (0, 1) else {}
        if number not in (2, 3):
            say(browser, "refuse" if number in (4, 5, 6) else "accept")
        page = browser.get(f"/tips/{READ}", **headers)
        if number % 2:
            form = page.form({}, f"/tips/{READ}")
            button = "yes" if number in (7, 9, 11, 13, 15) else "no"
            browser.submit(page, form, {}, button=button, **headers)
        if number in (8, 10, 12, 14):
            browser.get(f"/tips/{OTHER}")
        if number in (18, 19):
            say(browser, "refuse")
            browser.get(f"/tips/{OTHER}")
    for browser in (works, refused):
        browser.get(f"/tips/{READ}")
    title = titles(app)[READ]
    # Of the twenty: not 0-6, 18 and 19; and one who works here. Those who answered have finished.
    assert report(works) == {(title, "Read"): 12, (title, "Finished"): 6, (title, "Useful"): 5}
    assert report(works, "?language=nb") == {}
    assert report(works, f"?item={OTHER}&weeks=56") == {}
    works.get(f"/tips/{OTHER}")
    assert report(works, f"?item={OTHER}") == {(titles(app)[OTHER], "Read"): 5}


def titles(app: Flask) -> dict[str, str]:
    """What the tips are called in English."""
    library: Library = app.extensions["tips"]
    return {tip.slug: tip.text["en"].title for tip in library.tips}


def test_who_signs_out_is_counted_by_the_browser_alone(
    visitor: Visitors, mails: Mails, database: Database
) -> None:
    """The account's yes counts while its owner is signed in, whatever the browser's was; to take
    it back there stops it with the same request."""
    browser = visitor()
    become_customer(browser, mails, STAFF)
    browser.get(f"/tips/{READ}")
    assert count(database, "usage_event") == 1
    browser.post("/logout", page=browser.get("/account"))
    browser.get(f"/tips/{OTHER}")
    assert count(database, "usage_event") == 1
    sign_in(browser, STAFF)
    browser.post("/preferences", {"consent-analytics": None})
    assert count(database, "usage_event") == count(database, "usage_key") == 0
    browser.get(f"/tips/{OTHER}")
    assert count(database, "usage_event") == 0


@pytest.mark.requirement(80)
def test_a_page_never_fails_by_being_counted(
    client: Browser, owner: Database, logged: Logged
) -> None:
    """What goes wrong is logged by its class, with nothing of the person."""
    say(client, "accept")
    with owner.transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE usage_event")
    assert client.get(f"/tips/{READ}").status == 200
    (said,) = [one for one in logged if one["event"] == "usage_not_counted"]
    assert said == {
        "event": "usage_not_counted",
        "log_level": "error",
        "error": "OperationalError",
    }


def test_the_page_is_for_those_who_work_here(
    visitor: Visitors, mails: Mails, database: Database
) -> None:
    """Anybody else finds nothing there. In every language, without anything to show, and with a
    question that makes no sense, it is a page."""
    works, other = members(visitor, mails, database)
    with database.transaction() as session:
        session.execute(update(Account).values(staff=False))
    assert other.get("/staff/usage").status == 404
    with database.transaction() as session:
        session.execute(update(Account).values(staff=True))
    for locale in LOCALES:
        page: Page = works.get(f"/staff/usage?lang={locale}&weeks=-1&item=<b>&language=xx")
        assert page.status == 200
        assert "style=" not in page.html
        assert "&lt;b" not in page.html
