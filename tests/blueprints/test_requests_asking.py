"""Asking for each right, signed in and by address, as people meet it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
import time_machine
from sqlalchemy import select

from database import Database
from domain.consent import permission
from domain.consent.permission import Permission
from domain.delivery.models import OutboxMessage
from domain.identity.models import Account
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, INGRID, Guest, ask_signed_in, become_customer
from tests.support.tables import contents

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
STRANGER = "nobody@ukjent.example"
KINDS = [kind.value for kind in RequestKind]
WORDS = "Kvifor har de telefonnummeret mitt?\n\nDet vil eg vite."
FILLED = {"objection": {"about": "security", "words": WORDS}, "enquiry": {"words": WORDS}}


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who said yes to the newsletter, and is signed in."""
    browser = visitor()
    become_customer(browser, mails, Guest(choices={"marketing": True}))
    return browser


def requests_of(database: Database) -> list[DataSubjectRequest]:
    """Every request there is."""
    with database.reading() as session:
        return list(session.scalars(select(DataSubjectRequest)))


def permitted(database: Database, purpose: str) -> Permission:
    """Whether it may be done for Ingrid now."""
    with database.reading() as session:
        account = session.scalars(select(Account)).one()
        answer = permission.permitted(session, account.subject_id, purpose, at=account.opened_at)
        assert isinstance(answer, Permission)
        return answer


def names(page: Page) -> set[str]:
    """The fields of the page's own form."""
    form = page.soup.select_one("main form.form")
    assert form
    return {str(one["name"]) for one in form.select("[name]")} - {"csrf_token"}


@pytest.mark.requirement(53, 55, 60)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_a_page_that_asks_for_no_more_than_it_needs(
    client: Browser, kind: str
) -> None:
    """The address, and words where there must be some; never an identity paper, never a reason
    to leave."""
    page = client.get(f"/requests/new?kind={kind}")
    assert page.status == 200
    assert names(page) == {"email", *FILLED.get(kind, {})}
    assert not page.soup.select("input[type=file], input[checked]")
    plain = client.get("/requests/new")
    offered = [str(one["value"]) for one in plain.soup.select("input[name=kind]")]
    assert offered == KINDS
    assert f"/requests/new?kind={kind}&amp;lang=en" in page.html or "lang=en" in page.html


@pytest.mark.requirement(53, 60)
def test_what_a_kind_needs_besides_is_asked_for_on_a_second_page(
    client: Browser, mails: Mails, database: Database
) -> None:
    """The address goes along, and what is missing there is said beside it."""
    second = client.post("/requests/new", {"kind": "enquiry", "email": STRANGER})
    assert second.status == 200
    assert not second.soup.select(".summary")
    form = second.form({"words": ""})
    assert str(form.select_one("[name=email]")["value"]) == STRANGER  # type: ignore[index]
    empty = client.submit(second, form, {"words": "  "})
    assert empty.status == 422
    assert [str(one["href"]) for one in empty.soup.select(".summary a")] == ["#words"]
    sent = client.submit(empty, empty.form({"words": ""}), {"words": WORDS})
    assert sent.path == "/requests/sent?kind=enquiry"
    mail = mails.last(STRANGER)
    assert "Kvifor" not in text(mail), "we are no relay"
    (asked,) = requests_of(database)
    assert (asked.kind, asked.state, asked.due_on) == ("enquiry", "received", date(2026, 12, 22))
    page = client.get(link_in(mail))
    assert WORDS.splitlines()[0] in client.press(page, "/requests/verify").text


@pytest.mark.requirement(60, 87)
def test_an_objection_needs_grounds_but_not_against_marketing(
    client: Browser, database: Database
) -> None:
    """Art. 21(1) and (2). What was typed is kept."""
    path = "/requests/new?kind=objection"
    nothing = client.post(path, {"email": STRANGER, "words": ""})
    assert nothing.status == 422
    assert [str(one["href"]) for one in nothing.soup.select(".summary a")] == ["#about-0"]
    page = client.post(path, {"email": STRANGER, "about": "security", "words": ""})
    assert [str(one["href"]) for one in page.soup.select(".summary a")] == ["#words"]
    assert page.soup.select_one("[name=about][value=security][checked]")
    long = client.post(path, {"email": "x", "about": "marketing", "words": "å" * 4001})
    assert len(long.soup.select(".summary a")) == 2
    kept = long.soup.select_one("textarea[name=words]")
    assert kept is not None
    assert kept.get_text().strip() == "å" * 4001
    for other in ("bookkeeping", "analytics"):  # a consent is withdrawn, here also the browser's
        assert client.post(path, {"email": STRANGER, "about": other}).status == 422
    done = client.post(path, {"email": STRANGER, "about": "marketing"})
    assert done.path == "/requests/sent"
    with database.reading() as session:
        assert len(session.scalars(select(OutboxMessage.kind)).all()) == 1


