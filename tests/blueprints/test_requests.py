"""Requests by signed link and from the account, as people and mail scanners meet them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from database import Database
from domain.delivery.models import OutboxMessage
from domain.identity.models import Account
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights.models import DataSubjectRequest
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, INGRID, PASSWORD, ask, become_customer, register, sign_in
from tests.support.tables import contents

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
STRANGER = "nobody@ukjent.example"
# Every kind that a link shows to be one's own.
KINDS = ["access", "portability", "rectification", "erasure", "restriction", "objection"]


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who is signed out."""
    browser = visitor()
    become_customer(browser, mails)
    browser.post("/logout", page=browser.get("/account"))
    return browser


def types(database: Database) -> list[str]:
    """What the ledger has entries of."""
    with database.reading() as session:
        return sorted(decode(raw).type for raw in session.scalars(select(LedgerEntry.bytes)))


def mailed(browser: Browser, mails: Mails, kind: str, email: str = EMAIL) -> str:
    """Ask by mail; the link that came."""
    more = {"about": "marketing"} if kind == "objection" else {}
    browser.post(f"/requests/new?kind={kind}", {"email": email, **more})
    return link_in(mails.last(email))


@pytest.mark.requirement(64)
def test_known_and_unknown_get_the_same_answer(
    ingrid: Browser, visitor: Visitor, clock: time_machine.Traveller
) -> None:
    """Status, body and headers for every kind, but for what is random in every answer; following
    a case too."""
    words = {"objection": {"about": "security", "words": "?"}, "enquiry": {"words": "?"}}
    asked = {f"/requests/new?kind={kind}": words.get(kind, {}) for kind in (*KINDS, "enquiry")}
    for path, data in {**asked, "/requests/follow": {"reference": "BCDF-2345"}}.items():
        clock.shift(timedelta(days=1))
        known, unknown = (_answers(visitor, path, {**data, "email": one}) for one in ADDRESSES)
        assert known == unknown, path


ADDRESSES = (EMAIL, STRANGER)


def _answers(visitor: Visitor, path: str, data: dict[str, str]) -> list[Any]:
    """The answer to this form and the page that it leads to."""
    answers = []
    browser = visitor(address=f"2001:db8::{len(path)}")
    page = browser.get(path)
    token = str(page.soup.select_one('[name="csrf_token"]')["value"])  # type: ignore[index]
    sent = browser.send(path, {**data, "csrf_token": token})
    assert sent.status == 303, sent.text
    for shown in (sent, browser.get(sent.headers["Location"])):
        sheet = shown.soup.select_one("link[rel=stylesheet]")
        nonce = str(sheet["nonce"]) if sheet else "none"
        headers = sorted(
            (name, text)
            for name, text in shown.headers
            if name not in ("Set-Cookie", "Content-Security-Policy")
        )
        answers.append((shown.status, shown.html.replace(nonce, ""), headers))
    return answers


@pytest.mark.requirement(64)
def test_an_unknown_address_is_told_that_nothing_is_kept(client: Browser, mails: Mails) -> None:
    """By mail, to the address alone, without a link that does anything."""
    client.post("/requests/new", {"kind": "erasure", "email": STRANGER})
    mail = mails.last(STRANGER)
    assert "/requests/verify/" not in text(mail)
    assert len(mails.to(STRANGER)) == 1


@pytest.mark.requirement(40, 66, 69)
@pytest.mark.parametrize("kind", KINDS)
def test_opening_a_link_changes_nothing_and_the_click_still_works(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database, kind: str
) -> None:
    """Ten scanners with GET and HEAD, each in its own browser, then the person."""
    link = mailed(ingrid, mails, kind)
    before = contents(database)
    for number in range(10):
        scanner = visitor(address=f"198.51.100.{number}")
        opened = scanner.get(link, method="HEAD" if number % 2 else "GET")
        assert opened.status == 200
        scanner.get("/requests/verify", method="HEAD")
    assert contents(database) == before
    page = ingrid.press(ingrid.get(link), "/requests/verify")
    assert page.status == 200
    assert page.path.startswith("/requests/")
    assert "request.verified" in types(database)
    assert "erasure.executed" not in types(database)


