"""The main flows with the keyboard alone, in a browser without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Newcomer
from tests.browser.keyboard import enter, focused, has_focus, reachable, round_trip, tab_to, write
from tests.browser.steps import open_mailed, send, sign_in
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, become_customer, register

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

SUBMIT = "main form button"


@pytest.mark.requirement(24, 26, 88)
def test_sign_up_choose_and_leave(newcomer: Newcomer, mails: Mails) -> None:
    """Everything that a mouse does on the walk, Tab, arrows, Space and Enter do as well."""
    page = newcomer(javascript=False)
    page.goto("/")
    enter(page, "section button[value=refuse]")
    page.keyboard.press("Tab")
    assert has_focus(page, ".skip")
    page.keyboard.press("Enter")
    assert has_focus(page, "main")
    enter(page, 'main a[href="/register"]')
    fill_in_registration(page)
    enter(page, SUBMIT)
    assert page.url.endswith("/register/sent")

    open_mailed(page, mails)
    enter(page, SUBMIT)
    assert page.url.endswith("/login")
    write(page, email=EMAIL, password=INGRID.password)
    with page.expect_navigation():
        page.keyboard.press("Enter")  # in the field, as people do
    assert page.url.endswith("/account")

    change_choices(page)
    take_copy_and_leave(page)


def fill_in_registration(page: Page) -> None:
    """Radio buttons with the arrows, boxes with Space."""
    write(page, name=INGRID.name, email=INGRID.email, password=INGRID.password)
    tab_to(page, "[name=age]")
    page.keyboard.press("ArrowDown")
    assert page.locator("#age-1").is_checked()
    page.keyboard.press("ArrowUp")
    assert page.locator("#age-0").is_checked()
    write(page, phone=INGRID.phone)
    tab_to(page, "#consent-marketing")
    page.keyboard.press("Space")
    assert page.locator("#consent-marketing").is_checked()
    tab_to(page, "#terms")
    page.keyboard.press("Space")


def change_choices(page: Page) -> None:
    """Withdraw one, give the other, and see what was shown."""
    enter(page, 'header a[href="/preferences"]')
    for purpose in ("marketing", "analytics"):
        tab_to(page, f"#consent-{purpose}")
        page.keyboard.press("Space")
    enter(page, SUBMIT)
    assert not page.locator("#consent-marketing").is_checked()
    assert page.locator("#consent-analytics").is_checked()
    enter(page, 'main a[href="/preferences/history"]')
    enter(page, ".history a")
    assert page.locator(".shown").is_visible()


def take_copy_and_leave(page: Page) -> None:
    """From the account, with the password."""
    for kind in ("access", "erasure"):
        page.goto("/account")
        enter(page, f'a[href="/requests/new?kind={kind}"]')
        write(page, password=INGRID.password)
        enter(page, SUBMIT)
        tab_to(page, SUBMIT)
        if kind == "access":
            with page.expect_download():
                page.keyboard.press("Enter")
        else:
            with page.expect_navigation():
                page.keyboard.press("Enter")
    assert not page.locator("main form").count()
    assert page.locator('header a[href="/login"]').is_visible()


@pytest.mark.requirement(24, 88)
@pytest.mark.parametrize("width", [320, 1280])
def test_every_stop_is_reached_seen_and_left(
    width: int, newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """Tab stops once at each control, in the order of the page, with a ring round it and nothing
    before it, and gets out again; backwards it is the same way."""
    become_customer(visitor(), mails)
    page = newcomer(javascript=False)
    page.set_viewport_size({"width": width, "height": 500})
    for path in ("/", "/register", "/ledger/verify"):
        look_round(page, path)
    sign_in(page)
    for path in ("/account", "/account/details", "/account/privacy", "/preferences"):
        look_round(page, path)


def look_round(page: Page, path: str) -> None:
    """Go round a page."""
    page.goto(path)
    stops = round_trip(page)
    assert [stop.place for stop in stops] == reachable(page), path
    for stop in stops:
        assert stop.ring, f"{path}: no ring at {stop.what}"
        assert stop.seen, f"{path}: something stands before {stop.what}"
    tops = [stop.top for stop in stops if stop.area == "MAIN"]
    assert all(down >= up - 2 for up, down in pairwise(tops)), path
    page.goto(path)
    back = round_trip(page, "Shift+Tab")
    # By name: a group of radio buttons with none chosen is entered at its end from behind.
    assert [stop.what for stop in back[::-1]] == [stop.what for stop in stops], path


@pytest.mark.requirement(86)
@pytest.mark.parametrize("javascript", [True, False])
def test_the_summary_takes_the_focus_and_leads_to_the_fields(
    javascript: bool, newcomer: Newcomer, visitor: Callable[..., Browser]
) -> None:
    """After a failed try the summary has the focus, and Enter on its links moves it on."""
    register(visitor())
    page = newcomer(javascript=javascript)
    for path, fields in {
        "/register": ("name", "email", "password", "age-0", "terms"),
        "/login": ("email", "password"),
        "/requests/new": ("kind-0", "email"),
        "/requests/new?kind=objection": ("about-0", "email"),
        "/password/forgotten": ("email",),
        "/ledger/verify": ("receipt",),
    }.items():
        page.goto(path)
        send(page)
        assert has_focus(page, ".summary"), path
        links = page.locator(".summary a")
        assert [link.get_attribute("href") for link in links.all()] == [f"#{f}" for f in fields]
        for field in fields:
            tab_to(page, f'.summary a[href="#{field}"]')
            page.keyboard.press("Enter")
            assert has_focus(page, f"#{field}"), f"{path} #{field}"
            stop = focused(page)
            assert stop is not None
            assert stop.ring
            assert stop.seen
