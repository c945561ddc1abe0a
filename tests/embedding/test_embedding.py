"""Another Flask application beside the site, in a real browser: docs/embedding.md, as it says."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask

from database import Database
from tests.browser.steps import sign_in
from tests.embedding import beside
from tests.support.browser import Browser
from tests.support.live import free_port, served
from tests.support.mails import Mails
from tests.support.people import become_customer
from tests.support.tables import decided

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.browser,
    pytest.mark.parametrize("backend", ["sqlite"], indirect=True),
]

PAGE = "/blog/auth/register?from=front"
LOOKS = """
name => {
    const one = document.querySelector(`button[value=${name}]`), style = getComputedStyle(one);
    const {width, height} = one.getBoundingClientRect();
    const names = ["color", "backgroundColor", "border", "font", "opacity", "padding"];
    return [Math.round(width), Math.round(height), ...names.map(name => style[name])];
}
"""


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    """The port of the origin."""
    with free_port() as listening:
        yield listening


@pytest.fixture
def address(listening: socket.socket) -> str:
    """The origin that the site shares."""
    return f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def live(
    app: Flask,
    address: str,
    listening: socket.socket,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[str]:
    """The site, with the other application beside it."""
    other = beside.application(tmp_path / "other", address, monkeypatch)
    with served(beside.together(app, other), listening):
        yield address


def may_count(page: Page) -> str:
    """What the other application is told when it asks, with a request of this browser."""
    return page.request.get("/blog/may").text()


def press(page: Page, answer: str) -> None:
    """Press one of the three buttons."""
    with page.expect_navigation():
        page.locator(f"section.visitor button[value={answer}]").click()


@pytest.mark.requirement(19, 21, 24, 26, 27, 28, 32)
@pytest.mark.parametrize("path", [PAGE, "/pages/page.shtml"])
def test_a_visitor_chooses_on_the_page_of_another_application(
    path: str, page: Page, database: Database
) -> None:
    """First on the page, three buttons alike, nothing stored before; the answer comes back to the
    same page, counts everywhere, and is changed by the link at the foot of it."""
    page.goto(path)
    assert page.evaluate("document.body.firstElementChild.className") == "visitor"
    assert page.context.cookies() == []
    assert may_count(page) == "False"
    for width in (320, 1280):
        page.set_viewport_size({"width": width, "height": 640})
        looks: list[Any] = [page.evaluate(LOOKS, one) for one in ("save", "accept", "refuse")]
        assert looks[0] == looks[1] == looks[2]
        assert looks[0][0] >= 24
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    press(page, "refuse")
    assert page.url.endswith(path)
    assert {one["name"] for one in page.context.cookies()} == {"choice"}
    assert may_count(page) == "False"
    for other in (path, "/", "/blog/"):
        page.goto(other)
        assert page.locator("section.visitor").count() == 0
    page.goto(path)
    with page.expect_navigation():
        page.locator("footer a[href='/consent']").click()
    with page.expect_navigation():
        page.locator("main button[value=accept]").click()
    assert may_count(page) == "True"
    assert decided(database) == [("given", "analytics"), ("refused", "analytics")]


@pytest.mark.requirement(31)
def test_the_browsers_signal_reaches_the_site_through_the_other_application(
    page: Page, database: Database
) -> None:
    """With it the other application is told no, and asks nothing."""
    page.goto("/blog/auth/login")
    press(page, "accept")
    assert may_count(page) == "True"
    page.context.set_extra_http_headers({"Sec-GPC": "1"})
    assert may_count(page) == "False"
    page.context.clear_cookies()
    page.goto("/blog/auth/login")
    assert page.locator("section.visitor").count() == 0


def test_somebody_is_signed_in_to_both(
    page: Page, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """Each has a session of its own; the account answers for the other application too."""
    become_customer(visitor(), mails)
    assert sign_in(page) == 200
    for path in ("/blog/auth/register", "/blog/auth/login"):
        page.goto(path)
        assert page.locator("section.visitor").count() == 0, "the account answers"
        page.locator("#username").fill("ingrid")
        page.locator("#password").fill("graut")
        with page.expect_navigation():
            page.locator("form input[type=submit]").click()
    assert page.locator("nav span").inner_text() == "ingrid"
    assert may_count(page) == "False"
    page.goto("/preferences")
    page.locator("#consent-analytics").check()
    with page.expect_navigation():
        page.locator("main form[method=post] button").last.click()
    assert may_count(page) == "True"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://127.0.0.1:99999"])
def test_without_the_site_the_other_application_goes_on_and_may_nothing(
    backend: str, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be asked is a no, and no page waits or breaks for it."""
    client = beside.application(tmp_path, address, monkeypatch).test_client()
    page = client.get("/auth/login")
    assert page.status_code == 200
    assert "visitor" not in page.text
    assert client.get("/may").text == "False"
