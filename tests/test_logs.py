"""Logs: whatever people do and whatever fails, they say nothing about anybody."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask

import logs
from database import Database
from domain.identity import accounts
from domain.rights import upkeep
from domain.rights.requests import RequestKind
from extensions import now
from tests.support.browser import Browser
from tests.support.links import NEW_PASSWORD, WAYS
from tests.support.mails import Mails
from tests.support.people import (
    EMAIL,
    INGRID,
    ask,
    ask_signed_in,
    become_customer,
    register,
    sign_in,
)
from tests.test_headers import AWAY

Visitors = Callable[..., Browser]
IP = "192.0.2.77"
CANARIES = (
    *("ingrid", "haugland", "kunde.example", "41234567", "412 34 567", "prøvegata", "grautvika"),
    *(IP, INGRID.password.casefold(), NEW_PASSWORD.casefold(), "hemmelig"),
)


@pytest.fixture
def spoken(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[[], str]:
    """Everything that was logged or written until now."""
    caplog.set_level(logging.INFO)

    def spoken() -> str:
        out, err = capfd.readouterr()
        return f"{out}\n{err}\n{caplog.text}"

    return spoken


@pytest.mark.requirement(80)
def test_nothing_of_a_person_is_logged_while_all_goes_well(
    spoken: Callable[[], str], app: Flask, visitor: Visitors, mails: Mails
) -> None:
    """From registration to erasure, with every mail sent: no name, address, token or IP."""
    logs.configure()
    browser = visitor(address=IP, locale="en")
    become_customer(browser, mails)
    links = [WAYS["new_address"].link(browser, mails), WAYS["reset"].link(browser, mails)]
    browser.post("/account/details", {"city": "Hamar"})
    page = browser.press(browser.get(links[-1]), "/password/reset", {"password": NEW_PASSWORD})
    assert page.path == "/login"
    register(visitor(address=IP))
    page = ask(browser, mails, "erasure")
    browser.press(page, page.path)
    mails.deliver()
    upkeep.everything(app.extensions["database"], at=now())
    written = spoken().casefold()
    assert "message_tried" in written
    assert [one for one in CANARIES if one in written] == []
    for link in links:
        assert link.rpartition("/")[2].partition("?")[0].casefold() not in written


@pytest.mark.requirement(80)
def test_nothing_of_a_person_is_logged_while_rights_are_used(
    spoken: Callable[[], str], app: Flask, visitor: Visitors, mails: Mails
) -> None:
    """Each kind, by address and signed in, with words that tell something; an invoice; and who
    wrote without an account."""
    logs.configure()
    browser = visitor(address=IP, locale="en")
    become_customer(browser, mails)
    words = {"words": "Noe hemmelig om Ingrid"}
    filled = {"objection": {"about": "security", **words}, "enquiry": words}
    for kind in RequestKind:
        if kind is not RequestKind.ERASURE:
            ask_signed_in(browser, kind, **filled.get(kind, {}))
            asked = {"email": EMAIL, **filled.get(kind, {})}
            visitor(address=IP).post(f"/requests/new?kind={kind}", asked)
    stranger = {"email": "hemmelig@kunde.example", **words}
    visitor(address=IP).post("/requests/new?kind=enquiry", stranger)
    mails.deliver()
    invoice = ("--number=1", "--date=2026-11-22", "--amount=100", "--vat=20", "--item=Hemmelig")
    app.test_cli_runner().invoke(args=["accounting", "add", *invoice], input=f"{EMAIL}\n")
    upkeep.everything(app.extensions["database"], at=now() + timedelta(days=400))
    written = spoken().casefold()
    assert written.count("message_tried") > len(RequestKind)
    assert [one for one in CANARIES if one in written] == []


@pytest.mark.requirement(80)
def test_nothing_of_a_person_is_logged_when_things_fail(
    spoken: Callable[[], str],
    app: Flask,
    backend: str,
    info: dict[str, object],
    visitor: Visitors,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wrong passwords, forged forms, bad links, an error whose message quotes a person, a
    database that is away and a mail server that refuses."""
    logs.configure()
    browser = visitor(address=IP, locale="en")
    become_customer(browser, mails)
    for _ in range(11):
        sign_in(visitor(address=IP), replace(INGRID, password="hemmelig"))
    visitor(address=IP).send("/register", {"name": INGRID.name, "email": EMAIL})
    visitor(address=IP).post("/register", {**INGRID.form(), "phone": "hemmelig"})
    visitor(address=IP).get(f"/confirm/{EMAIL}")

    def failing(*_: object, **__: object) -> object:
        try:
            raise KeyError(EMAIL)
        except KeyError as error:
            raise RuntimeError(f"{INGRID.name} <{EMAIL}> {IP} hemmelig") from error

    with monkeypatch.context() as patch:
        patch.setattr(accounts, "update", failing)
        assert browser.post("/account/details").status == 500
    with monkeypatch.context() as patch:
        patch.setitem(app.extensions, "database", Database(AWAY[backend], info=info))
        assert visitor(address=IP).get("/register").status == 503
    assert visitor(address=IP).post("/password/forgotten", {"email": EMAIL}).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(type(app.extensions["worker"].transport), "send", failing)
        mails.deliver()
    written = spoken().casefold()
    assert "runtimeerror" in written
    assert "database_away" in written
    assert [one for one in CANARIES if one in written] == []


@pytest.mark.requirement(80)
def test_a_row_that_the_database_refuses_is_not_quoted(
    spoken: Callable[[], str],
    visitor: Visitors,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Databases put the row into the message of the error."""
    logs.configure()
    browser = visitor(address=IP, locale="en")
    become_customer(browser, mails)
    monkeypatch.setattr(
        accounts, "set_locale", lambda session, account, code: setattr(account, "locale", None)
    )
    assert browser.post("/account/details", {"name": "Ingrid Hemmelig"}).status == 500
    written = spoken().casefold()
    assert "integrityerror" in written
    assert [one for one in CANARIES if one in written] == []
