"""Forms that another site made up, or that lost their token: every address that takes a POST."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from bs4 import Tag
from flask import Flask

import extensions
import settings as site_settings
from database import Database
from tests.domain.consenting import CONTENT
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in
from tests.support.people import EMAIL, become_customer
from tests.support.tables import contents

Visitors = Callable[..., Browser]

# What takes a POST without a token of ours, what guards it, and the test that tries it.
SAME_SITE = "who sends it has no session; the browser says from where (extensions.same_site)"
GUARDED_OTHERWISE = {
    "preferences.unsubscribe": "the token in its address (tests/blueprints/test_unsubscribe.py)",
    "preferences.consent": SAME_SITE,
    "site.answer": SAME_SITE,
}


def _posts(app: Flask) -> Iterator[str]:
    """The address of every route that takes a POST; a new one is covered by itself."""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if "POST" in (rule.methods or ()) and rule.endpoint not in GUARDED_OTHERWISE:
                _, address = rule.build(dict.fromkeys(rule.arguments, "XXXX-XXXX")) or ("", "")
                assert address, rule.rule
                yield address


def test_what_needs_no_token_has_another_guard(app: Flask) -> None:
    """Whatever is exempt is named above, with why."""
    exempt = {name for name, view in app.view_functions.items() if extensions.is_exempt(view)}
    assert exempt == GUARDED_OTHERWISE.keys()


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://samtykke.test"},
        {"Sec-Fetch-Site": "", "Origin": "http://samtykke.test.evil.example"},
        {"Sec-Fetch-Site": "", "Origin": "null"},
    ],
)
def test_a_form_of_a_visitor_is_taken_from_our_own_pages_only(
    app: Flask, database: Database, headers: dict[str, str]
) -> None:
    """As the browser says it of itself; nothing is stored, and no cookie set."""
    slug = min(path.name for path in CONTENT.glob("tips/*.nb.md")).partition(".")[0]
    sent = {name: value for name, value in headers.items() if value}
    before = contents(database)
    for endpoint, guard in GUARDED_OTHERWISE.items():
        if guard is SAME_SITE:
            (rule,) = app.url_map.iter_rules(endpoint)
            _, address = rule.build(dict.fromkeys(rule.arguments, slug)) or ("", "")
            answer = app.test_client().post(address, data={"answer": "yes"}, headers=sent)
            assert (answer.status_code, answer.headers.get("Set-Cookie")) == (403, None), endpoint
    assert contents(database) == before


def _filled(form: Tag) -> dict[str, str]:
    """Every field with something typed into it, and no token."""
    data = {}
    for field in form.select("input[name], select[name], textarea[name]"):
        name, kind = str(field["name"]), str(field.get("type", "text"))
        if name == "csrf_token":
            continue
        if kind == "hidden":
            data[name] = str(field.get("value", ""))
        elif kind in ("checkbox", "radio"):
            data.setdefault(name, str(field.get("value", "y")))
        else:
            data[name] = "typed@kunde.example" if kind == "email" else f"typed {name}"
    return data


def _holds(page: Page, form: Tag, data: dict[str, str]) -> bool:
    """Whether the page shows a form again with what was typed, but for passwords and files."""
    for field in form.select("input[name]"):
        name, kind = str(field["name"]), str(field.get("type", "text"))
        shown = page.soup.select_one(f'input[name="{name}"]')
        if shown is None:
            return False
        # No page can fill in a file.
        visible = kind not in ("hidden", "checkbox", "radio", "password", "file")
        if visible and shown.get("value") != data[name]:
            return False
    return True


def _answer(browser: Browser, address: str, token: str | None) -> str:
    """What happens to a form without a good token: refused, shown again, elsewhere."""
    page = browser.get(address)
    forms = [form for form in page.forms() if not form.get("action")]
    data = _filled(forms[0]) if forms else {}
    sent = browser.send(address, data if token is None else {**data, "csrf_token": token})
    if sent.status == 403 or sent.status == page.status == 404:
        return "refused"
    if sent.status == 422:
        assert forms, f"{address} answers with a form that it did not show before"
        assert _holds(sent, forms[0], data), f"{address} loses what was typed"
        return "shown again"
    assert sent.status in (302, 303), f"{address} answers {sent.status}"
    # A stranger is asked to sign in, a customer needs no form of strangers.
    assert urlsplit(sent.headers["Location"]).path in ("/login", "/account"), address
    return "elsewhere"


@pytest.mark.parametrize("token", [None, "", "forged", "of another visitor"])
def test_a_post_without_a_good_token_changes_nothing(
    app: Flask, visitor: Visitors, database: Database, mails: Mails, token: str | None
) -> None:
    """It is refused, or the form comes back with what was typed. Nothing is stored or counted."""
    customer, stranger = visitor(locale="en"), visitor(locale="en")
    become_customer(customer, mails)
    customer.post("/password/forgotten", {"email": EMAIL})
    link = link_in(mails.last(EMAIL))
    for browser in (customer, stranger):
        assert browser.get(link).status == 200
    if token == "of another visitor":
        field = visitor().get("/login").soup.select_one("[name=csrf_token]")
        assert field
        token = str(field["value"])
    before = contents(database)
    addresses = list(_posts(app))
    assert len(addresses) >= 12
    for address in addresses:
        answers = {_answer(browser, address, token) for browser in (customer, stranger)}
        assert answers & {"refused", "shown again"}, address
        assert contents(database) == before, address
    assert customer.get("/account").path == "/account", "and nobody was signed out"


def test_a_token_is_not_taken_from_the_address(
    visitor: Visitors, database: Database, mails: Mails
) -> None:
    """It belongs in the form, where no log and no Referer carries it."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    field = browser.get("/account/details").soup.select_one("[name=csrf_token]")
    assert field
    assert browser.send(f"/logout?csrf_token={field['value']}", {}).status == 403


def test_every_form_that_posts_carries_a_token(visitor: Visitors, mails: Mails) -> None:
    """On every page of the account, also the button in the header."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    for path in ("/", "/account", "/account/details", "/preferences", "/requests/new"):
        forms = browser.get(path).forms()
        assert forms
        assert all(form.select_one('[name=csrf_token][value]:not([value=""])') for form in forms)


def test_a_refused_form_says_how_to_go_on(
    visitor: Visitors, settings: site_settings.Settings
) -> None:
    """The page leads back to the form, in the reader's language."""
    page = visitor(locale="nn").send("/requests/verify", {})
    assert page.status == 403
    assert page.soup.html
    assert page.soup.html["lang"] == "nn"
    assert page.soup.select_one('main a[href="/requests/verify"]')
