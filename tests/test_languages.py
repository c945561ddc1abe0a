"""The site in three languages: every page and letter in the reader's own, and it stays chosen."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask

import letters
from domain.locales import LOCALES
from tests.support.browser import Browser, Page
from tests.support.languages import NORWEGIAN, assert_spoken, spoken, strange
from tests.support.mails import Mails, link_in, text
from tests.support.office import FILLED
from tests.support.people import EMAIL, Guest, become_customer, confirm, register

# Nothing links to these: they come after a form was sent, or stand at the end of a link.
UNLINKED = (
    *("/register/sent", "/password/forgotten/sent", "/requests/sent", "/no-such-page"),
    *("/confirm", "/password/reset", "/requests/verify", "/dev/mail"),
)
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def crawl(browser: Browser, *starts: str) -> dict[str, Page]:
    """Every page that links lead to, by path; files are opened, and speak no language."""
    waiting, seen = list(starts), dict[str, Page]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen[path] = page = browser.get(path)
        if page.response.mimetype != "text/html":
            continue
        for link in page.soup.select("a[href]"):
            parts = urlsplit(urljoin(page.url, str(link["href"])))
            ours = parts.netloc == urlsplit(page.url).netloc and "lang" not in link.attrs
            if ours and not parts.path.startswith("/static/"):
                waiting.append(parts.path)
    return {path: page for path, page in seen.items() if page.response.mimetype == "text/html"}


@pytest.mark.requirement(89)
@sqlite_only
@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_for_everybody_speaks_the_readers_language(
    visitor: Callable[..., Browser], locale: str
) -> None:
    """Pages, forms and errors, as far as links lead."""
    pages = crawl(visitor(locale=locale), "/", *UNLINKED)
    assert {"/register", "/cookies", "/contact", "/notices/terms/versions"} <= set(pages)
    for page in pages.values():
        assert_spoken(page, locale)


@pytest.mark.requirement(89)
@sqlite_only
@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_of_an_account_speaks_the_readers_language(
    visitor: Callable[..., Browser], mails: Mails, locale: str
) -> None:
    """The account, the choices with their history, and the requests."""
    person = visitor(locale=locale)
    become_customer(person, mails, Guest(choices={"marketing": True}))
    for choices in ({}, {"consent-analytics": True}):
        page = person.post("/preferences", {"consent-marketing": False, **choices})
        assert page.status == 200
        assert_spoken(page, locale)
    asked = person.post("/requests/new?kind=erasure", {"password": Guest().password})
    assert asked.path.startswith("/requests/")
    mails.deliver()  # the sequencer runs, so that no receipt is waited for
    pages = crawl(person, "/", asked.path)
    assert {"/account", "/account/details", "/preferences/history"} <= set(pages)
    assert [path for path in pages if path.startswith("/preferences/history/")]
    for page in pages.values():
        assert_spoken(page, locale)
    page = person.press(person.get(asked.path), asked.path)
    assert page.status == 200
    assert_spoken(page, locale)


@pytest.mark.requirement(89)
@sqlite_only
@pytest.mark.parametrize("locale", NORWEGIAN)
def test_the_copy_speaks_the_readers_language(
    visitor: Callable[..., Browser], mails: Mails, locale: str
) -> None:
    """The page in the ZIP file is in the language that it was asked for in."""
    person = visitor(locale=locale)
    become_customer(person, mails, Guest(choices={"marketing": True}))
    page = person.post("/requests/new?kind=access", {"password": Guest().password})
    copy = person.press(page, page.path).response.data
    with zipfile.ZipFile(io.BytesIO(copy)) as archive:
        said, words = spoken(archive.read("index.html").decode())
    assert said == locale
    # Norway is NO to machines.
    assert strange(re.sub(r"http\S+|\S+@\S+|\bNO\b", " ", words), locale) == []


# Addresses, and what the operator types.
_NO_WORDS = r"http\S+|www\.\S+|\S+@\S+|flask requests list --open|flask \w+ \w+"
HEADINGS = {
    "nb": "For å gå videre må du rette opp følgende feil",
    "nn": "For å gå vidare må du rette opp desse feila",
    "en": "To continue, correct the following errors",
}
TAGS = {"nb": ("Må fylles ut", "Valgfritt"), "nn": ("Må fyllast ut", "Valfritt")}


@pytest.mark.requirement(86, 87, 89)
@sqlite_only
@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("path", ["/register", "/login", "/password/forgotten", "/requests/new"])
def test_a_form_speaks_the_readers_language_when_something_is_wrong(
    visitor: Callable[..., Browser], path: str, locale: str
) -> None:
    """Labels, messages, the list of errors and the title."""
    browser = visitor(locale=locale)
    form = browser.get(path).form({"email": ""}, path)
    wrong: list[dict[str, str | bool]] = [
        {},
        {"email": "nobody"},
        {"email": "x" * 300 + "@example.no"},
    ]
    if path == "/register":
        fields = {"phone": "1", "postal_code": "?", "name": "x" * 300}
        wrong += [{**fields, "password": "kort", "age": "0"}, {"password": "passord1", "age": "13"}]
        wrong += [{"password": "x" * 300, "consent-marketing": True, "age": "13"}]
    for filled in wrong:
        page = browser.submit(browser.get(path), form, filled)
        assert page.status == 422
        assert page.soup.title
        assert page.soup.title.get_text().startswith("Error:" if locale == "en" else "Feil:")
        assert page.soup.select_one("#summary-heading")
        assert HEADINGS[locale] in page.text
        assert_spoken(page, locale)
    if path == "/register":
        for tag in TAGS.get(locale, ("Required", "Optional")):
            assert tag in page.text


@pytest.mark.requirement(89)
@pytest.mark.parametrize("name", letters.LETTERS)
@pytest.mark.parametrize("locale", NORWEGIAN)
@sqlite_only
def test_every_letter_speaks_the_readers_language(
    app: Flask, NOON: datetime, locale: str, name: str
) -> None:
    """Subject, text and HTML."""
    for kind in ("access", "erasure"):
        filled = {**FILLED, "locale": locale, "kind": kind}
        mail = letters.render(app, f"mail.{name}", filled, "<1@lillemini.example>", NOON)
        said, words = spoken(text(mail, "html"))
        assert said == locale
        words += " " + str(mail["Subject"]) + " " + text(mail)
        assert strange(re.sub(_NO_WORDS, " ", words), locale) == []


# --- The choice of language -------------------------------------------------------------------


def language(page: Page) -> str:
    """The language that a page says it is in."""
    assert page.soup.html
    return str(page.soup.html["lang"])


@pytest.mark.requirement(89)
@sqlite_only
@pytest.mark.parametrize("locale", LOCALES)
def test_a_mail_leads_back_in_the_language_it_was_written_in(
    visitor: Callable[..., Browser], mails: Mails, locale: str
) -> None:
    """Also on another device, whose browser asks for another language; and it stays."""
    other = "en" if locale != "en" else "nb"
    registering = visitor(locale=other)
    registering.get(f"/?lang={locale}")
    assert language(register(registering)) == locale
    mail = mails.last(EMAIL)
    assert mail["Content-Language"] == locale
    assert f"lang={locale}" in link_in(mail)
    reading = visitor(locale=other)
    assert language(reading.get("/contact")) == other
    assert language(confirm(reading, mails)) == locale
    assert language(reading.get("/contact")) == locale


@pytest.mark.requirement(89)
@sqlite_only
def test_a_language_that_the_site_does_not_speak_changes_nothing(client: Browser) -> None:
    """And is not remembered."""
    client.get("/?lang=nn")
    page = client.get("/?lang=sv")
    assert language(page) == "nn"
    assert "Set-Cookie" not in page.headers


@pytest.mark.requirement(89)
@sqlite_only
def test_the_switcher_names_each_language_in_itself(client: Browser) -> None:
    """Whoever does not read bokmål finds their own."""
    links = client.get("/").soup.select(".languages a")
    assert {str(one["lang"]): one.get_text() for one in links} == LOCALES
