"""Registration: one form, one transaction, every decision recorded, and nothing told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from bs4 import Tag
from flask import Flask
from sqlalchemy import event

from database import Database
from domain.consent import presentations
from domain.consent.permission import Permission, permitted
from domain.consent.purposes import PurposeRegister
from domain.identity import accounts
from extensions import now
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, confirm, register
from tests.support.tables import TRIES, contents, decided, entries

Visitors = Callable[..., Browser]

BOXES = ("consent-marketing", "consent-analytics")
WRONG: Mapping[str, tuple[str, str | None]] = {
    "no name": ("name", ""),
    "a blank name": ("name", "   "),
    "a long name": ("name", "N" * 201),
    "no address": ("email", ""),
    "no at": ("email", "ingrid.kunde.example"),
    "two addresses": ("email", "a@kunde.example, b@kunde.example"),
    "a line break": ("email", "a@kunde.example\nBcc: b@kunde.example"),
    "a long address": ("email", f"{'i' * 60}@{'k' * 200}.example"),
    "no password": ("password", ""),
    "a short password": ("password", "sju tgn"),
    "a long password": ("password", "p" * 257),
    "a common password": ("password", "password1"),
    "the name as password": ("password", "haugland-testesen"),
    "no age": ("age", None),
    "another age": ("age", "14"),
    "no number": ("age", "old"),
    "no phone": ("phone", "12"),
    "a phone with words": ("phone", "ring meg"),
    "a long street": ("address", "g" * 201),
    "no postal code": ("postal_code", "7010<"),
    "a long postal code": ("postal_code", "7" * 13),
    "a long city": ("city", "b" * 101),
    "terms left": ("terms", None),
}


def subject_of(database: Database, email: str = EMAIL) -> UUID:
    """The subject behind an address."""
    with database.reading() as session:
        account = accounts.find(session, email)
    assert account
    return account.subject_id


def field(page: Page, name: str) -> Tag:
    """A control of the page."""
    found = page.soup.select_one(f'[name="{name}"]')
    assert found, f"{page.path} has no field {name}"
    return found


def typed(page: Page) -> dict[str, str]:
    """What stands in the text fields."""
    names = ("name", "email", "phone", "address", "postal_code", "city")
    return {name: str(field(page, name).get("value", "")) for name in names}


def ticked(page: Page) -> list[str]:
    """The consents that are ticked."""
    return [name for name in BOXES if field(page, name).has_attr("checked")]


def normal(page: Page) -> str:
    """The page without what is random in it."""
    return re.sub(r'(nonce|value)="[^"]{16,}"', r'\1="…"', page.html)


@pytest.mark.requirement(10)
def test_a_fresh_form_is_empty_and_nothing_is_ticked(visitor: Visitors) -> None:
    """No box is on before the person has touched it."""
    page = visitor(locale="en").get("/register")
    assert page.status == 200
    assert not page.soup.select("main [checked]")
    assert set(typed(page).values()) == {""}


@pytest.mark.requirement(11, 14)
@pytest.mark.parametrize("marketing", [True, False])
@pytest.mark.parametrize("analytics", [True, False])
def test_each_combination_of_choices_is_recorded(
    visitor: Visitors, database: Database, marketing: bool, analytics: bool
) -> None:
    """A ticked box is given, an empty one refused, each for itself and each in the ledger."""
    choices = {"marketing": marketing, "analytics": analytics}
    page = register(visitor(locale="en"), replace(INGRID, choices=choices))
    assert (page.status, page.path) == (200, "/register/sent")
    words = {True: "given", False: "refused"}
    assert decided(database) == sorted((words[yes], one) for one, yes in choices.items())
    opened, *consents = entries(database)
    assert opened.type == "account.opened"
    assert opened.data["declared_age"] == 15
    assert {entry.data["surface"] for entry in consents} == {"register"}
    assert {entry.data["locale"] for entry in consents} == {"en"}


@pytest.mark.requirement(2)
def test_phone_and_address_may_stay_empty(visitor: Visitors, database: Database) -> None:
    """Name, address, password and age are enough."""
    guest = replace(INGRID, phone="", address="", postal_code="", city="")
    assert register(visitor(locale="en"), guest).path == "/register/sent"
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        assert accounts.person(session, account) == accounts.Person(INGRID.name, EMAIL)


@pytest.mark.requirement(9)
def test_under_the_age_of_registration_nothing_is_stored(
    visitor: Visitors, database: Database
) -> None:
    """Whoever says that they are too young leaves no row in any table."""
    child = visitor(locale="en")
    before = contents(database)
    page = register(child, replace(INGRID, age="0", choices={"analytics": True}))
    assert page.status == 422
    assert page.soup.select_one("#age-error")
    assert contents(database) == before


@pytest.mark.requirement(9)
def test_a_young_person_is_refused_the_newsletter_at_its_box(
    visitor: Visitors, database: Database
) -> None:
    """At 13 the ticked newsletter is explained beside its box, and nothing is stored."""
    young = visitor(locale="en")
    before = contents(database)
    page = register(young, replace(INGRID, age="13", choices={"marketing": True}))
    assert page.status == 422
    assert page.soup.select_one("#consent-marketing-error")
    assert page.soup.select_one('.summary a[href="#consent-marketing"]')
    assert contents(database) == before


@pytest.mark.requirement(9)
def test_a_young_person_opens_an_account_without_an_entry_about_the_newsletter(
    visitor: Visitors, database: Database
) -> None:
    """The newsletter was not offered to them, so its empty box says nothing."""
    guest = replace(INGRID, age="13", choices={"analytics": True})
    assert register(visitor(locale="en"), guest).path == "/register/sent"
    assert decided(database) == [("given", "analytics")]


@pytest.mark.requirement(16)
def test_the_newsletter_waits_for_the_confirmed_address(
    visitor: Visitors, database: Database, mails: Mails, clock: time_machine.Traveller
) -> None:
    """A yes permits nothing until the owner of the address has shown that they read its mail."""
    browser = visitor(locale="en")
    register(browser, replace(INGRID, choices={"marketing": True}))

    def answer() -> Permission:
        with database.reading() as session:
            return permitted(session, subject_of(database), "marketing", at=now())

    assert answer() is Permission.UNCONFIRMED_ADDRESS
    confirm(browser, mails)
    assert answer() is Permission.PERMITTED


@pytest.mark.requirement(86, 87)
@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_explained_and_kept(
    visitor: Visitors, database: Database, case: str
) -> None:
    """The message stands beside the field and in the summary; nothing typed is lost but the
    password, and nothing is stored."""
    name, value = WRONG[case]
    browser = visitor(locale="en")
    before = contents(database)
    guest = replace(INGRID, choices={"analytics": True})
    filled: dict[str, str | bool | None] = {**guest.form(), name: value}
    page = browser.post("/register", filled)
    assert page.status == 422
    error = page.soup.select_one(f"#{name}-error")
    assert error
    assert error.find_parent(class_="wrong")
    summary = page.soup.select_one(f'.summary a[href^="#{name}"]')
    assert summary
    assert " ".join(summary.get_text().split()) == " ".join(error.get_text().split())
    assert page.soup.select_one(str(summary["href"])), "the summary leads to the field"
    # A line break cannot be typed into the field, and a browser takes it out of its value.
    expected = {one: str(filled[one]).strip() for one in typed(page)}
    assert typed(page) == expected
    assert not field(page, "password").get("value")
    assert ticked(page) == ["consent-analytics"]
    assert contents(database) == before


def _signed(app: Flask, surface: str) -> str:
    with app.extensions["database"].reading() as session:
        document = presentations.current(session, surface, "en", at=now())
        return presentations.token(session, document, at=now())


@pytest.mark.requirement(45)
@pytest.mark.parametrize("case", ["missing", "forged", "old", "of another surface", "superseded"])
def test_a_form_that_does_not_show_the_current_words_records_nothing(
    app: Flask,
    visitor: Visitors,
    database: Database,
    register: PurposeRegister,
    clock: time_machine.Traveller,
    case: str,
) -> None:
    """The current words are shown with empty boxes and why, and answering those works."""
    browser = visitor(locale="en")
    page = browser.get("/register")
    token = field(page, "presentation")
    if case == "missing":
        token.decompose()
    elif case == "forged":
        token["value"] = str(token["value"])[::-1]
    elif case == "of another surface":
        token["value"] = _signed(app, "preferences")
    elif case == "old":
        clock.shift(timedelta(hours=12, seconds=1))
    else:
        marketing = replace(register.purposes["marketing"], version=2)
        app.extensions["database"].info["purposes"] = replace(
            register, purposes={**register.purposes, "marketing": marketing}
        )
    before = contents(database)
    guest = replace(INGRID, choices={"marketing": True, "analytics": True})
    page = browser.post("/register", guest.form(), page=page)
    assert page.status == 422
    assert page.soup.select_one(".summary li")
    assert ticked(page) == []
    assert typed(page)["name"] == INGRID.name
    assert contents(database) == before
    again: dict[str, str | bool | None] = {"password": INGRID.password, "consent-marketing": True}
    assert browser.post("/register", again, page=page).path == "/register/sent"
    assert decided(database) == [("given", "marketing"), ("refused", "analytics")]


def test_a_form_stays_good_for_twelve_hours(
    visitor: Visitors, clock: time_machine.Traveller
) -> None:
    """A form that was open over a long day can still be sent."""
    clock.shift(timedelta(days=2))  # in the night before, the newest notice came into force
    browser = visitor(locale="en")
    page = browser.get("/register")
    clock.shift(timedelta(hours=11, minutes=59))
    assert browser.post("/register", INGRID.form(), page=page).path == "/register/sent"


@pytest.mark.requirement(45, 89)
def test_the_words_that_were_answered_are_recorded_when_the_language_changed_meanwhile(
    visitor: Visitors, database: Database
) -> None:
    """An English form that is sent after the reader turned to nynorsk was read in English."""
    browser = visitor(locale="en")
    page = browser.get("/register")
    browser.get("/?lang=nn")
    browser.post("/register", INGRID.form(), page=page)
    opened, *consents = entries(database)
    assert opened.data["locale"] == "nn"
    assert {entry.data["locale"] for entry in consents} == {"en"}


STEPS = (
    "domain.rights.settling.later",
    "domain.rights.erasure.pad",
    "domain.subjects.service.open_subject",
    *(f"domain.subjects.recording.row/{entry}" for entry in (1, 2, 3)),
    *(f"domain.identity.vault.seal_field/{field}" for field in (1, 2)),
    "domain.consent.decisions.record",
    "domain.consent.presentations.store",
    "domain.identity.signed_links.issue",
    "domain.delivery.outbox.post",
)
# Where rows are written, and how often: padding, the account's opening, the decisions.
WRITTEN = {
    "subject": 1,
    "account": 1,
    "ledger_entry": 3,
    "ledger_pending": 3,
    "entry_link": 2,
    "current_decision": 1,
    "presentation": 1,
    "signed_link": 1,
    "outbox_message": 2,
}


@pytest.mark.requirement(13)
@pytest.mark.parametrize("step", STEPS)
def test_account_entries_and_mail_come_together_or_not_at_all(
    visitor: Visitors, database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whatever fails on the way, there is neither account nor subject, entry, link or mail."""
    target, _, nth = step.partition("/")
    module, _, name = target.rpartition(".")
    real = getattr(__import__(module, fromlist=[name]), name)
    calls = []

    def failing(*args: object, **values: object) -> object:
        calls.append(name)
        if len(calls) == int(nth or 1):
            raise RuntimeError("injected")
        return real(*args, **values)

    browser = visitor(locale="en")
    before = contents(database, but=(TRIES,))
    monkeypatch.setattr(target, failing)
    assert register(browser).status == 500
    assert len(calls) == int(nth or 1)
    assert contents(database, but=(TRIES,)) == before


@pytest.mark.requirement(13)
@pytest.mark.parametrize(
    ("table", "nth"),
    [(table, nth) for table, times in WRITTEN.items() for nth in range(1, times + 1)],
)
def test_each_table_is_written_with_all_the_others_or_not_at_all(
    visitor: Visitors, database: Database, app: Flask, table: str, nth: int
) -> None:
    """The statement that writes to it fails, each time there is one: nothing of the rest stays."""
    engine, met = app.extensions["database"].engine, []

    def before_each(_: object, __: object, statement: str, *___: object) -> None:
        if re.search(rf"INSERT INTO {table}\b", statement):
            met.append(statement)
            if len(met) == nth:
                raise RuntimeError("injected")

    browser = visitor(locale="en")
    page, before = browser.get("/register"), contents(database, but=(TRIES,))
    event.listen(engine, "before_cursor_execute", before_each)
    try:
        assert browser.post("/register", INGRID.form(), page=page).status == 500
    finally:
        event.remove(engine, "before_cursor_execute", before_each)
    assert len(met) == nth
    assert contents(database, but=(TRIES,)) == before
