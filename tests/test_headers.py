"""What every answer carries, errors too, and what a made-up Host cannot do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask, abort
from werkzeug.test import Client, TestResponse

import settings as site_settings
from database import Database
from extensions import now
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in, text
from tests.support.people import EMAIL, become_customer, confirm, register

Visitors = Callable[..., Browser]
HTTPS = pytest.mark.parametrize("address", ["https://samtykke.test"])
AWAY = {
    "sqlite": "sqlite:////no/such/folder/samtykke.db",
    "postgresql": "postgresql+psycopg://nobody@127.0.0.1:1/samtykke",
}
SHEET = "/static/site.css"


class Statuses:
    """Brings the site to answer with each status."""

    def __init__(self, app: Flask, visitor: Visitors, monkeypatch: pytest.MonkeyPatch):
        self._app, self._visitor, self._patch = app, visitor, monkeypatch

    def answer(self, status: int) -> TestResponse:
        """The site's answer with this status."""
        browser = self._visitor(locale="en")
        if status in (400, 429, 500, 503):
            self._patch.setitem(self._app.view_functions, "site.contact", self._failing(status))
            return browser.get("/contact").response
        if status == 413:
            return browser.send("/login", {"email": "x" * 70_000}).response
        if status == 403:
            return browser.send("/logout", {}).response
        if status == 405:
            return browser.send("/cookies", {}).response
        paths = {200: "/contact", 303: "/password/reset/x", 404: "/nowhere"}
        return browser.get(paths[status], follow=False).response

    def _failing(self, status: int) -> Callable[[], Any]:
        def failing() -> Any:
            if status == 429:
                from domain.identity.errors import TooManyTries

                raise TooManyTries(now() + timedelta(minutes=7))
            if status == 500:
                raise RuntimeError("the inside of the site")
            if status == 503:
                with Database(AWAY["postgresql"]).reading() as session:
                    session.connection()
            abort(status)

        return failing


