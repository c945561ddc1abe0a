"""The pages that everybody can read, and the addresses for machines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import urljoin, urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from database import Database
from domain.consent import notices
from domain.consent.models import NoticeVersion
from domain.dates import local_day
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from settings import Settings
from tests.support.browser import Browser, Page

PUBLIC = (
    *("/", "/notices/privacy", "/notices/terms", "/notices/privacy/versions", "/processors"),
    *("/cookies", "/contact", "/register", "/login", "/requests/new", "/no-such-page"),
)
FOOTER = {
    *("/notices/privacy", "/preferences", "/requests/new", "/processors", "/cookies"),
    *("/notices/terms", "/contact", "/consent"),
}


def paths(page: Page, selector: str) -> set[str]:
    """The paths that the links of a part of the page lead to."""
    return {urlsplit(str(link["href"])).path for link in page.soup.select(f"{selector} a[href]")}


@pytest.mark.requirement(4, 27, 88)
@pytest.mark.parametrize("path", PUBLIC)
def test_every_page_ends_with_the_same_way_to_notice_choices_and_help(
    client: Browser, path: str
) -> None:
    """Nobody has to look for the notice, the choices or the contact address."""
    page = client.get(path)
    assert paths(page, "footer") >= FOOTER
    assert page.soup.select_one('footer a[href="mailto:support@lillemini.com"]')
    assert page.soup.select_one("footer address")


@pytest.mark.requirement(19, 79)
@pytest.mark.parametrize("path", PUBLIC)
def test_pages_hold_no_script_no_inline_style_and_nothing_from_elsewhere(
    client: Browser, path: str
) -> None:
    """The one stylesheet carries the nonce, and everything that is loaded is our own."""
    page = client.get(path)
    assert not page.soup.select("script, style, [style], iframe")
    sheet = page.soup.select_one("link[rel=stylesheet]")
    assert sheet
    assert f"'nonce-{sheet['nonce']}'" in page.headers["Content-Security-Policy"]
    loaded = [tag.get("src") or tag.get("href") for tag in page.soup.select("link, [src]")]
    assert loaded
    assert all(str(target).startswith("/static/") for target in loaded)


@pytest.mark.requirement(89)
@pytest.mark.parametrize("code", ["nb", "nn", "en"])
def test_a_chosen_language_shows_in_the_page_and_stays(client: Browser, code: str) -> None:
    """The switcher keeps the page, marks the language, and the next page speaks it too."""
    client.get(f"/contact?lang={code}")
    page = client.get("/cookies")
    assert page.soup.html
    assert page.soup.html["lang"] == code
    current = page.soup.select_one('.languages a[aria-current="true"]')
    assert current
    assert current["hreflang"] == code
    links = [urljoin(page.url, str(link["href"])) for link in page.soup.select(".languages a")]
    assert {urlsplit(link).path for link in links} == {"/cookies"}


@pytest.fixture
def published(app: Flask, database: Database) -> list[NoticeVersion]:
    """Every version that is published, in each of its languages."""
    with database.reading() as session:
        return list(session.scalars(select(NoticeVersion)))


@pytest.mark.requirement(6)
def test_every_version_is_shown_with_the_hash_that_the_ledger_holds(
    client: Browser, database: Database, published: list[NoticeVersion]
) -> None:
    """What a reader sees can be checked against what was appended when it was published."""
    assert published
    for one in published:
        page = client.get(
            f"/notices/{one.kind}/versions/{one.effective_on.isoformat()}?lang={one.locale}"
        )
        assert page.status == 200
        assert hashlib.sha256(one.content).hexdigest() in page.text
        article = page.soup.select_one("article")
        assert article
        assert article["lang"] == one.locale
        with database.reading() as session:
            entry = session.get_one(LedgerEntry, one.entry_id)
            assert decode(entry.bytes).data["hashes"][one.locale] in page.text


@pytest.mark.requirement(6)
def test_an_old_version_says_that_it_is_archived_and_leads_to_the_one_in_force(
    client: Browser, database: Database
) -> None:
    """The notice of 2018 can be read, and nobody takes it for today's."""
    page = client.get("/notices/privacy/versions/2018-05-07?lang=en")
    with database.reading() as session:
        today = local_day(datetime.now(UTC))
        current = notices.in_force(session, "privacy", "nb", on=today).effective_on
    assert current > date(2018, 5, 7)
    assert page.soup.select_one("main > .note a[href='/notices/privacy']")
    assert page.soup.select_one("article[lang=nb]"), "it was published in bokmål only"
    assert not client.get("/notices/privacy").soup.select("main > .note")


