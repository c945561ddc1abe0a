"""Sessions: how they begin, how they end, and what is left of a form when they do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from http.cookies import Morsel, SimpleCookie

import pytest
import time_machine

from database import Database
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, INGRID, become_customer, register, sign_in
from tests.support.tables import contents

Visitors = Callable[..., Browser]
HTTPS = pytest.mark.parametrize("address", ["https://samtykke.test"])


@pytest.fixture
def customer(visitor: Visitors, mails: Mails) -> Browser:
    """Ingrid, signed in."""
    browser = visitor(locale="en")
    assert become_customer(browser, mails).path == "/account"
    return browser


def cookies(page: Page) -> dict[str, Morsel[str]]:
    """The cookies that an answer sets."""
    jar: SimpleCookie = SimpleCookie()
    for header in page.headers.getlist("Set-Cookie"):
        jar.load(header)
    return dict(jar)


def is_signed_in(browser: Browser) -> bool:
    """Whether the account page opens."""
    return browser.get("/account").path == "/account"


@HTTPS
@pytest.mark.requirement(78)
def test_the_session_cookie_belongs_to_this_host_alone(visitor: Visitors) -> None:
    """On HTTPS: __Host-, Secure, HttpOnly, SameSite, no domain, gone with the browser."""
    cookie = cookies(visitor().get("/login"))["__Host-session"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert (cookie["path"], cookie["domain"]) == ("/", "")
    assert (cookie["expires"], cookie["max-age"]) == ("", "")


@HTTPS
@pytest.mark.requirement(78)
def test_the_language_cookie_is_closed_too(visitor: Visitors) -> None:
    """Nothing the site sets can be read by a script or over plain HTTP."""
    cookie = cookies(visitor().get("/?lang=nn"))["lang"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")


@HTTPS
@pytest.mark.requirement(71, 78)
def test_everything_works_over_https(visitor: Visitors, mails: Mails) -> None:
    """Also the pages that are reached by a link, from which browsers send no Referer."""
    browser = visitor(locale="en")
    assert become_customer(browser, mails).path == "/account"
    browser.post("/logout", page=browser.get("/account"))
    assert not is_signed_in(browser)


def test_the_session_cookie_on_a_developers_machine_has_a_plain_name(visitor: Visitors) -> None:
    """__Host- and Secure need HTTPS, so they are not claimed without it."""
    cookie = cookies(visitor().get("/login"))["session"]
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == ("", True, "Lax")


@pytest.mark.requirement(78)
def test_nothing_of_the_earlier_session_survives_signing_in(
    customer: Browser, visitor: Visitors, mails: Mails
) -> None:
    """Neither the token of its forms nor the link that was opened in it."""
    browser = visitor(locale="en")
    browser.post("/password/forgotten", {"email": EMAIL})
    browser.get(link_in(mails.last(EMAIL)))
    page = browser.get("/login")
    before = browser.cookie("session")
    assert sign_in(browser).path == "/account"
    assert browser.cookie("session") != before
    assert browser.get("/password/reset").status == 404
    token = page.soup.select_one("[name=csrf_token]")
    assert token
    assert browser.send("/logout", {"csrf_token": str(token["value"])}).status == 403
    assert is_signed_in(browser)


@pytest.mark.requirement(78)
def test_a_session_ends_when_it_is_not_used(
    clock: time_machine.Traveller, customer: Browser
) -> None:
    """Each use gives half an hour; half an hour without one ends it."""
    for _ in range(3):
        clock.shift(timedelta(minutes=29))
        assert is_signed_in(customer)
    clock.shift(timedelta(minutes=30, seconds=2))
    assert not is_signed_in(customer)
    assert not is_signed_in(customer)


@pytest.mark.requirement(78)
def test_a_session_ends_after_twelve_hours_however_much_it_is_used(
    clock: time_machine.Traveller, customer: Browser
) -> None:
    """The password is asked for at least twice a day."""
    for _ in range(25):
        clock.shift(timedelta(minutes=28))
        assert is_signed_in(customer)
    clock.shift(timedelta(minutes=20, seconds=2))
    assert not is_signed_in(customer)


@pytest.mark.requirement(78)
def test_a_changed_password_ends_every_other_session(customer: Browser, visitor: Visitors) -> None:
    """Who changed it goes on."""
    other = visitor(locale="en")
    sign_in(other)
    new = {"current": INGRID.password, "password": "et annet godt ord"}
    assert customer.post("/account/password", new).path == "/account"
    assert is_signed_in(customer)
    assert not is_signed_in(other)


@pytest.mark.requirement(78)
def test_a_session_of_a_cookie_that_was_tampered_with_is_none(customer: Browser) -> None:
    """The cookie is signed: one changed character makes it empty."""
    cookie = customer.cookie("session")
    assert cookie
    body, _, signature = cookie.rpartition(".")
    customer._client.set_cookie("session", f"{body}x.{signature}", domain="samtykke.test")
    assert not is_signed_in(customer)


@pytest.mark.requirement(78)
def test_signing_out_takes_a_button(customer: Browser) -> None:
    """A link, an image or a scanner signs nobody out; the button does."""
    assert customer.get("/logout").status == 405
    assert is_signed_in(customer)
    page = customer.post("/logout", page=customer.get("/account"))
    assert (page.status, page.path) == (200, "/")
    assert not is_signed_in(customer)


@pytest.mark.requirement(87)
def test_a_form_of_a_session_that_is_gone_comes_back_with_what_was_typed(
    visitor: Visitors, database: Database
) -> None:
    """Cookies deleted while the form was open: nothing is stored, and it can be sent again."""
    browser = visitor(locale="en")
    page = browser.get("/register")
    browser._client.delete_cookie("session", domain="samtykke.test")
    before = contents(database)
    page = browser.post("/register", INGRID.form(), page=page)
    assert page.status == 422
    assert page.soup.select_one(".summary li")
    assert page.soup.select_one(f'[name=address][value="{INGRID.address}"]')
    assert contents(database) == before
    assert browser.post("/register", {"password": INGRID.password}, page=page).status == 200
    assert contents(database) != before


@pytest.mark.requirement(87)
def test_a_form_of_the_session_before_comes_back_with_what_was_typed(
    customer: Browser, database: Database
) -> None:
    """Signed out and in again in another window while the form was open."""
    page = customer.get("/account/details")
    customer.post("/logout", page=customer.get("/account"))
    sign_in(customer)
    before = contents(database)
    page = customer.post("/account/details", {"city": "Å i Lofoten"}, page=page)
    assert page.status == 422
    assert page.soup.select_one('[name=city][value="Å i Lofoten"]')
    assert contents(database) == before
    assert customer.post("/account/details", {}, page=page).path == "/account"
    assert contents(database) != before


def test_a_form_sent_without_a_session_asks_to_sign_in_and_changes_nothing(
    customer: Browser, database: Database
) -> None:
    """Signing in leads back to the form."""
    page = customer.get("/account/details")
    customer.post("/logout", page=customer.get("/account"))
    before = contents(database)
    page = customer.post("/account/details", {"city": "Å i Lofoten"}, page=page)
    assert page.path.startswith("/login?next=%2Faccount%2Fdetails")
    assert contents(database) == before
    filled = {"email": EMAIL, "password": INGRID.password}
    assert customer.post(page.path, filled).path == "/account/details"


def test_registering_on_a_shared_machine_leaves_nobody_signed_in(visitor: Visitors) -> None:
    """An account that nobody confirmed opens no session."""
    browser = visitor(locale="en")
    register(browser)
    assert not is_signed_in(browser)
