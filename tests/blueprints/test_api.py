"""«May I?», the section for other pages, and the signal: what programs of the same origin ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from time_machine import Traveller

import settings as site_settings
from database import Database
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import Guest, become_customer
from tests.support.tables import contents

Visitors = Callable[..., Browser]

EMBEDDING = site_settings.ROOT / "docs" / "embedding"
SCHEMA = Draft202012Validator(json.loads((EMBEDDING / "permission.schema.json").read_text()))
GPC: dict[str, Any] = {"Sec-GPC": "1"}

pytestmark = pytest.mark.usefixtures("clock")


def may_i(browser: Browser, purpose: str = "analytics", **headers: Any) -> tuple[Any, bool]:
    """Who decided, and what."""
    page = browser.get(f"/api/v1/permission?purpose={purpose}", **headers)
    assert page.status == 200
    said = page.response.get_json()
    SCHEMA.validate(said)
    assert said["purpose"] == purpose
    return said["decided_by"], said["permitted"]


def choose(browser: Browser, button: str, **headers: Any) -> Page:
    """Answer on the page of its own."""
    page = browser.get("/consent", **headers)
    return browser.submit(page, page.form({}, "/consent"), {}, button=button, **headers)


@pytest.mark.requirement(19, 28, 31)
def test_the_answer_is_what_this_browser_said_last(
    client: Browser, clock: Traveller, database: Database
) -> None:
    """Nothing is a no; a yes is one until it is taken back, ends, or the browser's signal says
    otherwise. Asking stores nothing and sets nothing."""
    before = contents(database)
    assert may_i(client) == (None, False)
    assert contents(database) == before
    assert client.cookie("choice") is None
    choose(client, "accept")
    assert may_i(client) == ("browser", True)
    assert may_i(client, **GPC) == ("browser", False)
    assert may_i(client, **{"Sec-GPC": "true"}) == ("browser", True)
    assert may_i(client, "marketing") == (None, False)
    choose(client, "refuse")
    assert may_i(client) == ("browser", False)
    choose(client, "accept", **GPC)
    assert may_i(client, **GPC) == ("browser", True)
    clock.shift(timedelta(days=366))
    assert may_i(client) == (None, False)


def test_signed_in_the_account_answers(client: Browser, mails: Mails) -> None:
    """Whatever the browser said before; and for what visitors are never asked."""
    choose(client, "accept")
    become_customer(client, mails, Guest(choices={"marketing": True, "analytics": False}))
    assert may_i(client) == ("account", False)
    assert may_i(client, "marketing") == ("account", True)
    client.post("/preferences", {"consent-analytics": True, "consent-marketing": False})
    assert may_i(client) == ("account", True)
    assert may_i(client, **GPC) == ("account", False)
    assert may_i(client, "marketing") == ("account", False)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("query", ["", "?purpose=", "?purpose=x", "?purpose=account"])
def test_what_rests_on_no_consent_is_no_purpose_here(client: Browser, query: str) -> None:
    page = client.get(f"/api/v1/permission{query}")
    assert (page.status, page.response.get_json()) == (404, {"error": "unknown purpose"})


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_no_other_origin_reads_the_answer_and_nothing_keeps_it(client: Browser) -> None:
    for path in ("/api/v1/permission?purpose=analytics", "/consent/section?next=/blog/"):
        headers = client.get(path, Origin="https://evil.example").headers
        assert headers["Cache-Control"] == "no-store"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert {"Cookie", "Sec-GPC"} <= set(headers["Vary"].split(", "))
        assert not [name for name in headers.keys() if name.startswith("Access-Control")]
        assert "Set-Cookie" not in headers


@pytest.mark.requirement(20, 24, 26, 31)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_section_of_another_page_comes_back_to_it(client: Browser) -> None:
    """The same form as on our own pages, and nothing once it was answered or signalled."""
    address = "/consent/section?next=/blog/%3Fpage%3D2"
    assert client.get(address, **GPC).html == ""
    page = client.get(address)
    assert [one.name for one in page.soup.find_all(True, recursive=False)] == ["section"]
    form = page.form({"next": "/blog/?page=2"}, "/consent")
    sent = client.submit(page, form, {}, button="refuse")
    assert sent.path == "/blog/?page=2"
    assert client.get(address).html == ""


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("target", ["", "//evil.example", "https://evil.example/", "/\\evil", "x"])
def test_the_section_leads_to_no_other_host(client: Browser, target: str) -> None:
    assert client.get(f"/consent/section?next={target}").status == 400


@pytest.mark.requirement(31)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_site_says_that_it_obeys_the_signal(client: Browser) -> None:
    page = client.get("/.well-known/gpc.json")
    said = page.response.get_json()
    assert page.response.mimetype == "application/json"
    assert (said.keys(), said["gpc"]) == ({"gpc", "lastUpdate"}, True)
    date.fromisoformat(said["lastUpdate"])