@pytest.mark.requirement(55, 73)
@pytest.mark.parametrize("kind", KINDS)
def test_signed_in_only_copies_and_erasure_take_the_password(ingrid: Browser, kind: str) -> None:
    """And nobody is asked for the address again."""
    page = ingrid.get(f"/requests/new?kind={kind}")
    if kind == "rectification":
        assert page.path == "/account/details"
        return
    proof = {"password"} if kind in ("access", "portability", "erasure") else set()
    assert names(page) == proof | set(FILLED.get(kind, {}))
    chosen = ingrid.post("/requests/new", {"kind": kind})
    assert chosen.path == f"/requests/new?kind={kind}"
    if proof:
        wrong = ask_signed_in(ingrid, kind, password="not this one")
        assert wrong.status == 422
        assert wrong.soup.select_one("#password-error")


@pytest.mark.requirement(60, 73)
def test_a_restriction_stops_what_it_must_at_once_and_one_button_lifts_it(
    ingrid: Browser, mails: Mails, database: Database
) -> None:
    """Signed in: one page, one button. Pressed twice it is one restriction."""
    old = ingrid.get("/requests/new?kind=restriction")
    page = ingrid.submit(old, old.form({}, "/requests/new"), {})
    assert page.path.startswith("/requests/"), page.text
    assert page.status == 200, page.text
    assert permitted(database, "marketing") is Permission.RESTRICTED, page.text
    told = len(mails.to(EMAIL))
    assert told >= 2, "confirmed, received, done"
    ingrid.submit(old, old.form({}, "/requests/new"), {})
    assert permitted(database, "marketing") is Permission.RESTRICTED
    again = ingrid.get("/requests/new?kind=restriction")
    assert not again.soup.select("main form.form"), "it is in force: nothing to ask for"
    lifted = ingrid.press(again, "/requests/lift")
    assert lifted.path == "/account/privacy"
    assert permitted(database, "marketing") is not Permission.RESTRICTED
    assert ingrid.press(again, "/requests/lift").status == 200, "pressed twice"


@pytest.mark.requirement(60)
def test_objecting_to_marketing_is_absolute_and_at_once(
    ingrid: Browser, mails: Mails, database: Database
) -> None:
    """No grounds, no assessment; the preferences agree."""
    assert permitted(database, "marketing") is Permission.PERMITTED
    page = ask_signed_in(ingrid, "objection", about="marketing")
    assert page.status == 200
    assert permitted(database, "marketing") is not Permission.PERMITTED
    assert [one.state for one in requests_of(database)] == ["fulfilled"]
    choices = ingrid.get("/preferences")
    assert not choices.soup.select("#consent-marketing[checked]")


@pytest.mark.requirement(54, 60)
def test_another_objection_becomes_a_case_with_a_clock(
    ingrid: Browser, mails: Mails, database: Database, clock: time_machine.Traveller
) -> None:
    """Its page has the words, the day and the way on; words can be added while it is open."""
    page = ask_signed_in(ingrid, "objection", about="support", words=WORDS)
    (asked,) = requests_of(database)
    assert (asked.state, asked.about_purpose) == ("verified", "support")
    assert asked.reference in page.text
    assert "22. desember 2026" in page.text
    assert "Det vil eg vite." in page.text
    assert page.soup.select('a[href*="/ledger"], a[href^="/preferences/receipts/"]')
    more = ingrid.post(f"{page.path}/write", {"words": "Og éin ting til."})
    assert more.path == page.path
    assert "Og éin ting til." in more.text
    clock.shift(timedelta(minutes=31))
    ingrid.post("/login", {"email": EMAIL, "password": INGRID.password})
    assert "Og éin ting til." in ingrid.get(page.path).text, "its own, also later"


@pytest.mark.requirement(72)
def test_a_flood_of_requests_is_stopped_and_does_not_stop_a_new_password(
    visitor: Visitor, mails: Mails
) -> None:
    """Five mails in a day to one address, of all kinds and from anywhere; 429 says when."""
    kinds = ["access", "portability", "erasure", "restriction", "rectification"]
    for number, kind in enumerate(kinds):
        browser = visitor(address=f"198.51.100.{number}")
        sent = browser.post(f"/requests/new?kind={kind}", {"email": STRANGER})
        assert sent.path == "/requests/sent"
    for path, more in (
        ("/requests/new?kind=access", {}),
        ("/requests/new?kind=enquiry", {"words": WORDS}),
    ):
        page = visitor(address="198.51.100.9").post(path, {"email": STRANGER, **more})
        assert page.status == 429
        assert int(page.headers["Retry-After"]) > 3600
        assert STRANGER in page.html
        assert ("Det vil eg vite." in page.html) is bool(more), "what was typed is kept"
        assert page.soup.select_one(".summary time[datetime]"), "when it may be sent"
    assert len(mails.to(STRANGER)) == 5
    forgotten = visitor(address="198.51.100.9").post("/password/forgotten", {"email": STRANGER})
    assert forgotten.status == 200


