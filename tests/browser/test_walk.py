"""The site's main job in a real browser, by clicking as a person does."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from flask import Flask

from settings import Settings
from tests.browser.conftest import Newcomer
from tests.browser.steps import (
    ask,
    fill,
    fill_in_registration,
    follow,
    open_mailed,
    send,
    sign_in,
)
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID
from tests.support.traces import Logged, traces

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.mark.requirement(2, 13, 26, 32, 53, 59, 69, 74)
@pytest.mark.parametrize(
    ("backend", "javascript"),
    [("sqlite", True), ("postgresql", True), ("sqlite", False)],
    indirect=["backend"],
)
def test_sign_up_choose_and_leave(
    newcomer: Newcomer,
    mails: Mails,
    app: Flask,
    settings: Settings,
    logged: Logged,
    javascript: bool,
) -> None:
    """A person signs up, confirms, decides, reads what she was shown, takes a copy and leaves;
    then the ledger verifies, and she is nowhere."""
    page = newcomer(javascript=javascript)
    sign_up(page, mails)
    change_choices(page)
    read_history(page)
    with page.expect_navigation():
        page.locator('header form[action="/logout"] button').click()
    take_copy(page, mails)
    leave(page, mails)

    assert len(mails.to(EMAIL)) == 1, "the development folder keeps only the last mail"
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 0, result.output
    assert traces(app, settings, log=str(logged)) == []


def sign_up(page: Page, mails: Mails) -> None:
    """Marketing yes, analytics no; confirm, and sign in."""
    page.goto("/")
    follow(page, "/register")
    assert not page.locator("[type=checkbox]:checked").count()
    fill_in_registration(page, replace(INGRID, choices={"marketing": True}))
    send(page)
    assert page.url.endswith("/register/sent")
    open_mailed(page, mails)
    assert page.url.partition("?")[0].endswith("/confirm"), "the token has left the address bar"
    send(page)
    assert page.url.endswith("/login")
    fill(page, email=INGRID.email, password=INGRID.password)
    send(page)
    assert page.url.endswith("/account")
    assert INGRID.name in page.locator("main").inner_text()


def change_choices(page: Page) -> None:
    """Withdraw marketing and give analytics, in one form and one click more each."""
    follow(page, "/preferences", within="header")
    assert page.locator("#consent-marketing").is_checked()
    assert not page.locator("#consent-analytics").is_checked()
    page.locator("#consent-marketing").uncheck()
    page.locator("#consent-analytics").check()
    send(page)
    assert page.locator("[role=status] .success").count() == 1
    assert not page.locator("#consent-marketing").is_checked()
    assert page.locator("#consent-analytics").is_checked()


def read_history(page: Page) -> None:
    """Four decisions; the first shows the form as she answered it then."""
    follow(page, "/preferences/history")
    assert page.locator(".history li").count() == 4
    ticked = []
    for place in (3, 2):
        with page.expect_navigation():
            page.locator(".history li a[href*='/history/']").nth(place).click()
        wording = page.locator("#shown-marketing-wording").inner_text()
        assert len(wording) > 100
        assert page.locator(".shown input:disabled").count() == 2
        ticked.append([page.locator(f"#shown-{one}").is_checked() for one in CHOICES])
        follow(page, "/preferences/history")
    assert ticked == [[True, False], [True, False]]


CHOICES = ("marketing", "analytics")


def take_copy(page: Page, mails: Mails) -> None:
    """Everything is in the ZIP, for her and for machines."""
    ask(page, mails, "access")
    with page.expect_download() as download:
        page.locator("main form button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        document = json.loads(archive.read("data.json"))
        html = archive.read("index.html").decode()
    kept = json.dumps(document, ensure_ascii=False)
    for part in (INGRID.name, INGRID.email, INGRID.address, INGRID.city, "consent.withdrawn"):
        assert part in kept
    assert INGRID.address in html


def leave(page: Page, mails: Mails) -> None:
    """One page says what goes and what stays, one button does it."""
    ask(page, mails, "erasure")
    assert page.locator("#goes").is_visible()
    assert page.locator("#stays").is_visible()
    assert not page.locator("main input:visible").count(), "nothing more is asked"
    send(page)
    assert not page.locator("main form").count()
    sign_in(page)
    assert page.url.endswith("/login")
    assert page.locator(".summary").count() == 1