@pytest.mark.requirement(69, 71)
def test_the_token_leaves_the_address_bar_at_once(ingrid: Browser, mails: Mails) -> None:
    """Not stored by anyone on the way, not told to anyone, and no script presses the button."""
    link = mailed(ingrid, mails, "access")
    token = urlsplit(link).path.rpartition("/")[2]
    first = ingrid.get(link, follow=False)
    assert first.status == 303
    assert token not in first.headers["Location"]
    page = ingrid.get(link)
    assert urlsplit(page.path).path == "/requests/verify"
    assert token not in page.html
    for one in (first, page):
        assert one.headers["Cache-Control"] == "no-store"
        assert one.headers["Referrer-Policy"] == "no-referrer"
    assert not page.soup.select("script, [onload], meta[http-equiv]")


def _swap(links: dict[str, str]) -> str:
    """The token of one link with the signature of the other."""
    one, other = (links[kind].partition("?")[0] for kind in ("access", "erasure"))
    return f"{one.rpartition('.')[0]}.{other.rpartition('.')[2]}"


SPOILT: dict[str, Callable[[dict[str, str]], str]] = {
    "truncated": lambda links: links["erasure"].partition("?")[0][:-3],
    "swapped": _swap,
    "nothing": lambda links: "/requests/verify/x",
    "another use": lambda links: links["access"].replace("/requests/verify/", "/confirm/"),
    "very long": lambda links: links["access"].partition("?")[0] + "x" * 3000,
}


@pytest.mark.requirement(66, 68)
@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_link_is_one_neutral_page(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database, name: str
) -> None:
    """It says nothing of what is wrong, changes nothing, and leaves the good links good."""
    links = {kind: mailed(ingrid, mails, kind) for kind in ("access", "erasure")}
    before = contents(database)
    page = visitor().get(SPOILT[name](links))
    assert page.status == 404
    assert EMAIL not in page.html
    assert contents(database) == before
    assert visitor().get(links["erasure"]).status == 200


@pytest.mark.requirement(66)
def test_a_used_link_does_nothing_more(ingrid: Browser, visitor: Visitor, mails: Mails) -> None:
    """Replayed by whoever reads the mail later."""
    link = mailed(ingrid, mails, "erasure")
    ingrid.press(ingrid.get(link), "/requests/verify")
    assert visitor().get(link).status == 404


@pytest.mark.requirement(66, 67)
def test_an_expired_link_says_so_and_how_to_get_another(
    ingrid: Browser, mails: Mails, clock: time_machine.Traveller, database: Database
) -> None:
    """410 after an hour, also for a page that was opened before; asking again works, with the
    same reference and the same day."""
    link = mailed(ingrid, mails, "access")
    page = ingrid.get(link)
    clock.shift(timedelta(minutes=60, seconds=1))
    late = ingrid.press(page, "/requests/verify")
    assert late.status == 410
    assert late.soup.select_one('a[href^="/requests/new"]')
    assert ingrid.get(link).status == 410
    again = mailed(ingrid, mails, "access")
    assert ingrid.press(ingrid.get(again), "/requests/verify").status == 200
    with database.reading() as session:
        (only,) = session.scalars(select(DataSubjectRequest))
        assert only.due_on == date(2026, 12, 22)


@pytest.mark.requirement(66)
def test_a_newer_link_voids_the_older(ingrid: Browser, visitor: Visitor, mails: Mails) -> None:
    """Of its kind: the other kind's is untouched."""
    other = mailed(ingrid, mails, "access")
    old = mailed(ingrid, mails, "erasure")
    new = mailed(ingrid, mails, "erasure")
    assert visitor().get(old).status == 404
    assert visitor().get(new).status == 200
    assert visitor().get(other).status == 200


