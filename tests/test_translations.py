"""The three languages: everything is said in each, and each is spoken as its readers do."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from gettext import GNUTranslations
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_from_file
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.pofile import read_po
from bs4 import BeautifulSoup
from flask import Flask

import letters
from domain.consent import notices
from domain.locales import LOCALES
from settings import ROOT
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, Guest, become_customer, confirm, register

NORWEGIAN = ("nb", "nn")
# As they stand in the Makefile: a name that is missing there is a word that nobody translates.
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
KEYWORDS = {**DEFAULT_KEYWORDS, **parse_keywords(re.findall(r"--keywords (\S+)", MAKEFILE))}
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")

ENGLISH = frozenset(
    "the your and with you this that of we is are not have from was our what which when it".split()
)
# Each list: words and endings that only the other Norwegian has. What both have is in neither.
BOKMAL = (
    "ikke jeg vi dere deres hva hvor hvordan hvorfor hvem hvilke hvilken hvilket hver "
    "hvert hvis noe noen fra uten mens bare ble en et være gjøre gjør selv måneder nå også samme "
    "se velg velge valg valgene annen annet mye navn navnet adressen e-postadressen lenken siden "
    "tjenesten nettstedet lagrer sletter endrer skriver bekreft bekreftet slettet "
    "trenger informasjonskapsler databehandlere åpne åpen derfor begynner forespørsel"
).split()
BOKMAL_ENDINGS = re.compile(r"(else[nr]?|elsene|(?<!sj)het|heten|heter|hetene|inger|ingene)$")
NYNORSK = (
    "ikkje eg me dykk dykkar kva kor korleis kvifor kven kvar kvart dersom noko nokon nokre frå "
    "utan medan berre blei vart dei ein eit eitt éin éitt vere gjere gjer sjølv månader no òg same "
    "sjå vel velje vala anna mykje namn namnet adressa e-postadressa lenka sida tenesta nettstaden "
    "lagrar slettar endrar stadfest stadfesta sletta treng informasjonskapslar databehandlarar "
    "opne open difor byrjar førespurnad"
).split()
NYNORSK_ENDINGS = re.compile(r"(ingar|ingane|(?<=.{3})heit|heiter|heita|heitene|leg|leik)$")
# Words with such an ending that belong to the language all the same.
BOTH = frozenset({"helse", "else", "het", "finger"})
WORD = re.compile(r"[\w-]+")


def catalogue(locale: str) -> Catalog:
    """What the translators write."""
    path = ROOT / "translations" / locale / "LC_MESSAGES" / "messages.po"
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def messages(locale: str) -> Iterator[Message]:
    """Its messages, without the header."""
    return (one for one in catalogue(locale) if one.id)


def strange(words: str, locale: str) -> list[str]:
    """The words that a reader of this language would stumble over."""
    found = [one.lower().strip("-_") for one in WORD.findall(words)]
    return sorted({one for one in found if _is_strange(one, locale)} - BOTH)


def _is_strange(word: str, locale: str) -> bool:
    if word in ENGLISH:
        return locale in NORWEGIAN
    if locale == "nn":
        return word in BOKMAL or bool(BOKMAL_ENDINGS.search(word))
    return locale == "nb" and (word in NYNORSK or bool(NYNORSK_ENDINGS.search(word)))


def spoken(html: str) -> tuple[str, str]:
    """The language of a document and the words that are in it, with those only heard."""
    soup = BeautifulSoup(html, "html.parser")
    assert soup.html is not None
    locale = str(soup.html["lang"])
    for part in soup.select(f'[lang]:not(html):not([lang="{locale}"]), code, style, .mono'):
        part.decompose()
    heard = [
        str(part[name]) for name in ("aria-label", "title") for part in soup.select(f"[{name}]")
    ]
    return locale, " ".join([soup.get_text(" "), *heard])


def assert_spoken(page: Page, locale: str) -> None:
    """The whole page is in this language, and says so."""
    said, words = spoken(page.html)
    assert said == locale, page.path
    assert strange(words, locale) == [], page.path


# --- The catalogues ---------------------------------------------------------------------------


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_translated(locale: str) -> None:
    """None is empty or waits for somebody to look at it."""
    assert [one.id for one in messages(locale) if not one.string or one.fuzzy] == []
    assert list(catalogue(locale).obsolete) == []


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_translations_keep_what_is_filled_in(locale: str) -> None:
    """The same placeholders, the same blanks around it, and a colon where something follows."""
    for one in messages(locale):
        told, asked = str(one.string), str(one.id)
        assert set(PLACEHOLDER.findall(told)) == set(PLACEHOLDER.findall(asked)), told
        assert told == told.strip(), told
        assert told.endswith(":") == asked.endswith(":"), told
        assert not list(one.check()), told


def _read() -> set[str]:
    """What `make translations` reads out of the code."""
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(ROOT, methods, options, KEYWORDS)
    return {str(message) for _file, _line, message, _comments, _context in found}


def _ours(pattern: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob(pattern)):
        folder = path.relative_to(ROOT).parts[0]
        if not folder.startswith(".") and folder not in ("tests", "tools", "bench", "instance"):
            yield path


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_catalogues_hold_what_the_code_says(locale: str) -> None:
    """No message is missing and none is left over. If one is: make translations."""
    assert {str(one.id) for one in messages(locale)} == _read()


@pytest.mark.requirement(89)
def test_no_file_with_words_is_passed_over() -> None:
    """Whatever says something to a reader is named in babel.cfg."""
    written = set()
    for path in _ours("*.py"):
        for found in extract_from_file("python", path, KEYWORDS):
            written.add(str(found[1]))
    assert written <= _read()


@pytest.mark.requirement(89)
def test_words_are_collected_under_each_name_that_marks_them() -> None:
    """`from flask_babel import lazy_gettext as __` is of no use if `__` is not looked for."""
    for path in _ours("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module == "flask_babel":
                names = {one.asname or one.name for one in node.names if "gettext" in one.name}
                assert names <= set(KEYWORDS), path


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_what_is_compiled_is_what_was_written(locale: str) -> None:
    """The site reads the .mo files. If they are old: make test, which compiles them."""
    compiled = ROOT / "translations" / locale / "LC_MESSAGES" / "messages.mo"
    with compiled.open("rb") as file:
        read = GNUTranslations(file)
    for one in messages(locale):
        assert read.gettext(str(one.id)) == one.string


# --- The words --------------------------------------------------------------------------------


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", NORWEGIAN)
def test_catalogues_speak_their_own_language(locale: str) -> None:
    """No English is left, nynorsk is not bokmål with other endings, and bokmål not the reverse."""
    for one in messages(locale):
        assert strange(PLACEHOLDER.sub("", str(one.string)), locale) == [], one.string


@pytest.mark.requirement(89)
def test_whole_sentences_differ_between_bokmal_and_nynorsk() -> None:
    """Short ones may be the same; nobody has copied a long one."""
    nynorsk = {one.id: one.string for one in messages("nn")}
    for one in messages("nb"):
        if len(str(one.id)) > 60:
            assert one.string != nynorsk[one.id]


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", NORWEGIAN)
def test_notices_speak_their_own_language(locale: str) -> None:
    """The documents are held to the same words as the pages."""
    files = sorted((ROOT / "content" / "notices").rglob(f"{locale}.md"))
    assert files
    for path in files:
        prose = re.sub(r"\]\([^)]*\)|`[^`]*`|\S+@\S+|\[\[\w+\]\]", " ", path.read_text("utf-8"))
        assert strange(prose, locale) == [], path


@pytest.mark.requirement(18)
@pytest.mark.parametrize(
    ("locale", "pressing"),
    [
        ("nb", "dessverre synd beklager trist savne savner gå_glipp belønning rabatt gratulerer"),
        ("nn", "dessverre synd beklagar trist sakne saknar gå_glipp belønning rabatt gratulerer"),
        ("en", "unfortunately sorry sad miss missing regret reward discount congratulations hurry"),
    ],
)
def test_no_message_presses_anybody(locale: str, pressing: str, register: object) -> None:
    """No guilt, no urgency, no reward for a yes, and nobody shouts."""
    purposes = (ROOT / "content" / "purposes.toml").read_text("utf-8")
    for words in (*(str(one.string) for one in messages(locale)), purposes):
        plain = words.lower().replace("gå glipp", "gå_glipp")
        assert not set(WORD.findall(plain)) & set(pressing.split()), words
    assert not [one.string for one in messages(locale) if str(one.string).count("!") > 1]
    shouted = [one for one in messages(locale) if re.search(r"!.|[A-ZÆØÅ]{6,}", str(one.string))]
    assert shouted == []


# --- The site ---------------------------------------------------------------------------------

# Nothing links to these: they come after a form was sent, or stand at the end of a link.
UNLINKED = (
    *("/register/sent", "/password/forgotten/sent", "/requests/sent", "/no-such-page"),
    *("/confirm", "/password/reset", "/requests/verify", "/development/mail"),
)
sqlite_only = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


def crawl(browser: Browser, locale: str, *starts: str) -> dict[str, Page]:
    """Every page that links lead to, by path, in one language."""
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
    return seen


@pytest.mark.requirement(89)
@sqlite_only
@pytest.mark.parametrize("locale", LOCALES)
def test_every_page_for_everybody_speaks_the_readers_language(
    visitor: Callable[..., Browser], locale: str
) -> None:
    """Pages, forms and errors, as far as links lead."""
    pages = crawl(visitor(locale=locale), locale, "/", *UNLINKED)
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
    asked = person.post("/requests/new", {"kind": "erasure", "password": Guest().password})
    assert asked.path.startswith("/requests/")
    pages = crawl(person, locale, "/", asked.path)
    assert {"/account", "/account/details", "/preferences/history"} <= set(pages)
    assert [path for path in pages if path.startswith("/preferences/history/")]
    for page in pages.values():
        assert_spoken(page, locale)
    page = person.press(person.get(asked.path), asked.path)
    assert page.status == 200
    assert_spoken(page, locale)


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
    wrong = [{}, {"email": "nobody"}, {"email": "x" * 300 + "@example.no"}]
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
    app: Flask, NOON: object, locale: str, name: str
) -> None:
    """Subject, text and HTML."""
    for kind in ("access", "erasure"):
        filled = {
            **{"to": "kari@example.no", "name": "Kari Nordmann", "locale": locale, "kind": kind},
            **{"token": "0", "reference": "R7-4F2K", "due_on": "2026-12-22"},
        }
        mail = letters.render(app, f"mail.{name}", filled, "<1@lillemini.example>", NOON)  # type: ignore[arg-type]
        said, words = spoken(text(mail, "html"))
        assert said == locale
        words += " " + str(mail["Subject"]) + " " + text(mail)
        assert strange(re.sub(r"http\S+|\S+@\S+", " ", words), locale) == []


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
    assert notices.KINDS