def test_the_list_of_versions_links_to_each(
    client: Browser, published: list[NoticeVersion]
) -> None:
    """Every version has its address, named by its date."""
    for kind in notices.KINDS:
        page = client.get(f"/notices/{kind}/versions")
        assert paths(page, "main") == {
            f"/notices/{kind}/versions/{one.effective_on.isoformat()}"
            for one in published
            if one.kind == kind
        }


@pytest.mark.parametrize(
    "path",
    [
        *("/notices/other", "/notices/privacy/versions/1999-01-01"),
        *("/notices/privacy/versions/20180507", "/notices/privacy/versions/yesterday"),
    ],
)
def test_a_notice_that_never_was_is_not_found(client: Browser, path: str) -> None:
    """A version has exactly one address."""
    assert client.get(path).status == 404


@pytest.mark.requirement(83)
def test_processors_are_listed_with_what_they_do_and_where(app: Flask, client: Browser) -> None:
    """The list is the register, in the reader's language."""
    page = client.get("/processors?lang=nn")
    for processor in app.extensions["processors"]:
        for words in (processor.name, processor.does["nn"], processor.data["nn"]):
            assert words in page.text


def _cookies_set(page: Page) -> Iterator[str]:
    for header in page.headers.getlist("Set-Cookie"):
        yield from SimpleCookie(header)


@pytest.mark.requirement(19)
def test_reading_sets_no_cookie(visitor: Callable[..., Browser]) -> None:
    """A visitor who only reads leaves with nothing stored."""
    for address in ("/", "/notices/privacy", "/processors", "/cookies", "/contact"):
        assert not list(_cookies_set(visitor().get(address)))


@pytest.mark.requirement(30)
def test_the_cookie_inventory_is_what_is_really_set(client: Browser) -> None:
    """Every cookie has its line, and every line its cookie."""
    observed = set()
    for address in ("/?lang=nn", "/register", "/login", "/requests/new"):
        observed |= set(_cookies_set(client.get(address)))
    page = client.get("/consent")
    chosen = client.submit(page, page.form({}, "/consent"), {}, button="accept")
    assert chosen.status == 200
    observed |= {name for name in ("choice", "counting") if client.cookie(name)}
    listed = {code.get_text() for code in client.get("/cookies").soup.select("main h2 code")}
    assert listed == observed


@pytest.mark.requirement(53, 63)
def test_contact_leads_to_the_rights_and_the_authority(client: Browser) -> None:
    """Complaining to Datatilsynet is one link, and needs nothing first."""
    page = client.get("/contact")
    hosts = {urlsplit(str(link["href"])).hostname for link in page.soup.select("main a[href]")}
    assert "www.datatilsynet.no" in hosts
    assert "/requests/new" in paths(page, "main")


@pytest.mark.requirement(85)
def test_security_txt_is_valid_for_at_most_a_year(client: Browser, settings: Settings) -> None:
    """RFC 9116: text/plain, a contact, and an expiry that is never past or far."""
    page = client.get("/.well-known/security.txt")
    assert page.response.mimetype == "text/plain"
    fields = dict(line.split(": ", 1) for line in page.html.splitlines())
    assert fields["Contact"] == "mailto:support@lillemini.com"
    assert fields["Canonical"] == f"{settings.base_url}/.well-known/security.txt"
    left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert timedelta(days=30) < left < timedelta(days=365)


def test_password_managers_are_led_to_the_account(client: Browser) -> None:
    """/.well-known/change-password redirects and shows nothing itself."""
    page = client.get("/.well-known/change-password", follow=False)
    assert page.status == 302
    assert urlsplit(page.headers["Location"]).path == "/account"


def test_a_site_with_its_database_is_ready(client: Browser) -> None:
    """Both answers are plain text for machines."""
    assert client.get("/healthz").html == "ok\n"
    ready = client.get("/readyz")
    assert (ready.status, ready.html) == (200, "ready\n")


def test_a_site_without_its_database_says_so_and_stays_up(settings: Settings) -> None:
    """503 with a page in the reader's language; the process itself is healthy."""
    from app import create_app

    gone = settings.instance / "gone" / "away.db"
    alone = create_app(replace(settings, database_url=f"sqlite:///{gone}"))
    client = Browser(alone, settings.base_url)
    assert client.get("/healthz").status == 200
    ready = client.get("/readyz")
    assert (ready.status, ready.html) == (503, "database away\n")
    page = client.get("/notices/privacy")
    assert page.status == 503
    assert page.soup.html
    assert page.soup.html["lang"] == "nb"
    assert paths(page, "footer") >= FOOTER
    assert client.get("/").status == 200, "the front page needs no database"