@pytest.mark.requirement(66, 68)
def test_a_changed_password_voids_the_link(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """The link is bound to the state the account was in."""
    link = mailed(ingrid, mails, "erasure")
    with database.transaction() as session:
        session.scalars(select(Account)).one().stamp += 1
    assert visitor().get(link).status == 404


@pytest.mark.requirement(68)
def test_a_link_for_access_never_erases(ingrid: Browser, mails: Mails, database: Database) -> None:
    """Its page has a copy to give and nothing else, whatever is posted."""
    page = ask(ingrid, mails, "access")
    with database.reading() as session:
        (asked,) = session.scalars(select(DataSubjectRequest))
    token = str(page.soup.select_one('[name="csrf_token"]')["value"])  # type: ignore[index]
    for data in ({"kind": "erasure"}, {"confirm": "yes"}, {}):
        answer = ingrid.send(page.path, {**data, "csrf_token": token})
        assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"].endswith(f'{asked.reference}.zip"')
    assert "erasure.executed" not in types(database)


@pytest.mark.requirement(68, 71)
def test_a_request_opens_only_where_it_was_verified(
    ingrid: Browser, visitor: Visitor, mails: Mails, clock: time_machine.Traveller
) -> None:
    """Not in another browser, and after half an hour not in this one either."""
    page = ask(ingrid, mails, "erasure")
    stranger = visitor()
    assert stranger.get(page.path).status == 404
    assert stranger.get("/requests/ABCD-2345").status == 404
    assert ingrid.get(page.path).status == 200
    clock.shift(timedelta(minutes=30, seconds=1))
    assert ingrid.get(page.path).status == 404
    assert ingrid.press(page, page.path).status == 404
    assert sign_in(ingrid).path == "/account"


@pytest.mark.requirement(59, 74, 75)
def test_erasing_says_what_stays_and_ends_every_session(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """One neutral confirmation without a question; then no session is left, the last mail comes,
    and nobody can sign in."""
    elsewhere = visitor()
    sign_in(elsewhere)
    page = ask(ingrid, mails, "erasure")
    (form,) = [one for one in page.forms() if one.select_one(".danger")]
    assert {str(field["name"]) for field in form.select("[name]")} <= {"csrf_token", "action"}
    assert len(page.soup.select('section[aria-labelledby="goes"] li')) >= 7
    stays = page.soup.select('section[aria-labelledby="stays"] li')
    assert len(stays) >= 4, "entries, the request, the address until the mail, the mail folder"
    done = ingrid.press(page, page.path)
    assert done.status == 200
    assert elsewhere.get("/account").path.startswith("/login")
    assert sign_in(visitor()).status == 422
    assert len(mails.to(EMAIL)) == 1
    with database.reading() as session:
        assert session.scalars(select(Account)).all() == []
        (last,) = session.scalars(
            select(OutboxMessage).where(OutboxMessage.kind == "mail.erasure_done")
        )
        assert (last.state, last.payload, last.about) == ("sent", None, None)
    again = ingrid.press(page, page.path)
    assert again.status == 403, "an old page of a session that is over"
    assert types(database).count("erasure.executed") == 1


@pytest.mark.requirement(55, 73)
@pytest.mark.parametrize("kind", ["access", "erasure"])
def test_who_is_signed_in_needs_the_password_and_no_link(
    ingrid: Browser, mails: Mails, database: Database, kind: str
) -> None:
    """A wrong password goes no further; the right one leads straight on, and is told by mail."""
    sign_in(ingrid)
    before = len(mails.to(EMAIL))
    page = ingrid.get("/requests/new")
    assert not page.soup.select('input[name="email"]')
    wrong = ingrid.post(f"/requests/new?kind={kind}", {"password": "not this one"})
    assert wrong.status == 422
    assert "request.received" not in types(database)
    right = ingrid.post(f"/requests/new?kind={kind}", {"password": PASSWORD})
    assert right.status == 200
    assert right.path.startswith("/requests/")
    assert len(mails.to(EMAIL)) == before + 1
    assert "/requests/verify/" not in text(mails.last(EMAIL))
    done = ingrid.press(right, right.path)
    assert done.status == 200
    assert len(mails.to(EMAIL)) >= 1, "that it is done is told by mail"


@pytest.mark.requirement(53, 56)
def test_an_account_that_nobody_confirmed_can_ask_too(client: Browser, mails: Mails) -> None:
    """There is personal data in it, and the link proves the address."""
    register(client, INGRID)
    page = ask(client, mails, "access")
    assert page.status == 200
    download = client.press(page, page.path)
    assert download.response.data[:2] == b"PK"


def test_what_is_missing_is_said_beside_the_field(client: Browser) -> None:
    """422, what was typed is kept, nothing is queued."""
    page = client.post("/requests/new", {"email": "not an address"})
    assert page.status == 422
    assert len(page.soup.select(".summary li")) == 2
    kept = page.soup.select_one('input[name="email"]')
    assert kept
    assert kept["value"] == "not an address"


def _at_once(count: int, act: Callable[[int], Page]) -> list[Page]:
    barrier = Barrier(count)

    def one(number: int) -> Page:
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.requirement(66, 69)
def test_one_link_pressed_at_once_in_many_browsers_works_in_one(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """Single use holds when nobody waits for anybody."""
    link = mailed(ingrid, mails, "erasure")
    browsers = [visitor() for _ in range(4)]
    pages = [browser.get(link) for browser in browsers]
    found = _at_once(4, lambda n: browsers[n].press(pages[n], "/requests/verify"))
    assert sorted(page.status for page in found) == [200, 404, 404, 404]
    assert types(database).count("request.verified") == 1


@pytest.mark.requirement(59, 75)
def test_erasure_confirmed_at_once_happens_once(
    app: Flask, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """Every tab gets the page that says it is done; one entry, one mail, and verify holds."""
    browsers = [visitor() for _ in range(4)]
    become_customer(browsers[0], mails)
    pages = []
    for browser in browsers:
        if browser is not browsers[0]:
            sign_in(browser)
        pages.append(browser.post("/requests/new?kind=erasure", {"password": PASSWORD}))
    assert len({page.path for page in pages}) == 1
    found = _at_once(4, lambda n: browsers[n].press(pages[n], pages[n].path))
    assert [page.status for page in found] == [200] * 4
    assert not any(page.soup.select(".danger") for page in found)
    assert types(database).count("erasure.executed") == 1
    assert types(database).count("request.fulfilled") == 1
    with database.reading() as session:
        kinds = list(session.scalars(select(OutboxMessage.kind)))
    assert kinds.count("mail.erasure_done") == 1
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 0, result.output


def test_asking_while_being_erased_ends_in_an_answer(
    visitor: Visitor, mails: Mails, database: Database
) -> None:
    """A request by mail that was queued before the erasure finds nobody, and says so or is gone
    with the person; no message is left over."""
    browser, other = visitor(), visitor()
    become_customer(browser, mails)
    page = browser.post("/requests/new?kind=erasure", {"password": PASSWORD})
    other.post("/requests/new", {"kind": "access", "email": EMAIL.upper()})
    browser.press(page, page.path)

    def left() -> set[str]:
        with database.reading() as session:
            return {one.kind for one in session.scalars(select(OutboxMessage)) if one.payload}

    # What settles a week later has nobody in it (domain/rights/settling.py).
    assert left() - {"intake.settle"} == {"mail.erasure_done"}
    mails.deliver()
    assert left() == {"intake.settle"}
    assert register(visitor(), replace(INGRID, name="Ingrid igjen")).status == 200
