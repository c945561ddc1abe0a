"""Programs that open the links in a person's mail before the person does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from database import Database
from domain.identity import accounts
from domain.keys import Keyring
from domain.marketing import tokens
from tests.browser.conftest import Newcomer
from tests.browser.steps import fill, send, sign_in
from tests.support.browser import Browser
from tests.support.links import NEW_EMAIL, NEW_PASSWORD
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, become_customer, register
from tests.support.tables import contents, decided

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TIMES = 10
VISITS = 3


@dataclass(frozen=True)
class Mailed:
    """A link that is mailed, and what the person does with it in the end."""

    asked: Callable[[Browser, Mails], object]
    press: Callable[[Page], None]
    to: str = EMAIL


def ask(kind: str) -> Callable[[Browser, Mails], object]:
    """Register, and ask by mail."""

    def asked(browser: Browser, mails: Mails) -> None:
        become_customer(browser, mails)
        if kind == "new_address":
            wanted = {"email": NEW_EMAIL, "password": INGRID.password}
            browser.post("/account/email", wanted)
        elif kind == "reset":
            browser.post("/password/forgotten", {"email": EMAIL})
        else:
            browser.post("/logout", page=browser.get("/account"))
            more = {"about": "marketing"} if kind == "objection" else {}
            browser.post(f"/requests/new?kind={kind}", {"email": EMAIL, **more})

    return asked


def confirm(page: Page) -> None:
    """Her password and the button confirm, since she asked elsewhere; she can sign in."""
    fill(page, password=INGRID.password)
    send(page)
    assert page.url.endswith("/login")
    sign_in(page)
    assert page.url.endswith("/account")


def confirm_new(page: Page) -> None:
    """Her password and the button make it her address."""
    fill(page, password=INGRID.password)
    send(page)
    assert page.url.endswith("/login")
    fill(page, email=NEW_EMAIL, password=INGRID.password)
    send(page)
    assert page.url.endswith("/account")


def reset(page: Page) -> None:
    """She types a password, and signs in with it."""
    fill(page, password=NEW_PASSWORD)
    send(page)
    assert page.url.endswith("/login")
    fill(page, email=EMAIL, password=NEW_PASSWORD)
    send(page)
    assert page.url.endswith("/account")


def copy(page: Page) -> None:
    """Two buttons, and she has her copy."""
    send(page)
    with page.expect_download() as download:
        page.locator("main form button").click()
    assert download.value.suggested_filename.endswith(".zip")


def correct(page: Page) -> None:
    """A button, and she has her details before her."""
    send(page)
    fill(page, name="Ingrid Endresen")
    send(page)
    assert "/details" not in page.url


def at_once(page: Page) -> None:
    """A button, and it is done: there is no other."""
    send(page)
    assert "/requests/" in page.url
    assert not page.locator("main .danger").count()


def erase(page: Page) -> None:
    """Two buttons, and she is gone."""
    send(page)
    assert page.locator("#goes").is_visible()
    send(page)
    sign_in(page)
    assert page.url.endswith("/login")


LINKS = {
    "confirm": Mailed(lambda browser, mails: register(browser), confirm),
    "new_address": Mailed(ask("new_address"), confirm_new, to=NEW_EMAIL),
    "reset": Mailed(ask("reset"), reset),
    "access": Mailed(ask("access"), copy),
    "portability": Mailed(ask("portability"), copy),
    "rectification": Mailed(ask("rectification"), correct),
    "restriction": Mailed(ask("restriction"), at_once),
    "objection": Mailed(ask("objection"), at_once),
    "erasure": Mailed(ask("erasure"), erase),
}


ACCOUNT = ("confirm", "new_address", "reset")


@pytest.mark.requirement(66, 69, 71)
@pytest.mark.parametrize("kind", LINKS)
def test_opening_a_link_changes_nothing(
    kind: str,
    visitor: Callable[..., Browser],
    newcomer: Newcomer,
    mails: Mails,
    database: Database,
) -> None:
    """Ten times with GET and with HEAD, and again and again in a browser that runs scripts, from
    elsewhere; then the person's own click does what the mail said."""
    mailed = LINKS[kind]
    mailed.asked(visitor(), mails)
    link = link_in(mails.last(mailed.to))
    before = contents(database)

    for _ in range(TIMES):
        assert visitor(address="198.51.100.8").get(link).status == 200
        # Follows the redirect with its cookie, as far as the page with the button.
        assert visitor(address="198.51.100.9").get(link, method="HEAD").status == 200
    scan(newcomer(ip="198.51.100.10"), link)
    assert contents(database) == before

    person = newcomer()
    person.goto(link)
    assert kind in ACCOUNT or person.url.partition("?")[0].endswith("/verify")
    mailed.press(person)


@pytest.mark.requirement(40)
def test_opening_an_unsubscribe_link_changes_nothing(
    visitor: Callable[..., Browser],
    newcomer: Newcomer,
    mails: Mails,
    database: Database,
    keys: Keyring,
) -> None:
    """The same, and fetched beforehand, as browsers do; then the person's own click ends the
    newsletter."""
    become_customer(visitor(), mails, replace(INGRID, choices={"marketing": True}))
    with database.reading() as session:
        account = accounts.find(session, EMAIL)
        assert account
        link = f"/unsubscribe/{tokens.make(keys, account.subject_id, account.opened_at)}"
    before = contents(database)

    for _ in range(TIMES):
        for purpose in ("", "prefetch", "prefetch;prerender"):
            answer = visitor(address="198.51.100.8").get(link, Sec_Purpose=purpose)
            assert (answer.status, answer.headers.get("Set-Cookie")) == (200, None)
        assert visitor(address="198.51.100.9").get(link, method="HEAD").status == 200
    scan(newcomer(ip="198.51.100.10"), link)
    assert contents(database) == before

    person = newcomer()
    person.goto(link)
    send(person)
    assert ("withdrawn", "marketing") in decided(database)
    assert not person.context.cookies()


def scan(page: Page, link: str) -> None:
    """Open it again and again, wait for scripts, look at everything, press nothing."""
    for time in range(VISITS):
        page.goto(link, wait_until="load")
        assert page.locator("main form button").count() == 1
        assert "/confirm/" not in page.url
        if time == 0:
            # Left open for a moment; then what a script of the scanner's own might do.
            page.wait_for_timeout(250)
            page.mouse.move(200, 200)
            page.locator("main form button").hover()
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
            page.reload()
