"""«Ditt personvern»: everything on one page, a button for each right, and what an erasure takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from flask import Flask
from time_machine import Traveller

from database import Database
from domain.accounting import records
from domain.accounting.invoices import Invoice
from domain.consent.permission import Permission, permitted
from domain.identity import accounts
from domain.locales import LOCALES
from domain.rights import holds
from domain.rights.inventory import INVENTORY
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from extensions import now
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, become_customer, sign_in

pytestmark = pytest.mark.usefixtures("clock")

Visitors = Callable[..., Browser]
PAGE = "/account/privacy"
INVOICE = Invoice(
    number="2026-0017",
    day=date(2026, 11, 22),
    currency="NOK",
    amount=124_900,
    vat=24_980,
    item="Abonnement",
    buyer_name=INGRID.name,
    buyer_address="Prøvegata 17, 7010 Grautvika",
)


@pytest.fixture
def ingrid(visitor: Visitors, mails: Mails) -> Browser:
    """A customer with a yes to both, signed in, who reads English."""
    browser = visitor(locale="en")
    choices = {"marketing": True, "analytics": True}
    become_customer(browser, mails, replace(INGRID, choices=choices))
    return browser


@pytest.fixture
def subject_id(ingrid: Browser, database: Database) -> UUID:
    """Who she is to the database."""
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        return account.subject_id


def links(page: Page, within: str = "main") -> list[str]:
    """Where the links of a part of the page lead."""
    found = [urlsplit(str(one["href"])) for one in page.soup.select(f"{within} a[href]")]
    return [f"{one.path}?{one.query}" if one.query else one.path for one in found]


def ask(browser: Browser, kind: str) -> Page:
    """Ask for something that takes the password."""
    return browser.post(f"/requests/new?kind={kind}", {"password": INGRID.password})


def section(page: Page, name: str) -> str:
    """The words of one section."""
    part = page.soup.select_one(f"main section[aria-labelledby={name}]")
    return " ".join(part.get_text(" ").split()) if part else ""


def test_it_is_for_who_is_signed_in(visitor: Visitors) -> None:
    """Everybody else is asked to sign in first, and comes back to it."""
    assert visitor().get(PAGE).path == "/login?next=%2Faccount%2Fprivacy"


@pytest.mark.requirement(53, 55, 60, 63)
def test_each_right_is_two_clicks_from_the_account(ingrid: Browser) -> None:
    """Account, privacy page, form: no reason is asked of who wants a copy, and nobody is led
    through a complaint to the authority."""
    assert PAGE in links(ingrid.get("/account"))
    page = ingrid.get(PAGE)
    offered = links(page)
    assert "/account/details" in offered
    for kind in set(RequestKind) - {RequestKind.RECTIFICATION}:
        assert f"/requests/new?kind={kind}" in offered
        form = ingrid.get(f"/requests/new?kind={kind}")
        assert form.status == 200
        assert form.soup.select_one("main form[method=post] button")
    hosts = {urlsplit(str(one["href"])).hostname for one in page.soup.select("main a[href]")}
    assert "www.datatilsynet.no" in hosts
    assert "You do not have to" in section(page, "complaint")


@pytest.mark.requirement(3, 56, 61)
def test_it_shows_what_is_kept_why_by_whom_and_until_when(
    ingrid: Browser, subject_id: UUID, app: Flask
) -> None:
    """Every holding stands there, with its values or as empty; the values are the person's own."""
    page = ingrid.get(PAGE)
    kept = section(page, "kept")
    told = (INGRID.name, INGRID.email, INGRID.address, INGRID.postal_code, INGRID.city)
    for value in (*told, "+4741234567", "contract with you", "From you"):
        assert value in kept
    parts = page.soup.select("section[aria-labelledby=kept] h3")
    empty = page.soup.select("section[aria-labelledby=kept] h3:last-of-type + ul li")
    assert len(parts) - 1 + len(empty) == len(INVENTORY)
    assert all(one.get_text(strip=True) for one in (*parts, *empty))
    for processor in app.extensions["processors"]:
        assert processor.name in section(page, "recipients")
    assert section(page, "choices").count("You said yes") == 2
    assert "Nothing: no request is open" in section(page, "now")


@pytest.mark.requirement(60, 61)
def test_a_restriction_stands_there_and_ends_with_one_button(
    ingrid: Browser, subject_id: UUID, database: Database
) -> None:
    """Since when, what it means, who was told; and afterwards what was permitted is again."""
    ingrid.post("/requests/new?kind=restriction")
    page = ingrid.get(PAGE)
    assert "restricted" in section(page, "now")
    assert "That your data is restricted" in section(page, "recipients")
    with database.reading() as session:
        now_ = permitted(session, subject_id, "analytics", at=now())
    assert now_ is Permission.RESTRICTED
    page = ingrid.press(page, "/requests/lift")
    assert page.path == PAGE
    assert "Nothing: no request is open" in section(page, "now")
    with database.reading() as session:
        assert permitted(session, subject_id, "analytics", at=now()) is Permission.PERMITTED


