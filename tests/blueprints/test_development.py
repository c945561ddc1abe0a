"""The mailbox of a developer's machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest
from bs4 import BeautifulSoup
from flask import Flask

import settings as site_settings
from app import create_app
from database import Database
from domain.delivery import outbox
from tests.support.browser import Browser
from tests.support.mails import Mails, receipts_in
from tests.support.people import EMAIL, register

if TYPE_CHECKING:
    from playwright.sync_api import Page as BrowserPage


@pytest.fixture
def delivered(app: Flask, database: Database, mails: Mails, NOON: datetime) -> str:
    """Two mails were sent; the token of the newer one."""
    letter = {"name": "Kari", "locale": "nb"}
    with database.transaction() as session:
        outbox.post(session, "mail.password_changed", {**letter, "to": "ola@example.no"}, at=NOON)
    mails.deliver()
    with database.transaction() as session:
        outbox.post(
            session, "mail.reset", {**letter, "to": "kari@example.no", "token": "t0ken"}, at=NOON
        )
    mails.deliver()
    return "t0ken"


def newest(client: Browser) -> str:
    page = client.get("/dev/mail")
    link = page.soup.select_one("tbody a[href]")
    assert link is not None
    return urljoin(page.url, str(link["href"]))


def test_an_empty_mailbox_says_so(client: Browser) -> None:
    """A newcomer comes here first."""
    page = client.get("/dev/mail")
    assert page.status == 200
    assert page.soup.select("table") == []


def test_the_list_has_the_newest_first(client: Browser, delivered: str) -> None:
    """With whom each went to."""
    rows = client.get("/dev/mail").soup.select("tbody tr")
    assert [row.select("td")[1].get_text() for row in rows] == ["kari@example.no", "ola@example.no"]


def test_the_links_of_a_mail_can_be_followed(
    client: Browser, settings: site_settings.Settings, delivered: str
) -> None:
    """In the text as in the HTML; the page may frame itself and nothing else."""
    page = client.get(newest(client))
    link = f"{settings.base_url}/password/reset/{delivered}?lang=nb"
    assert [a.get_text() for a in page.soup.select(f'.card a[href="{link}"]')] == [link]
    assert "frame-src 'self'" in page.headers["Content-Security-Policy"]
    assert "script-src 'none'" in page.headers["Content-Security-Policy"]
    frame = page.soup.select_one("iframe")
    assert frame is not None
    assert "allow-scripts" not in str(frame["sandbox"])
    assert "allow-same-origin" not in str(frame["sandbox"])
    inner = client.get(urljoin(page.url, str(frame["src"])))
    html = BeautifulSoup(inner.html, "html.parser")
    assert len(html.select(f'a[href="{link}"]')) == 2
    base = html.select_one("base")
    assert base is not None
    assert base["target"] == "_top"


def test_a_framed_mail_can_style_itself_and_do_nothing_else(
    client: Browser, delivered: str
) -> None:
    """It is shown as a mail program would: no script, no request, no form."""
    headers = client.get(f"{newest(client)}/html").headers
    policy = headers["Content-Security-Policy"].split("; ")
    assert "default-src 'none'" in policy
    assert "style-src 'unsafe-inline'" in policy
    assert "frame-ancestors 'self'" in policy
    assert headers["X-Frame-Options"] == "SAMEORIGIN"
    assert headers["Cache-Control"] == "no-store"


def test_what_a_mail_carries_can_be_taken_out(
    client: Browser, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """The receipts after signing up, each as the mail has it; a number too many is none."""
    register(visitor())
    (sent,) = mails.to(EMAIL)
    page = client.get(newest(client))
    links = [
        str(link["href"]) for link in page.soup.select('main a[href$="/0"], main a[href$="/1"]')
    ]
    for link, receipt in zip(links, receipts_in(sent), strict=False):
        file = client.get(urljoin(page.url, link))
        assert file.response.data == receipt
        assert "attachment; filename=receipt-" in file.headers["Content-Disposition"]
    assert len(links) == 2
    assert client.get(f"{newest(client)}/99").status == 404


@pytest.mark.parametrize(
    "name",
    [
        "nothing.eml",
        "..%2Fsecrets.toml",
        "..%2F..%2Fsecrets.toml",
        "%2Fetc%2Fpasswd",
        "20261122T120000000000Z-00000000000000000000000000000000.eml",
        "20261122T120000000000Z-00000000000000000000000000000000.eml%0A",
        ".20261122T120000000000Z-00000000000000000000000000000000.eml",
    ],
)
def test_only_mails_are_opened(client: Browser, delivered: str, name: str) -> None:
    """Nothing that a name leads to beside them."""
    assert client.get(f"/dev/mail/{name}").status == 404
    assert client.get(f"/dev/mail/{name}/html").status == 404


@pytest.mark.parametrize(
    "change", [{"environment": "production"}, {"mail_url": "smtp://127.0.0.1:1"}]
)
def test_there_is_no_mailbox_elsewhere(
    app: Flask, settings: site_settings.Settings, change: dict[str, str]
) -> None:
    """Not in production, and not where mail is really sent."""
    other = create_app(dataclasses.replace(settings, **change))  # type: ignore[arg-type]
    try:
        assert Browser(other, settings.base_url).get("/dev/mail").status == 404
    finally:
        other.extensions["database"].close()


@pytest.mark.browser
def test_a_button_in_a_framed_mail_takes_the_whole_window(
    page: BrowserPage, delivered: str
) -> None:
    """The sandbox lets a click out, and a click only."""
    page.goto("/dev/mail")
    page.locator("tbody a").first.click()
    with page.expect_navigation():
        page.frame_locator("iframe").get_by_role("link").first.click()
    assert "/password/reset" in page.url
