"""Every page and every state of the site, to be looked at one after the other.

A tour takes a browser through a part of the site and yields the name of each state when it is
on the page. `ENDPOINTS` says which pages the tours show: a test holds that none is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from flask import Flask
from time_machine import Traveller

from database import Database
from tests.browser import privacy_tour, staff_tour
from tests.browser.consent_tour import newsletter, renewal, visitor
from tests.browser.privacy_tour import privacy
from tests.browser.staff_tour import staff
from tests.browser.steps import (
    choose,
    fill,
    fill_in_registration,
    open_mailed,
    press,
    send,
    sign_in,
)
from tests.support.browser import Browser
from tests.support.links import NEW_EMAIL, NEW_PASSWORD
from tests.support.mails import Mails, receipts_in
from tests.support.people import EMAIL, INGRID, Guest, become_customer, register

if TYPE_CHECKING:
    from playwright.sync_api import Page

LONG_AGO = "2018-05-07"
TOOLS = (
    "clothes-for-the-weather?temperature=-3&weather=rain&wind=y",
    "morning-planner?leave=07:30",
)
ASKING = ("/requests/new", "/requests/new?kind=objection", "/requests/follow")


@dataclass(frozen=True)
class Guide:
    """What a tour needs."""

    page: Page
    app: Flask
    mails: Mails
    visitor: Callable[..., Browser]
    clock: Traveller
    locale: str

    def become_customer(self, guest: Guest = INGRID) -> None:
        """Have an account, in the language of the tour, and sign in."""
        become_customer(self.visitor(locale=self.locale), self.mails, guest)
        assert sign_in(self.page, guest) == 200

    def go(self, *paths: str) -> Iterator[str]:
        """Look at these addresses."""
        for path in paths:
            self.page.goto(path)
            yield path


Tour = Callable[[Guide], Iterator[str]]


def anyone(guide: Guide) -> Iterator[str]:
    """What anyone can open."""
    yield from guide.go(
        *("/", "/processors", "/cookies", "/contact", "/dev/mail"),
        *("/notices/privacy", "/notices/privacy/versions", "/notices/terms"),
        f"/notices/privacy/versions/{LONG_AGO}",
        *("/register", "/register/sent", "/login", "/requests/new", "/requests/sent"),
        *(f"/requests/new?kind={kind}" for kind in ("access", "objection", "enquiry")),
        *("/requests/follow", "/requests/sent?kind=enquiry"),
        *("/password/forgotten", "/password/forgotten/sent"),
        *("/tips", "/tips/calmer-mornings", "/tips/rainy-days?answered="),
        *(f"/tips/{tool}" for tool in TOOLS),
    )


def wrong(guide: Guide) -> Iterator[str]:
    """Every form that anyone can fill in, filled in wrongly."""
    page = guide.page
    for path in ("/register", "/login", "/password/forgotten", *ASKING):
        page.goto(path)
        send(page)
        yield f"{path}, nothing filled in"
    page.goto("/register")
    fill_in_registration(page, replace(INGRID, age="13", choices={"marketing": True}))
    send(page)
    yield "/register, too young for what was ticked"
    page.goto("/register")
    page.locator("[name=presentation]").evaluate("field => { field.value = 'x' }")
    fill_in_registration(page)
    send(page)
    yield "/register, words that are not the current ones"
    page.goto("/login")
    fill(page, email=EMAIL, password="not this one")
    send(page)
    yield "/login, refused"
    page.goto("/tips/morning-planner?leave=&pack=91")
    yield "/tips/<slug>, a tool filled in wrongly"


def account(guide: Guide) -> Iterator[str]:
    """The account's pages, and what they say when they are filled in wrongly."""
    page = guide.page
    guide.become_customer()
    yield from guide.go("/", "/account", "/account/details", "/account/email", "/account/password")
    for path in ("/account/email", "/account/password"):
        page.goto(path)
        send(page)
        yield f"{path}, nothing filled in"
    page.goto("/account/details")
    fill(page, name="", phone="1", postal_code="<")
    send(page)
    yield "/account/details, wrong"
    page.goto("/account/email")
    fill(page, email=NEW_EMAIL, password=INGRID.password)
    send(page)
    yield "/account, with an address that waits"
    open_mailed(page, guide.mails, NEW_EMAIL)
    yield "/confirm, for the new address"
    guide.mails.deliver()
    page.goto("/dev/mail")
    yield "/dev/mail, with mails"
    with page.expect_navigation():
        page.locator("tbody a").first.click()
    yield "/dev/mail/<name>"
    yield from guide.go(f"{page.url}/html")
    yield from newsletter(guide)


