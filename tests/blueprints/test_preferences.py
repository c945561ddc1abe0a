"""Preferences: what is in force, changed with the same effort either way, and its history."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from database import Database
from domain.consent.permission import permitted
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights import choosing, upkeep
from domain.subjects.models import Subject
from domain.subjects.recording import Known
from extensions import now
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import INGRID, become_customer, confirm, register, sign_in
from tests.support.tables import readable

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
BOTH = ("marketing", "analytics")


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who said no to both, signed in."""
    browser = visitor()
    become_customer(browser, mails)
    return browser


def states(database: Database) -> list[str]:
    """The decisions in the ledger that are no refusals, as a set of words."""
    with database.reading() as session:
        entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    return sorted(
        f"{entry.data['purpose']}: {entry.type.removeprefix('consent.')}"
        for entry in entries
        if entry.type.startswith("consent.") and entry.type != "consent.refused"
    )


def ticked(page: Page) -> set[str]:
    """The boxes with a tick."""
    boxes = page.soup.select('input[type="checkbox"][name^="consent-"][checked]')
    return {str(box["name"]).removeprefix("consent-") for box in boxes}


def permits(database: Database) -> set[str]:
    """What is permitted for the only person there is."""
    with database.reading() as session:
        who = session.scalars(select(Subject.id)).one()
        return {one for one in BOTH if permitted(session, who, one, at=now())}


def choose(browser: Browser, *yes: str, page: Page | None = None) -> Page:
    """Send the form with these boxes ticked."""
    filled: dict[str, Any] = {f"consent-{one}": one in yes for one in BOTH}
    return browser.post("/preferences", filled, page=page)


@pytest.mark.requirement(10, 14)
def test_nothing_is_ticked_beforehand_and_looking_is_no_choice(
    client: Browser, database: Database
) -> None:
    """On the registration form and for who has an account; opening pages records nothing."""
    page = client.get("/register")
    assert len(page.soup.select('input[name^="consent-"]')) == 2
    assert ticked(page) == set()
    for path in ("/register", "/", "/notices/privacy"):
        client.get(path)
    with database.reading() as session:
        types = {decode(raw).type for raw in session.scalars(select(LedgerEntry.bytes))}
    assert types == {"notice.published"}


@pytest.mark.requirement(11, 33)
@pytest.mark.parametrize("yes", [(), ("marketing",), ("analytics",), BOTH])
def test_the_box_is_what_is_in_force(
    ingrid: Browser, database: Database, yes: tuple[str, ...]
) -> None:
    """All four combinations; what the page shows is what the permission says."""
    page = choose(ingrid, *yes)
    assert page.status == 200
    assert ticked(page) == set(yes) == permits(database)


@pytest.mark.requirement(15, 33, 45)
def test_the_page_tells_the_state_since_when_and_on_which_words(ingrid: Browser) -> None:
    """For each purpose its time, its end if it is a yes, and a link to what was shown."""
    page = choose(ingrid, "marketing")
    yes, no = page.soup.select(".consent")
    assert [str(one["datetime"])[:10] for one in yes.select("time")] == ["2026-11-22", "2028-11-22"]
    assert [str(one["datetime"])[:10] for one in no.select("time")] == ["2026-11-22"]
    for part in (yes, no):
        (link,) = part.select('a[href^="/preferences/history/"]')
        assert ingrid.get(str(link["href"])).soup.select(".shown")


@pytest.mark.requirement(32)
def test_withdrawing_takes_the_same_steps_as_giving(ingrid: Browser, database: Database) -> None:
    """One page, one box, one button, no question in between, either way."""
    for expected in (set(BOTH), set()):
        page = ingrid.get("/preferences")
        (form,) = [one for one in page.forms() if one.select('[name^="consent-"]')]
        assert len(form.select("button")) == 1
        names = {str(field["name"]) for field in form.select("[name]")}
        assert names == {"csrf_token", "presentation", "consent-marketing", "consent-analytics"}
        sent = ingrid.submit(page, form, {f"consent-{one}": one in expected for one in BOTH})
        assert (sent.status, sent.path) == (200, "/preferences")
        assert permits(database) == expected
    assert states(database) == [
        "analytics: given",
        "analytics: withdrawn",
        "marketing: given",
        "marketing: withdrawn",
    ]


@pytest.mark.requirement(14, 17)
def test_saving_what_is_so_already_records_nothing(ingrid: Browser, database: Database) -> None:
    """And nobody is asked again after a no."""
    choose(ingrid, "marketing")
    before = states(database)
    for _ in range(3):
        choose(ingrid, "marketing")
        assert not ingrid.get("/account").soup.select('[name^="consent-"]')
    assert states(database) == before