@HTTPS
@pytest.mark.requirement(79)
@pytest.mark.parametrize("status", [200, 303, 400, 403, 404, 405, 413, 429, 500, 503])
def test_every_answer_carries_the_security_headers(
    app: Flask, visitor: Visitors, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Errors are pages of the site: the same headers, and nothing of its inside."""
    answer = Statuses(app, visitor, monkeypatch).answer(status)
    assert answer.status_code == status
    given = answer.headers
    policy = given["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'none'", "frame-ancestors 'none'"):
        assert rule in policy
    for rule in ("object-src 'none'", "base-uri 'none'", "form-action 'self'", "style-src 'nonce-"):
        assert rule in policy
    assert "unsafe" not in policy
    assert given["X-Content-Type-Options"] == "nosniff"
    assert given["Referrer-Policy"] in ("no-referrer", "strict-origin-when-cross-origin")
    assert given["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert given["Cache-Control"] == "no-store"
    assert given["Content-Type"] == "text/html; charset=utf-8"
    body = answer.get_data(as_text=True)
    assert not any(word in body for word in ("Traceback", "RuntimeError", "inside", "psycopg"))
    if status >= 400:
        assert "support@lillemini.com" in body
        assert '<html lang="en">' in body


def test_a_developers_machine_does_not_ask_for_https(visitor: Visitors) -> None:
    """HSTS over plain HTTP on localhost would only lock the developer out."""
    assert "Strict-Transport-Security" not in visitor().get("/").headers


def test_no_two_answers_share_a_nonce(visitor: Visitors) -> None:
    """A nonce that was seen is worth nothing."""
    browser = visitor()
    policies = {browser.get("/").headers["Content-Security-Policy"] for _ in range(5)}
    assert len(policies) == 5


def test_a_wrong_method_is_told_the_right_ones(visitor: Visitors) -> None:
    """RFC 9110 asks a 405 for Allow."""
    page = visitor().get("/logout")
    assert page.status == 405
    assert "POST" in page.headers["Allow"]


def test_too_many_tries_say_when_to_come_back(
    app: Flask, visitor: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For programs in seconds, for people as a time."""
    answer = Statuses(app, visitor, monkeypatch).answer(429)
    assert 7 * 60 - 5 < int(answer.headers["Retry-After"]) <= 7 * 60 + 1
    assert "<time" in answer.get_data(as_text=True)


@pytest.mark.parametrize("path", ["/login", "/register", "/account", "/preferences"])
def test_with_the_database_away_there_is_a_page_and_no_error(
    app: Flask,
    backend: str,
    visitor: Visitors,
    mails: Mails,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """Also for who is signed in. When it is back, everything goes on."""
    browser = visitor(locale="en")
    become_customer(browser, mails)
    away = Database(AWAY[backend], info=app.extensions["database"].info)
    with monkeypatch.context() as patch:
        patch.setitem(app.extensions, "database", away)
        page = browser.get(path)
        assert page.status == 503
        assert page.soup.html
        assert page.soup.html["lang"] == "en"
        assert browser.get("/readyz").status == 503
        assert browser.get("/healthz").status == 200
        token = page.soup.select_one("[name=csrf_token]")
        assert token is None
    assert browser.get("/account").path == "/account"


@pytest.mark.requirement(70)
def test_a_made_up_host_gets_into_no_page_and_no_redirect(app: Flask) -> None:
    """Links are relative or come from the settings."""
    client: Client = app.test_client()
    spoofed = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "Forwarded": "host=evil.test"}
    paths = ("/", "/register", "/account", "//register", "/register/", "/password/reset/x", "/nei")
    for path in (*paths, "/.well-known/security.txt", "/.well-known/change-password"):
        answer = client.get(path, headers=spoofed)
        assert answer.status_code < 500
        assert "evil.test" not in str(answer.headers) + answer.get_data(as_text=True), path


@pytest.mark.requirement(70)
def test_a_made_up_host_gets_into_no_mail(
    app: Flask,
    visitor: Visitors,
    mails: Mails,
    settings: site_settings.Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stranger cannot have a link mailed that leads to their own server."""
    browser = visitor(locale="en")
    register(browser)
    confirm(browser, mails)
    genuine = app.wsgi_app

    def spoofing(environ: dict[str, Any], start_response: Any) -> Any:
        environ.update(dict.fromkeys(("HTTP_HOST", "HTTP_X_FORWARDED_HOST"), "evil.test"))
        return genuine({**environ, "SERVER_NAME": "evil.test"}, start_response)

    monkeypatch.setattr(app, "wsgi_app", spoofing)
    assert browser.post("/password/forgotten", {"email": EMAIL}).status == 200
    mail = mails.last(EMAIL)
    assert link_in(mail).startswith(f"{settings.base_url}/password/reset/")
    assert "evil.test" not in mail.as_string() + text(mail) + text(mail, "html")


@pytest.mark.parametrize(
    "host", ["", "a b.test", 'x"><script>', "æøå.test", "x:99999", "[::1", "a" * 5000]
)
def test_a_broken_host_breaks_nothing(app: Flask, host: str) -> None:
    """Whatever stands there, the answer is a page, and it is not in it."""
    environ = {"HTTP_HOST": host.encode().decode("latin-1")}
    answer = app.test_client().get("/register", environ_overrides=environ)
    assert answer.status_code == 200
    assert not host or host not in answer.get_data(as_text=True) + str(answer.headers)


def test_static_files_are_kept_for_a_year_and_change_their_address(visitor: Visitors) -> None:
    """The address carries a fingerprint of the content."""
    browser = visitor()
    sheet = browser.get("/").soup.select_one("link[rel=stylesheet]")
    assert sheet
    assert str(sheet["href"]).startswith(f"{SHEET}?v=")
    page = browser.get(str(sheet["href"]))
    page.response.close()
    assert page.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_a_static_file_that_is_missing_is_not_kept(visitor: Visitors) -> None:
    """It may be there in a moment, after a deployment."""
    page = visitor().get("/static/not-yet.css")
    assert (page.status, page.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize("path", ["/register", SHEET])
def test_what_is_large_is_compressed_for_who_can_read_it(app: Flask, path: str) -> None:
    """Gzip when it is asked for, and caches are told that it depends."""
    client = app.test_client()
    plain = client.get(path, buffered=True)
    packed = client.get(path, buffered=True, headers={"Accept-Encoding": "br, gzip;q=0.8"})
    refused = client.get(path, buffered=True, headers={"Accept-Encoding": "gzip;q=0"})
    assert "Content-Encoding" not in plain.headers
    assert "Content-Encoding" not in refused.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data) / 2
    assert len(gzip.decompress(packed.data)) > len(plain.data) / 2
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_part_of_a_file_is_sent_as_it_is(app: Flask) -> None:
    """A range counts the bytes of the file, not those of a compressed part."""
    asked = {"Range": "bytes=0-1999", "Accept-Encoding": "gzip"}
    answer = app.test_client().get(SHEET, headers=asked, buffered=True)
    assert answer.status_code == 206
    assert "Content-Encoding" not in answer.headers
    assert len(answer.data) == 2000


def test_head_says_what_get_would(visitor: Visitors) -> None:
    """The same status and headers, and no body."""
    browser = visitor()
    page = browser.get("/contact", method="HEAD")
    assert (page.status, page.response.data) == (200, b"")
    assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_a_form_that_is_far_too_large_is_refused_unread(
    visitor: Visitors, clock: time_machine.Traveller
) -> None:
    """Nothing on this site is longer than 64 kB."""
    page = visitor(locale="en").send("/register", {"name": "x" * (64 * 1024)})
    assert page.status == 413
    assert page.soup.select_one("h1")
