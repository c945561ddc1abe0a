"""The links that the account's mails carry, and what is done with each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, become_customer, press_confirm, register

NEW_EMAIL = "ingrid.ny@kunde.example"
NEW_PASSWORD = "et annet og bedre ord"


@dataclass(frozen=True)
class Way:
    """One kind of link: how to ask for it, and the form that its page holds."""

    ask: Callable[[Browser], Page]
    to: str
    path: str
    again: str
    filled: Mapping[str, str] = field(default_factory=dict)
    customer: bool = True

    def prepare(self, browser: Browser, mails: Mails) -> None:
        """Bring Ingrid to where she can ask."""
        if self.customer:
            become_customer(browser, mails)

    def link(self, browser: Browser, mails: Mails) -> str:
        """Ask, and take the link out of the mail."""
        self.ask(browser)
        return link_in(mails.last(self.to))

    def press(self, browser: Browser, page: Page) -> Page:
        """Fill in the form behind the link and press its button."""
        if self.path == "/confirm":
            return press_confirm(browser, page)
        return browser.press(page, self.path, self.filled)


WAYS = {
    "confirm": Way(register, EMAIL, "/confirm", "/register", customer=False),
    "new_address": Way(
        lambda browser: browser.post(
            "/account/email", {"email": NEW_EMAIL, "password": INGRID.password}
        ),
        to=NEW_EMAIL,
        path="/confirm",
        again="/account/email",
    ),
    "reset": Way(
        lambda browser: browser.post("/password/forgotten", {"email": EMAIL}),
        to=EMAIL,
        path="/password/reset",
        again="/password/forgotten",
        filled={"password": NEW_PASSWORD},
    ),
}
