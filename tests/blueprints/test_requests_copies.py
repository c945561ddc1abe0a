"""Copies: large ones are made by the worker; none is given to or of somebody who left meanwhile."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from flask import Flask, make_response
from sqlalchemy import select
from werkzeug.exceptions import NotFound

from blueprints.requests.copies import _given as given
from database import Database
from domain.rights import erasure, requests
from domain.rights.models import DataSubjectRequest
from extensions import now
from settings import Settings
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, PASSWORD, ask_signed_in, become_customer, sign_in
from tests.support.tables import count

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who is signed in."""
    browser = visitor()
    become_customer(browser, mails)
    return browser


def taken(database: Database) -> DataSubjectRequest:
    """The only request."""
    with database.reading() as session:
        return session.scalars(select(DataSubjectRequest)).one()


class TestLarge:
    """Where every copy counts as large."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        """None is made while the person waits."""
        return replace(settings, export_at_once=0)

    @pytest.mark.requirement(53, 56)
    def test_a_large_copy_is_made_by_the_worker_and_fetched_once(
        self, ingrid: Browser, visitor: Visitor, app: Flask, mails: Mails, database: Database
    ) -> None:
        """The page says how far it has come, without a script; then it has a button, once; the
        mail's link leads there too."""
        page = ask_signed_in(ingrid, "access")
        waiting = ingrid.press(page, page.path)
        assert waiting.status == 200
        assert ingrid.press(page, page.path).path == waiting.path, "pressed twice"
        assert not waiting.soup.select("main form, script, meta[http-equiv]")
        assert waiting.soup.select_one(f'main a[href="{page.path}"]'), "to look again"
        assert app.extensions["exports"]()
        ready = ingrid.get(page.path)
        assert ready.soup.select_one("main form button")
        link = link_in(mails.last(EMAIL))
        elsewhere = visitor()
        there = elsewhere.press(elsewhere.get(link), "/requests/verify")
        assert there.path == page.path
        given = ingrid.press(ready, page.path)
        assert given.headers["Content-Type"] == "application/zip"
        with zipfile.ZipFile(io.BytesIO(given.response.data)) as archive:
            assert {"index.html", "data.json"} <= set(archive.namelist())
        for browser, old in ((ingrid, ready), (elsewhere, there)):
            gone = browser.press(old, page.path)
            assert gone.headers["Content-Type"].startswith("text/html")
            assert gone.soup.select_one('main a[href="/requests/new?kind=access"]')

    @pytest.mark.requirement(53)
    def test_a_copy_that_nobody_fetches_goes_after_a_day(
        self, ingrid: Browser, app: Flask, mails: Mails, clock: time_machine.Traveller
    ) -> None:
        """Who comes later is told so and asks for a new one."""
        page = ask_signed_in(ingrid, "access")
        ingrid.press(page, page.path)
        app.extensions["exports"]()
        link = link_in(mails.last(EMAIL))
        clock.shift(timedelta(hours=24, seconds=1))
        app.extensions["exports"]()
        assert ingrid.get(link).status == 410
        sign_in(ingrid)
        assert "gone" in ingrid.get(f"{page.path}?lang=en").text
        assert ask_signed_in(ingrid, "access").path != page.path

    @pytest.mark.requirement(53, 66)
    def test_the_link_to_a_copy_works_until_it_was_fetched(
        self,
        ingrid: Browser,
        visitor: Visitor,
        app: Flask,
        mails: Mails,
        clock: time_machine.Traveller,
    ) -> None:
        """Not for one half hour only, and a stranger who asks by the address takes nothing away;
        then it leads to where a new one is asked for."""
        page = ask_signed_in(ingrid, "access")
        ingrid.press(page, page.path)
        app.extensions["exports"]()
        link = link_in(mails.last(EMAIL))
        visitor().post("/requests/new?kind=access", {"email": EMAIL})
        mails.last(EMAIL)
        browser = visitor()
        for _ in range(2):
            there = browser.press(browser.get(link), "/requests/verify")
            assert there.path == page.path
            clock.shift(timedelta(minutes=31))
            assert browser.get(page.path).status == 404
        there = browser.press(browser.get(link), "/requests/verify")
        given = browser.press(there, page.path)
        assert given.headers["Content-Type"] == "application/zip"
        assert given.response.data
        gone = browser.press(browser.get(link), "/requests/verify")
        assert not gone.soup.select("main form button")

    @pytest.mark.requirement(53, 73)
    def test_who_is_signed_in_finds_the_copy_on_its_page(
        self, ingrid: Browser, visitor: Visitor, app: Flask, clock: time_machine.Traveller
    ) -> None:
        """The password opens it, and nothing else does."""
        page = ask_signed_in(ingrid, "access")
        ingrid.press(page, page.path)
        app.extensions["exports"]()
        for _ in range(2):
            clock.shift(timedelta(minutes=20))
            own = ingrid.get(page.path)
        assert not own.soup.select("main form")
        (way,) = own.soup.select(f'main a[href="{page.path}/copy"]')
        asked = ingrid.get(str(way["href"]))
        wrong = ingrid.press(asked, asked.path, {"password": "feil passord her"})
        assert wrong.status == 422
        assert not ingrid.get(page.path).soup.select("main form")
        right = ingrid.press(wrong, asked.path, {"password": PASSWORD})
        assert right.path == page.path
        given = ingrid.press(right, page.path)
        assert given.headers["Content-Type"] == "application/zip"
        assert visitor().get(asked.path).path.startswith("/login")

    @pytest.mark.requirement(59)
    def test_a_copy_of_somebody_who_was_erased_is_not_given(
        self, ingrid: Browser, app: Flask, database: Database
    ) -> None:
        """Neither made nor fetched."""
        page = ask_signed_in(ingrid, "access")
        ingrid.press(page, page.path)
        leave = ask_signed_in(ingrid, "erasure")
        ingrid.press(leave, leave.path)
        app.extensions["exports"]()
        assert ingrid.get(page.path).status == 404
        assert count(database, "export_part") == 0


@pytest.mark.requirement(59)
@pytest.mark.parametrize("ended", ["erased", "taken back"])
def test_what_ended_while_a_copy_was_made_is_not_handed_out(
    ingrid: Browser, app: Flask, database: Database, ended: str
) -> None:
    """The copy is noted before it leaves, and what is closed cannot be noted."""
    ask_signed_in(ingrid, "portability")
    asked = taken(database)
    with app.extensions["database"].transaction() as session:
        current = requests.take(session, asked.id)
        assert current is not None
        assert current.subject_id is not None
        if ended == "erased":
            erasure.forget(session, current.subject_id, "request", at=now())
        else:
            requests.cancel(session, current, at=now())
    with app.test_request_context():
        if ended == "erased":
            with pytest.raises(NotFound):
                given(asked, b"made before", at=now())
        else:
            response = make_response(given(asked, b"made before", at=now()))
            assert response.status_code == 303
            assert b"made before" not in response.get_data()
