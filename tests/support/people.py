"""People who use the site, and the steps that bring them there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in

PASSWORD = "graut med smør og kanel"
EMAIL = "ingrid.h@kunde.example"


@dataclass(frozen=True)
class Guest:
    """Somebody who signs up."""

    email: str = EMAIL
    password: str = PASSWORD
    name: str = "Ingrid Haugland-Testesen"
    age: str = "15"
    phone: str = "+47 412 34 567"
    address: str = "Prøvegata 17"
    postal_code: str = "7010"
    city: str = "Grautvika"
    choices: Mapping[str, bool] = field(default_factory=dict)

    def form(self) -> dict[str, str | bool | None]:
        """The registration form as this person fills it in; `choices` by purpose."""
        filled: dict[str, str | bool | None] = {
            name: getattr(self, name)
            for name in ("name", "email", "password", "age", "phone", "address", "postal_code")
        }
        ticked = {f"consent-{purpose}": yes for purpose, yes in self.choices.items()}
        return {**filled, "city": self.city, "terms": True, **ticked}


INGRID = Guest()


def register(browser: Browser, guest: Guest = INGRID) -> Page:
    """Send the registration form."""
    return browser.post("/register", guest.form())


def confirm(browser: Browser, mails: Mails, guest: Guest = INGRID) -> Page:
    """Follow the link in the newest mail and press its button."""
    return press_confirm(browser, browser.get(link_in(mails.last(guest.email))), guest)


def press_confirm(browser: Browser, page: Page, guest: Guest = INGRID) -> Page:
    """Press the button; with the password where another browser is asked for it."""
    asked = page.soup.select_one("main input[name=password]")
    return browser.press(page, "/confirm", {"password": guest.password} if asked else {})


def sign_in(browser: Browser, guest: Guest = INGRID) -> Page:
    """Sign in."""
    return browser.post("/login", {"email": guest.email, "password": guest.password})


def become_customer(browser: Browser, mails: Mails, guest: Guest = INGRID) -> Page:
    """Register, confirm and sign in, on the page that confirming leads to."""
    register(browser, guest)
    page = confirm(browser, mails, guest)
    assert page.path == "/login", page.text
    return browser.post("/login", {"email": guest.email, "password": guest.password}, page=page)


def ask(browser: Browser, mails: Mails, kind: str, guest: Guest = INGRID, **filled: str) -> Page:
    """Ask for something by mail, follow the link and press its button."""
    asked = {"email": guest.email, **filled}
    browser.post(f"/requests/new?kind={kind}", asked)
    return browser.press(browser.get(link_in(mails.last(guest.email))), "/requests/verify")


def ask_signed_in(browser: Browser, kind: str, **filled: str) -> Page:
    """Ask for something from the account."""
    proof = {"password": PASSWORD} if kind in ("access", "portability", "erasure") else {}
    return browser.post(f"/requests/new?kind={kind}", {**proof, **filled})