@pytest.mark.requirement(60, 72)
def test_who_asks_for_links_to_cases_keeps_nobody_from_a_right(
    visitor: Visitor, mails: Mails
) -> None:
    """They may be about nothing, and anybody may ask for them: they have a limit of their own."""
    statuses = [
        visitor().post("/requests/follow", {"reference": "BCDF-2345", "email": STRANGER}).status
        for _ in range(6)
    ]
    assert statuses == [200] * 5 + [429]
    assert visitor().post("/requests/new?kind=access", {"email": STRANGER}).path == "/requests/sent"


@pytest.mark.requirement(60, 72)
def test_what_is_asked_for_from_the_account_has_its_limit_too(
    ingrid: Browser, database: Database, mails: Mails, clock: time_machine.Traveller
) -> None:
    """A restriction that is there leads to its case. Twenty of anything in a day; strangers who
    use the address take none of them."""
    page = ingrid.get("/requests/new?kind=restriction")
    first, second = (ingrid.post("/requests/new?kind=restriction", page=page) for _ in range(2))
    assert first.path == second.path
    assert [one.kind for one in requests_of(database)] == ["restriction"]
    page = ingrid.get("/requests/new?kind=enquiry")
    for _ in range(18):
        sent = ingrid.post("/requests/new?kind=enquiry", {"words": WORDS}, page=page)
        assert sent.status == 200
    stopped = ingrid.post("/requests/new?kind=enquiry", {"words": WORDS}, page=page)
    assert stopped.status == 429
    assert "Det vil eg vite." in stopped.html
    assert len(requests_of(database)) == 19


def test_words_outlive_the_session_in_which_they_were_written(
    ingrid: Browser, clock: time_machine.Traveller
) -> None:
    """The form again with all of it; the same for a case that there is not. After signing in it
    is sent from there."""
    case = ingrid.post("/requests/new?kind=enquiry", {"words": WORDS})
    form = ingrid.get(f"{case.path}/write")
    clock.shift(timedelta(minutes=45))
    kept = ingrid.post(form.path, {"words": "Og éin ting til."}, page=form)
    assert kept.status == 403
    assert "Og éin ting til." in kept.html
    other = ingrid.post("/requests/BCDF-2345/write", {"words": "Og éin ting til."}, page=form)
    assert other.soup.select_one("main").text == kept.soup.select_one("main").text  # type: ignore[union-attr]
    ingrid.post("/login", {"email": EMAIL, "password": INGRID.password})
    again = ingrid.post(form.path, {"words": "Og éin ting til."}, page=kept)
    assert "Og éin ting til." in again.html
    done = ingrid.post(form.path, {"words": "Og éin ting til."}, page=again)
    assert done.path == case.path
    assert "Og éin ting til." in done.text


def test_words_that_anybody_may_have_written_are_shown_before_they_are_confirmed(
    visitor: Visitor, ingrid: Browser, mails: Mails
) -> None:
    """Who presses the button makes them their own."""
    asked = {"email": EMAIL, **FILLED["objection"]}
    visitor().post("/requests/new?kind=objection", asked)
    assert "Det vil eg vite." in visitor().get(link_in(mails.last(EMAIL))).text


@pytest.mark.requirement(60, 87)
@pytest.mark.parametrize("kind", ["access", "objection", "enquiry"])
def test_a_form_that_was_open_for_too_long_keeps_what_was_typed(
    client: Browser, database: Database, kind: str
) -> None:
    """422, one line above the form says so, and nothing is queued."""
    before = contents(database)
    page = client.get(f"/requests/new?kind={kind}")
    typed = {"email": STRANGER, **FILLED.get(kind, {})}
    stale = client.submit(page, page.form(typed), {**typed, "csrf_token": "old"})
    assert stale.status == 422
    assert len(stale.soup.select(".summary li")) == 1
    assert STRANGER in stale.html
    if kind != "access":
        assert "Det vil eg vite." in stale.html
    assert contents(database) == before


@pytest.mark.requirement(54, 64)
def test_an_unknown_address_is_told_what_the_law_may_keep_and_where_to_complain(
    visitor: Visitor, mails: Mails
) -> None:
    """What is not found by an address may be there all the same: who to ask, and the authority."""
    visitor(locale="en").post("/requests/new?kind=access", {"email": STRANGER})
    told = text(mails.last(STRANGER))
    assert "invoices" in told
    assert "Datatilsynet" in told
