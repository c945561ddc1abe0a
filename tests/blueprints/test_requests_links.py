"""What each kind of link does, to the end, and that none does what another does."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import select

from database import Database
from domain.consent import permission
from domain.consent.permission import Permission
from domain.identity import accounts
from domain.identity.models import Account
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights.models import DataSubjectRequest
from settings import Settings
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, Guest, ask, ask_signed_in, become_customer, sign_in
from tests.support.tables import contents

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
# What else is filled in for each kind that a link proves.
KINDS: dict[str, dict[str, str]] = {
    "access": {},
    "portability": {},
    "rectification": {},
    "erasure": {},
    "restriction": {},
    "objection": {"about": "marketing"},
}
# What the ledger says when a link has done its work, and the page after it had its one button.
DOES = {
    "erasure": "erasure.executed",
    "restriction": "restriction.placed",
    "objection": "objection.made",
}


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who said yes to the newsletter, and is signed out."""
    browser = visitor()
    become_customer(browser, mails, Guest(choices={"marketing": True}))
    browser.post("/logout", page=browser.get("/account"))
    return browser


def mailed(browser: Browser, mails: Mails, kind: str) -> str:
    """Ask by mail; the link that came."""
    browser.post(f"/requests/new?kind={kind}", {"email": EMAIL, **KINDS[kind]})
    return link_in(mails.last(EMAIL))


def types(database: Database) -> set[str]:
    """What the ledger has entries of."""
    with database.reading() as session:
        return {decode(raw).type for raw in session.scalars(select(LedgerEntry.bytes))}


def state(database: Database) -> str:
    """That of the only request."""
    with database.reading() as session:
        (only,) = session.scalars(select(DataSubjectRequest.state))
        return str(only)


def csrf(page: Page) -> str:
    """The page's token."""
    return str(page.soup.select_one('[name="csrf_token"]')["value"])  # type: ignore[index]


@pytest.mark.requirement(68)
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_does_what_it_was_asked_for_and_nothing_else(
    ingrid: Browser, mails: Mails, database: Database, kind: str
) -> None:
    """Whatever is posted to the page behind it, with any action and to any of its pages."""
    page = ask(ingrid, mails, kind, INGRID, **KINDS[kind])
    assert page.status == 200, page.text
    with database.reading() as session:
        (asked,) = session.scalars(select(DataSubjectRequest))
    path = f"/requests/{asked.reference}"
    token = csrf(ingrid.get("/login"))
    for action in ("copy", "lift", "keep", "later", "now", "", "x"):
        if (kind, action) == ("erasure", "now"):
            continue  # that is what it is for
        data = {"action": action, "kind": "erasure", "csrf_token": token}
        answer = ingrid.send(path, data)
        zipped = answer.headers["Content-Type"] == "application/zip"
        assert zipped <= (kind in ("access", "portability")), action
        details = ingrid.send(f"{path}/details", {"name": "Mallory", "csrf_token": token})
        if kind != "rectification":
            assert details.status == 303
    done = {what for one, what in DOES.items() if one == kind and kind != "erasure"}
    assert types(database) & set(DOES.values()) == done
    with database.reading() as session:
        account = session.scalars(select(Account)).one()
        named = accounts.person(session, account).name
        assert (named == "Mallory") is (kind == "rectification")


