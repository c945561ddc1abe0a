"""What a person does at a browser, by clicking. Found by id, name and address, never by words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, Guest

if TYPE_CHECKING:
    from playwright.sync_api import Page


def follow(page: Page, address: str, *, within: str = "main") -> None:
    """Click the first link to a page of the site."""
    here = f'{within} a[href="{address}"]', f'{within} a[href^="{address}?"]'
    with page.expect_navigation():
        page.locator(", ".join(here)).first.click()


def send(page: Page) -> int:
    """Press the button of the page's own form; return the status of what comes of it."""
    return press(page, "main form[method=post] button")


def press(page: Page, button: str) -> int:
    """Press a button; return the status of the page it leads to."""
    with page.expect_navigation() as navigation:
        page.locator(button).last.click()
    return navigation.value.status


def fill(page: Page, **fields: str) -> None:
    """Type into fields, by name."""
    for name, text in fields.items():
        page.locator(f"main [name={name}]").fill(text)


def choose(page: Page, name: str, value: str) -> None:
    """Choose one of several."""
    page.locator(f'main input[name="{name}"][value="{value}"]').check()


def fill_in_registration(page: Page, guest: Guest = INGRID) -> None:
    """Fill in the registration form as this person does."""
    for name, value in guest.form().items():
        if name == "age":
            choose(page, name, str(value))
        elif isinstance(value, bool):
            page.locator(f"#{name}").set_checked(value)
        else:
            page.locator(f"#{name}").fill(str(value))


def sign_in(page: Page, guest: Guest = INGRID) -> int:
    """Sign in on the page that asks for it; return the status."""
    page.goto("/login")
    fill(page, email=guest.email, password=guest.password)
    return send(page)


def open_mailed(page: Page, mails: Mails, address: str = EMAIL) -> None:
    """Follow the signed link of the newest mail to an address."""
    page.goto(link_in(mails.last(address)))


def ask(page: Page, mails: Mails, kind: str) -> None:
    """Ask for something while signed out, follow the link and press its button."""
    page.goto("/")
    follow(page, "/requests/new", within="footer")
    choose(page, "kind", kind)
    fill(page, email=EMAIL)
    send(page)
    assert page.url.endswith("/requests/sent")
    open_mailed(page, mails)
    assert page.url.partition("?")[0].endswith("/requests/verify")
    send(page)
    assert "/requests/" in page.url