def choices(guide: Guide) -> Iterator[str]:
    """The preferences and the history, and the requests of who is signed in."""
    page = guide.page
    guide.become_customer(replace(INGRID, age="13", choices={"analytics": True}))
    yield from guide.go("/preferences", "/preferences/history")
    with page.expect_navigation():
        page.locator(".history a").first.click()
    yield "/preferences/history/<entry_id>"
    guide.app.extensions["sequencer"].run_once()
    with page.expect_navigation():
        page.locator("main a[href*='/receipts/']").first.click()
    yield "/preferences/receipts/<entry_id>"
    page.goto("/preferences")
    page.locator("#consent-analytics").uncheck()
    send(page)
    yield "/preferences, saved"
    page.goto("/preferences/history")
    with page.expect_navigation():
        page.locator("main a[href*='/receipts/']").first.click()
    yield "/preferences/receipts/<entry_id>, not ready yet"
    page.goto("/preferences")
    page.locator("[name=presentation]").evaluate("field => { field.value = 'x' }")
    send(page)
    yield "/preferences, words that are not the current ones"
    yield from asked(guide)
    yield from guide.go("/account")
    yield from renewal(guide)


def asked(guide: Guide) -> Iterator[str]:
    """The requests of who is signed in."""
    page = guide.page
    page.goto("/requests/new")
    send(page)
    yield "/requests/new, signed in, nothing filled in"
    page.goto("/requests/new?kind=restriction")
    yield "/requests/new, restriction, one button"
    send(page)
    yield "/requests/<reference>, restricted"
    page.goto("/requests/new?kind=objection")
    choose(page, "about", "support")
    fill(page, words="Kvifor?\n\nDet vil eg vite.")
    send(page)
    yield "/requests/<reference>, an objection that is looked into"
    page.goto(f"{page.url}/write")
    send(page)
    yield "/requests/<reference>/write, nothing written"
    for kind in ("erasure", "access"):
        page.goto(f"/requests/new?kind={kind}")
        fill(page, password=INGRID.password)
        send(page)
        yield f"/requests/<reference>, {kind}, signed in"
    with page.expect_download():
        page.locator("main form button").click()
    page.reload()
    yield "/requests/<reference>, the copy was taken"
    yield from large_copy(guide)


def large_copy(guide: Guide) -> Iterator[str]:
    """A copy that the worker makes, and the password that leads to it later."""
    page, parts = guide.page, guide.app.extensions
    parts["settings"] = replace(parts["settings"], export_at_once=0)
    page.goto("/requests/new?kind=access")
    fill(page, password=INGRID.password)
    send(page)
    page.locator("main form button").click()
    yield "/requests/<reference>, a copy is being made"
    own = page.url
    while parts["exports"]():
        pass
    page.context.clear_cookies(name="session")  # it is another day
    sign_in(page, INGRID)
    page.goto(f"{own}/copy")
    yield "/requests/<reference>/copy, the password"


def ledger(guide: Guide) -> Iterator[str]:
    """The ledger in public, empty and not, and the check of a receipt."""
    page = guide.page
    page.goto("/ledger")
    yield "/ledger, empty"
    guide.become_customer()
    yield from guide.go("/ledger", "/ledger/verify")
    send(page)
    yield "/ledger/verify, nothing given"
    fill(page, text="not a receipt")
    send(page)
    yield "/ledger/verify, what is no receipt"
    fill(page, text=receipts_in(guide.mails.last(EMAIL))[-1].decode())
    assert send(page) == 200
    yield "/ledger/verify, a receipt that is right"


def links(guide: Guide) -> Iterator[str]:
    """What stands behind the links in the mails, to the end."""
    page, mails = guide.page, guide.mails
    register(guide.visitor(locale=guide.locale))
    open_mailed(page, mails)
    yield "/confirm, in another browser than was registered in"
    assert send(page) == 422
    yield "/confirm, without the password"
    fill(page, password=INGRID.password)
    assert send(page) == 200
    yield "/login, after confirming"
    page.goto("/confirm/x")
    yield "/confirm, a bad link"
    page.goto("/password/forgotten")
    fill(page, email=EMAIL)
    send(page)
    open_mailed(page, mails)
    yield "/password/reset"
    fill(page, password="password1")
    send(page)
    yield "/password/reset, wrong"
    fill(page, password=NEW_PASSWORD)
    send(page)
    yield from rights(guide)