@pytest.mark.requirement(66, 68)
def test_a_token_signed_for_one_kind_is_none_for_another(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """One's signature under another's text is no link at all."""
    link = mailed(ingrid, mails, "access")
    other = mailed(ingrid, mails, "portability")
    before = contents(database)
    one, two = link.partition("?")[0], other.partition("?")[0]
    swapped = f"{one.rpartition('.')[0]}.{two.rpartition('.')[2]}"
    for spoilt in (swapped, link.replace("verify", "cancel"), link.replace("/requests/verify", "")):
        assert visitor().get(spoilt).status == 404
    assert contents(database) == before


@pytest.mark.requirement(58, 68, 73)
def test_details_are_corrected_by_a_link_without_signing_in(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
) -> None:
    """Name, phone and address; not the e-mail address. Wrong input is kept, saving twice is once,
    and the account is told."""
    page = ask(ingrid, mails, "rectification")
    assert page.path.endswith("/details")
    assert not page.soup.select("main input[name=email]")
    wrong = ingrid.post(page.path, {"name": "", "phone": "12"})
    assert wrong.status == 422
    assert len(wrong.soup.select(".summary li")) == 2
    told = len(mails.to(EMAIL))
    right = {"name": "Ingrid Endresen", "phone": "", "city": "Nyby"}
    done = ingrid.press(wrong, page.path, right)
    assert done.status == 200
    assert not done.path.endswith("/details")
    assert state(database) == "fulfilled"
    again = ingrid.press(page, page.path, {"name": "Mallory"})
    assert again.path == done.path
    assert len(mails.to(EMAIL)) == told + 1
    with database.reading() as session:
        person = accounts.person(session, session.scalars(select(Account)).one())
    assert (person.name, person.phone, person.city) == ("Ingrid Endresen", None, "Nyby")
    assert person.email == EMAIL
    assert visitor().get(page.path).status == 404


@pytest.mark.requirement(68, 71)
def test_the_form_behind_a_link_is_open_for_half_an_hour(
    ingrid: Browser, mails: Mails, database: Database, clock: time_machine.Traveller
) -> None:
    """In that browser; what was open for longer saves nothing."""
    page = ask(ingrid, mails, "rectification")
    clock.shift(timedelta(minutes=30, seconds=1))
    assert ingrid.press(page, page.path, {"name": "Mallory"}).status == 404
    assert state(database) == "verified"


@pytest.mark.requirement(57)
def test_a_file_for_another_service_by_link(ingrid: Browser, mails: Mails) -> None:
    """A ZIP with JSON in it, downloaded with a button; the account is told."""
    page = ask(ingrid, mails, "portability")
    told = len(mails.to(EMAIL))
    (button,) = page.soup.select("main form button")
    assert button["value"] == "copy"
    given = ingrid.press(page, page.path)
    with zipfile.ZipFile(io.BytesIO(given.response.data)) as archive:
        document = json.loads(archive.read("portability.json"))
    assert EMAIL in json.dumps(document)
    assert given.headers["Cache-Control"] == "no-store"
    assert len(mails.to(EMAIL)) == told + 1


@pytest.mark.requirement(60, 66, 69)
@pytest.mark.parametrize(("kind", "stopped"), [("restriction", "RESTRICTED"), ("objection", "")])
def test_the_button_behind_a_link_restricts_or_stops_at_once(
    ingrid: Browser, visitor: Visitor, mails: Mails, database: Database, kind: str, stopped: str
) -> None:
    """No second page; pressed in two windows it is done once; the page says what holds now."""
    link = mailed(ingrid, mails, kind)
    pages = [ingrid.get(link), visitor().get(link)]
    done = ingrid.press(pages[0], "/requests/verify")
    assert done.status == 200
    assert not done.soup.select("main .danger")
    with database.reading() as session:
        account = session.scalars(select(Account)).one()
        at = account.opened_at + timedelta(minutes=1)
        answer = permission.permitted(session, account.subject_id, "marketing", at=at)
    assert not answer
    assert answer is Permission[stopped] if stopped else True
    assert visitor().press(pages[1], "/requests/verify").status in (403, 404)
    assert state(database) == "fulfilled"
    if kind == "restriction":
        lifted = ingrid.submit(done, _form(done, "lift"), {})
        assert lifted.path == done.path
        assert "restriction.lifted" in types(database)


@pytest.mark.requirement(66, 67)
@pytest.mark.parametrize("kind", KINDS)
def test_an_expired_link_offers_a_new_one_of_its_kind(
    ingrid: Browser, mails: Mails, clock: time_machine.Traveller, kind: str
) -> None:
    """One click, and the form is the same."""
    link = mailed(ingrid, mails, kind)
    clock.shift(timedelta(minutes=61))
    late = ingrid.get(link)
    assert late.status == 410
    assert late.soup.select_one(f'main a[href="/requests/new?kind={kind}"]')


@pytest.mark.requirement(72)
def test_a_link_can_be_pressed_so_often_and_no_more(
    ingrid: Browser, visitor: Visitor, mails: Mails
) -> None:
    """Then 429 for that link, while others still work."""
    link = mailed(ingrid, mails, "access")
    page = ingrid.get(link)
    answers = [ingrid.press(page, "/requests/verify").status]
    while answers[-1] != 429:
        again = visitor(address=f"203.0.113.{len(answers)}")
        spare = again.get("/requests/follow")
        again.get(link)
        answers.append(again.send("/requests/verify", {"csrf_token": csrf(spare)}).status)
        assert len(answers) < 20
    assert answers[0] == 200
    assert set(answers[1:-1]) == {404}
    other = mailed(visitor(), mails, "restriction")
    assert ingrid.press(ingrid.get(other), "/requests/verify").status == 200


@pytest.mark.requirement(54, 64, 68, 72)
def test_a_case_is_followed_by_reference_and_address(
    ingrid: Browser, visitor: Visitor, mails: Mails, clock: time_machine.Traveller
) -> None:
    """The link shows what was written, again and again for two weeks, and can do nothing; a wrong
    address or reference is told by mail that there is no such case."""
    page = ask(ingrid, mails, "objection", about="support", words="Det er mi sak.")
    reference = page.path.rpartition("/")[2]
    for wanted, address in ((reference, "x@ukjent.example"), ("BCDF-2345", EMAIL)):
        sent = visitor().post("/requests/follow", {"reference": wanted, "email": address})
        assert sent.path == "/requests/sent"
        assert "/requests/verify/" not in str(mails.last(address))
    mine = {"reference": reference.lower(), "email": EMAIL}
    assert visitor().post("/requests/follow", mine).path == "/requests/sent"
    link = link_in(mails.last(EMAIL))
    for _ in range(2):
        elsewhere = visitor()
        shown = elsewhere.press(elsewhere.get(link), "/requests/verify")
        assert shown.path == page.path
        assert "Det er mi sak." in shown.text
        assert not shown.soup.select("main form")
        assert elsewhere.get(f"{page.path}/write").path == page.path, "read-only"
    clock.shift(timedelta(days=14, seconds=1))
    late = visitor().get(link)
    assert late.status == 410
    assert late.soup.select_one('main a[href="/requests/follow"]')


@pytest.mark.requirement(64)
def test_an_unknown_reference_is_not_found(client: Browser) -> None:
    """Whatever it looks like, and on each of its pages."""
    for reference in ("BCDF-2345", "x", "bcdf-2345", "%00", "å"):
        for page in ("", "/details", "/write"):
            assert client.get(f"/requests/{reference}{page}").status == 404


# --- An erasure that waits ----------------------------------------------------------------------


class TestGrace:
    """Where the operator gives people time to change their mind."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """A day of grace."""
        return replace(settings, erasure_grace=timedelta(hours=24))

    @pytest.mark.requirement(74, 75)
    def test_it_waits_where_the_person_says_so_and_is_stopped_by_link(
        self, ingrid: Browser, visitor: Visitor, mails: Mails, database: Database
    ) -> None:
        """Everything is frozen and every session ends; the mailed link brings all of it back."""
        elsewhere = visitor()
        sign_in(elsewhere)
        page = ask(ingrid, mails, "erasure")
        assert page.soup.select('button[value="now"]')
        waiting = ingrid.submit(page, _form(page, "later"), {"action": "later"})
        assert waiting.status == 200
        assert elsewhere.get("/account").path.startswith("/login")
        assert "erasure.executed" not in types(database)
        link = link_in(mails.last(EMAIL))
        before = contents(database)
        for method in ("GET", "HEAD"):
            assert visitor().get(link, method=method).status == 200
        assert contents(database) == before, "opening it changes nothing"
        kept = elsewhere.press(elsewhere.get(link), "/requests/verify")
        assert kept.status == 200
        assert state(database) == "cancelled"
        assert sign_in(visitor()).path == "/account"
        assert visitor().get(link).status == 404, "once"

    @pytest.mark.requirement(74, 75)
    def test_it_is_stopped_or_done_at_once_on_its_page(
        self, ingrid: Browser, mails: Mails, database: Database
    ) -> None:
        """«Slett nå» stands beside it, in this browser, and for who signs in."""
        sign_in(ingrid)
        page = ask_signed_in(ingrid, "erasure")
        waiting = ingrid.submit(page, _form(page, "later"), {"action": "later"})
        kept = ingrid.submit(waiting, _form(waiting, "keep"), {"action": "keep"})
        assert state(database) == "cancelled"
        assert not kept.soup.select("main form")
        sign_in(ingrid)
        page = ask_signed_in(ingrid, "erasure")
        waiting = ingrid.submit(page, _form(page, "later"), {"action": "later"})
        done = ingrid.submit(waiting, _form(waiting, "now"), {"action": "now"})
        assert done.status == 200
        assert "erasure.executed" in types(database)
        assert not done.soup.select("main form")


def _form(page: Page, action: str):  # type: ignore[no-untyped-def]
    """The form with this button."""
    button = page.soup.select_one(f'button[name=action][value="{action}"]')
    assert button is not None, page.text
    return button.find_parent("form")