@pytest.mark.requirement(54, 81)
def test_what_is_open_stands_there_with_the_day_of_its_answer(
    ingrid: Browser, subject_id: UUID, database: Database
) -> None:
    """And what is closed below it; and when somebody of the staff looked, and why."""
    ingrid.post("/requests/new?kind=enquiry", {"words": "What do you know?"})
    ingrid.post("/requests/new?kind=objection", {"about": "marketing"})
    with database.transaction() as session:
        viewed = {"holdings": ["account"], "purpose": "answering"}
        subjects.record(session, subject_id, "staff.viewed", viewed, at=now())
    page = ingrid.get(PAGE)
    shown = section(page, "now")
    assert "22 December 2026" in shown
    assert shown.index("Question") < shown.index("Closed requests") < shown.rindex("Objection")
    references = [one for one in links(page) if one.startswith("/requests/") and "-" in one]
    assert len(references) == 2
    assert ingrid.get(references[0]).status == 200
    assert "to answer you" in section(page, "recipients")
    assert "What do you know?" in section(page, "kept")
    assert section(page, "choices").count("You said yes") == 1


@pytest.mark.requirement(59, 63, 74)
def test_the_erasure_page_asks_once_and_neutrally(ingrid: Browser) -> None:
    """One button, nothing to fill in, nothing chosen beforehand; a way back beside it."""
    page = ask(ingrid, "erasure")
    (form,) = [one for one in page.forms() if one.find_parent("main")]
    assert [one["value"] for one in form.select("button")] == ["now"]
    assert not form.select("input:not([type=hidden]), textarea, select")
    assert links(page).count("/") == 1
    gone = section(page, "goes")
    assert "Your account: name" in gone
    assert "Invoices" not in gone
    assert "for 3 years" in section(page, "stays")
    assert not section(page, "later"), "she never paid, and nothing is held"


@pytest.mark.requirement(59)
def test_what_stays_for_a_time_is_said_with_why_and_until_when(
    ingrid: Browser, subject_id: UUID, database: Database, accounting: Database
) -> None:
    """A hold and an invoice: on the page before erasing, and on the privacy page."""
    with accounting.transaction() as session:
        records.add(session, subject_id, INVOICE, at=now())
    with database.transaction() as session:
        until, names = date(2027, 5, 3), ("case_texts",)
        holds.place(session, subject_id, "legal_claim", "Sak 17", names, until, at=now())
    page = ask(ingrid, "erasure")
    later = section(page, "later")
    assert "What you have written to us" in later
    assert "3 May 2027" in later
    assert "31 December 2031" in later
    assert "What you have written to us" not in section(page, "goes")
    assert "ties the consent ledger" not in section(page, "goes"), "without it nothing is read"
    page = ingrid.get(PAGE)
    assert "3 May 2027" in section(page, "now")
    assert "31 December 2031" in section(page, "kept")
    assert INVOICE.number in section(page, "kept")


@pytest.mark.requirement(59)
def test_where_the_books_cannot_be_seen_the_pages_say_so(ingrid: Browser, app: Flask) -> None:
    """Not “nothing”, which would be a guess."""
    app.extensions["database"].info["accounting"] = None
    assert "cannot look into the books" in section(ask(ingrid, "erasure"), "later")
    assert "where this page cannot look" in section(ingrid.get(PAGE), "kept")


@pytest.mark.requirement(75)
def test_an_erasure_that_waits_can_be_called_off_or_done_now(
    ingrid: Browser, app: Flask, clock: Traveller
) -> None:
    """With a time of grace both buttons stand side by side; the privacy page has the way back."""
    settings = app.extensions["settings"]
    app.extensions["settings"] = replace(settings, erasure_grace=timedelta(hours=24))
    page = ask(ingrid, "erasure")
    (form,) = [one for one in page.forms() if one.find_parent("main")]
    buttons = form.select("button")
    assert [one["value"] for one in buttons] == ["later", "now"]
    assert "24 hours" in buttons[0].get_text()
    assert buttons[0]["class"] == buttons[1]["class"]
    ingrid.submit(page, form, {"action": "later"})
    assert ingrid.get(PAGE).path.startswith("/login"), "signed out at once"
    sign_in(ingrid)
    page = ingrid.get(PAGE)
    assert "23 November 2026" in section(page, "now")
    assert "/requests/new?kind=erasure" in links(page, "section[aria-labelledby=now]")
    (form,) = [one for one in page.forms() if one.select("[value=keep]")]
    page = ingrid.submit(page, form, {"action": "keep"})
    assert "Nothing is erased" in page.text
    assert "Taken back by you" in section(ingrid.get(PAGE), "now")


@pytest.mark.requirement(89, 90)
def test_the_page_is_the_same_in_each_language(ingrid: Browser) -> None:
    """The same sections, links and buttons."""
    shapes = set()
    for locale in LOCALES:
        page = ingrid.get(f"{PAGE}?lang={locale}")
        assert page.soup.html
        assert page.soup.html["lang"] == locale
        headings = tuple(one.name for one in page.soup.select("main h1, main h2, main h3"))
        ids = tuple(str(one["id"]) for one in page.soup.select("main [id]"))
        shapes.add((headings, ids, tuple(links(page))))
    assert len(shapes) == 1


@pytest.mark.requirement(89)
def test_another_language_keeps_what_is_asked_for(client: Browser) -> None:
    """The switcher leads to the same form; what a stranger put in the address is gone."""
    for kind in RequestKind:
        page = client.get(f"/requests/new?kind={kind}&x=<b>")
        (other,) = page.soup.select(".languages a[hreflang=en]")
        assert other["href"] == f"?kind={kind}&lang=en"
    page = client.get("/requests/new?kind=<b>")
    assert page.soup.select(".languages a[href='?lang=en']")