def rights(guide: Guide) -> Iterator[str]:
    """The links of the requests, each to the end."""
    page, mails = guide.page, guide.mails
    for kind in ("access", "rectification", "restriction", "objection", "erasure"):
        page.goto(f"/requests/new?kind={kind}")
        if kind == "objection":
            choose(page, "about", "marketing")
        fill(page, email=EMAIL)
        send(page)
        open_mailed(page, mails)
        yield f"/requests/verify, {kind}"
        if kind == "access":
            guide.clock.shift(timedelta(minutes=61))
            page.reload()
            yield "/requests/verify, expired"
            continue
        send(page)
        yield f"what follows the link, {kind}"
        if kind == "rectification":
            fill(page, name="", phone="1")
            send(page)
            yield "/requests/<reference>/details, wrong"
    send(page)
    yield "/requests/<reference>, erased"


def failures(guide: Guide) -> Iterator[str]:
    """Errors."""
    page, app = guide.page, guide.app
    for path, answer in (("/nowhere", 404), ("/logout", 405)):
        shown = page.goto(path)
        assert shown is not None
        assert shown.status == answer
        yield f"{answer}"
    page.goto("/register")
    page.locator("#name").evaluate("field => { field.maxLength = 99999 }")
    page.locator("#name").fill("N" * 70_000)
    assert send(page) == 413
    yield "413"
    guide.become_customer()
    page.context.clear_cookies(name="session")
    assert press(page, "header form button") == 403
    yield "403"
    stranger = replace(INGRID, password="not this one")
    while (answer := sign_in(page, stranger)) == 422:
        pass
    assert answer == 429
    yield "429"
    database = app.extensions["database"]
    away = Database("sqlite:////nowhere/at/all.db", info=database.info)
    app.extensions["database"] = away
    try:
        shown = page.goto("/notices/privacy")
        assert shown is not None
        assert shown.status == 503
        yield "503"
    finally:
        app.extensions["database"] = database
        away.close()


TOURS: Mapping[str, Tour] = {
    tour.__name__: tour
    for tour in (anyone, wrong, visitor, account, choices, ledger, links, privacy, staff, failures)
}
# The pages that the tours show, and what has no page of its own: files, redirects.
ENDPOINTS: Mapping[str, frozenset[str]] = {
    "anyone": frozenset(
        {
            *("site.front", "site.processors", "site.cookies", "site.contact", "site.notice"),
            *("site.versions", "site.version", "development.mailbox"),
            *("accounts.register", "accounts.registered", "accounts.login", "requests.new"),
            *("requests.sent", "accounts.forgotten", "accounts.forgotten_sent"),
            *("requests.follow", "site.tips", "site.tip"),
        }
    ),
    "wrong": frozenset({"accounts.register", "accounts.login", "requests.new", "requests.follow"}),
    "visitor": frozenset({"preferences.consent", "preferences.visitor_receipt"}),
    "account": frozenset(
        {
            *("accounts.account", "accounts.details", "accounts.email", "accounts.password"),
            *("accounts.confirm_address", "development.mail", "development.html"),
            *("preferences.unsubscribe", "preferences.decision"),
        }
    ),
    "choices": frozenset(
        {
            *("preferences.show", "preferences.history", "preferences.decision"),
            "preferences.renew",
            *("preferences.receipt", "requests.new", "requests.show", "accounts.account"),
            *("requests.write", "requests.copy"),
        }
    ),
    "ledger": frozenset({"ledger.explain", "ledger.verify"}),
    "links": frozenset(
        {
            *("accounts.confirm_address", "accounts.reset_password", "requests.verify_request"),
            *("requests.show", "requests.details"),
        }
    ),
    "privacy": privacy_tour.ENDPOINTS,
    "staff": staff_tour.ENDPOINTS,
    "failures": frozenset(),
}
PAGELESS = frozenset(
    {
        *("static", "site.healthz", "site.readyz", "site.security_txt", "site.change_password"),
        *("site.gpc", "api.permission", "preferences.section"),
        "site.portability_schema",
        *("accounts.confirm", "accounts.reset", "requests.verify"),
        *("ledger.checkpoint", "ledger.key", "ledger.tile", "development.attachment"),
        *("preferences.receipt_file", "preferences.receipt_entry", "preferences.receipt_record"),
    }
)