@pytest.mark.requirement(32, 72)
def test_changing_ones_mind_too_often_is_paused_and_saying_no_never(
    ingrid: Browser, database: Database, clock: time_machine.Traveller, mails: Mails
) -> None:
    """A yes too many says when to come back and records nothing; the no that is due goes through,
    and an hour later so does the yes."""
    for turn in range(8):
        choose(ingrid, *(BOTH if turn % 2 == 0 else ()))
    choose(ingrid, "analytics")
    before = states(database)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(choosing, "MOST", 10)
        page = choose(ingrid, *BOTH)
        assert page.status == 429
        assert 0 < int(page.headers["Retry-After"]) <= 3601
        assert page.soup.select_one("main time[datetime]")
        assert states(database) == before
        assert permits(database) == {"analytics"}
        assert choose(ingrid).status == 200
        assert permits(database) == set()
        assert choose(ingrid, "marketing").status == 429
        clock.shift(timedelta(hours=1))
        sign_in(ingrid)
        assert choose(ingrid, *BOTH).status == 200
    assert permits(database) == set(BOTH)


@pytest.mark.requirement(17)
def test_who_decides_now_and_then_is_not_counted(
    ingrid: Browser, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer entries altogether than there may be in an hour nothing is looked up."""

    def asked(*_: object) -> None:
        raise AssertionError("nobody is to be looked up")

    monkeypatch.setattr(app.extensions["database"], "first", asked)
    who = Known(UUID(int=1), b"", 15, choosing.MOST - 1)
    choosing._spare(app.extensions["database"], who, at=now())


@pytest.mark.requirement(2, 36)
def test_the_site_is_the_same_with_and_without_consent(ingrid: Browser) -> None:
    """Every page answers alike; yes opens nothing and no closes nothing."""
    paths = ("/", "/account", "/account/details", "/requests/new", "/preferences/history")

    def seen() -> list[tuple[int, list[str]]]:
        pages = [ingrid.get(path) for path in paths]
        return [
            (page.status, [str(a["href"]) for a in page.soup.select("nav a")]) for page in pages
        ]

    without = seen()
    choose(ingrid, *BOTH)
    given = seen()
    choose(ingrid)
    assert without == given == seen()


@pytest.mark.requirement(33)
def test_an_old_tab_is_told_and_changes_nothing(ingrid: Browser, database: Database) -> None:
    """It shows the words again with what is in force now; sending that works."""
    choose(ingrid, *BOTH)
    old = ingrid.get("/preferences")
    choose(ingrid)
    page = choose(ingrid, *BOTH, page=old)
    assert page.status == 422
    assert page.soup.select(".summary")
    assert ticked(page) == set() == permits(database)
    assert choose(ingrid, "marketing", page=page).status == 200
    assert permits(database) == {"marketing"}


@pytest.mark.parametrize("token", ["", "forged", None])
def test_a_form_without_its_words_records_nothing(
    ingrid: Browser, database: Database, token: str | None
) -> None:
    """Missing and forged tokens: 422, the words again, nothing recorded."""
    page = ingrid.get("/preferences")
    csrf = str(page.soup.select_one('[name="csrf_token"]')["value"])  # type: ignore[index]
    data = {"csrf_token": csrf, "consent-marketing": "y"}
    answer = ingrid.send("/preferences", {**data, **({"presentation": token} if token else {})})
    assert answer.status == 422
    assert answer.soup.select(".summary")
    assert permits(database) == set()


@pytest.mark.requirement(33)
def test_a_page_that_was_open_too_long_keeps_the_ticks_and_their_words(
    ingrid: Browser, database: Database, clock: time_machine.Traveller
) -> None:
    """A bad CSRF token: nothing is recorded, and the next try is still the answer to what was
    first shown. After a withdrawal elsewhere it is refused, however often it is sent."""
    choose(ingrid, "analytics")
    old = ingrid.get("/preferences")
    shown = str(old.soup.select_one('[name="presentation"]')["value"])  # type: ignore[index]
    choose(ingrid)
    data = {"csrf_token": "old", "presentation": shown, "consent-marketing": "y"}
    answer = ingrid.send("/preferences", {**data, "consent-analytics": "y"})
    assert answer.status == 422
    assert ticked(answer) == set(BOTH)
    again = choose(ingrid, *BOTH, page=answer)
    assert again.status == 422
    assert permits(database) == set()
    clock.shift(timedelta(hours=13))
    assert ingrid.get("/preferences").path.startswith("/login")


@pytest.mark.requirement(15)
def test_a_yes_that_has_run_out_is_no_yes(
    visitor: Visitor, ingrid: Browser, database: Database, clock: time_machine.Traveller, app: Flask
) -> None:
    """Two years later the box is empty, before and after the ledger has its entry; a new tick is
    a renewal."""
    choose(ingrid, "marketing")
    clock.shift(timedelta(days=731))
    later = visitor()
    sign_in(later)
    assert ticked(later.get("/preferences")) == set() == permits(database)
    upkeep.everything(app.extensions["database"], at=now())
    assert ticked(later.get("/preferences")) == set()
    choose(later, "marketing")
    assert states(database) == ["marketing: expired", "marketing: given", "marketing: renewed"]


@pytest.mark.requirement(16, 33)
def test_a_yes_waits_for_the_address(visitor: Visitor, mails: Mails, database: Database) -> None:
    """Given at sign-up, in effect when the address is confirmed and not before."""
    browser = visitor()
    guest = replace(INGRID, choices={"marketing": True})
    register(browser, guest)
    assert permits(database) == set()
    confirm(browser, mails, guest)
    assert permits(database) == {"marketing"}


@pytest.mark.requirement(9)
def test_who_is_under_fifteen_is_not_offered_the_newsletter(
    visitor: Visitor, mails: Mails, database: Database
) -> None:
    """Its box cannot be ticked, posting it all the same records nothing of it, and the other
    choice works."""
    browser = visitor()
    become_customer(browser, mails, replace(INGRID, age="13"))
    page = browser.get("/preferences")
    offered = [str(box["name"]) for box in page.soup.select('input[name^="consent-"]')]
    assert offered == ["consent-analytics"]
    assert browser.post("/preferences", {"consent-analytics": True}).status == 200
    assert permits(database) == {"analytics"}
    token, csrf = (
        str(browser.get("/preferences").soup.select_one(f'[name="{name}"]')["value"])  # type: ignore[index]
        for name in ("presentation", "csrf_token")
    )
    forced = {"presentation": token, "csrf_token": csrf, "consent-marketing": "y"}
    assert browser.send("/preferences", forced).status == 422
    assert permits(database) == {"analytics"}
    assert states(database) == ["analytics: given"]


@pytest.mark.requirement(34, 45)
def test_the_history_is_ones_own_and_survives_a_purpose_that_is_gone(
    visitor: Visitor, mails: Mails, ingrid: Browser, app: Flask
) -> None:
    """Nobody sees another's decision; one about a purpose that is no longer declared is still
    there, with its words."""
    choose(ingrid, *BOTH)
    links = [
        str(a["href"])
        for a in ingrid.get("/preferences/history").soup.select('.history a[href*="/history/"]')
    ]
    assert len(links) == 4
    other = visitor()
    become_customer(other, mails, replace(INGRID, email="ola@annen.example", name="Ola"))
    assert {other.get(link).status for link in links} == {404}
    assert visitor().get(links[0]).path.startswith("/login")
    info = app.extensions["database"].info
    register_now = info["purposes"]
    left = {name: one for name, one in register_now.purposes.items() if name != "analytics"}
    info["purposes"] = replace(register_now, purposes=left)
    assert ingrid.get("/preferences/history").status == 200
    assert {ingrid.get(link).status for link in links} == {200}


def test_the_picture_has_the_ticks_as_they_were(ingrid: Browser) -> None:
    """Also where only one of the two was changed on the form."""
    choose(ingrid, "marketing")
    choose(ingrid, *BOTH)
    choose(ingrid, "analytics")
    pages = ingrid.get("/preferences/history").soup.select('.history a[href*="/history/"]')
    seen = [
        [box.has_attr("checked") for box in ingrid.get(str(a["href"])).soup.select(".shown input")]
        for a in pages
    ]
    assert seen == [[False, True], [True, True], [True, False], [False, False], [False, False]]


def test_reading_stores_nothing(ingrid: Browser, database: Database) -> None:
    """Looking at choices and history leaves every table as it was."""

    def tables() -> dict[str, list[str]]:
        with database.reading() as session:
            return {
                table.name: sorted(map(repr, session.execute(select(table))))
                for table in readable()
            }

    before = tables()
    for path in ("/preferences", "/preferences/history", "/preferences?lang=nn"):
        ingrid.get(path)
    assert tables() == before
