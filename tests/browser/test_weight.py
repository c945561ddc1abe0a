"""What a first visit costs, and what pages are made of."""

from __future__ import annotations

import http.client
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.browser.conftest import Newcomer
from tests.browser.watch import Watch
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import become_customer, register

pytestmark = pytest.mark.browser

MOST = 14_000
SIGNED_OUT = ("/", "/register", "/login", "/requests/new", "/notices/privacy", "/dev/mail")
SIGNED_IN = ("/", "/account", "/account/details", "/preferences", "/preferences/history")


def over_the_wire(address: str) -> int:
    """Status line, headers and body of an answer, as a browser that takes gzip gets them."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Accept-Encoding": "gzip"})
    answer = connection.getresponse()
    assert answer.status == 200
    size = len(answer.read()) + len(f"HTTP/1.1 200 OK\r\n{answer.headers.as_string()}\r\n")
    connection.close()
    return size


def test_a_first_visit_to_the_form_fits_in_a_few_packets(newcomer: Newcomer) -> None:
    """Page, stylesheet and icon, headers and all, are at most 14 kB: one round trip of TCP."""
    page = newcomer()
    devtools = page.context.new_cdp_session(page)
    asked: dict[str, str] = {}
    sizes: dict[str, int] = {}
    devtools.on(
        "Network.requestWillBeSent",
        lambda event: asked.update({event["requestId"]: event["request"]["url"]}),
    )
    devtools.on(
        "Network.loadingFinished",
        lambda event: sizes.update({asked[event["requestId"]]: int(event["encodedDataLength"])}),
    )
    devtools.send("Network.enable")
    page.goto("/register", wait_until="networkidle")
    assert page.url in sizes
    linked = page.eval_on_selector_all("link[href]", "links => links.map(link => link.href)")
    assert isinstance(linked, list)
    for address in linked:  # a browser without a window asks for no icon
        sizes.setdefault(address, over_the_wire(address))
    assert len(sizes) == 3, sorted(sizes)
    assert abs(sizes[page.url] - over_the_wire(page.url)) < 100, "both ways of measuring agree"
    assert sum(sizes.values()) <= MOST, sizes


@pytest.mark.requirement(19)
def test_pages_have_no_scripts_and_ask_nobody_else(
    newcomer: Newcomer, watch: Watch, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """Our own host, our own stylesheet, and nothing that a browser would complain of."""
    become_customer(visitor(), mails)
    page = newcomer()
    for path in SIGNED_OUT:
        page.goto(path)
        assert page.locator("script, [onclick], [onsubmit], [style]").count() == 0
    page.goto("/dev/mail")
    with page.expect_navigation():
        page.locator("tbody a").first.click()
    page.frame_locator("iframe").locator("h1").wait_for()
    page.goto("/login")
    page.locator("#email").fill("ingrid.h@kunde.example")
    page.locator("#password").fill("graut med smør og kanel")
    with page.expect_navigation():
        page.locator("main form button").click()
    for path in SIGNED_IN:
        page.goto(path)
        assert page.locator("script, [onclick], [onsubmit], [style]").count() == 0
    assert watch.complaints() == []


@pytest.mark.requirement(19)
def test_the_watch_sees_what_it_is_for(newcomer: Newcomer, watch: Watch) -> None:
    """A script, a stranger's picture and an inline style are each stopped and told of."""
    page = newcomer()
    page.goto("/")
    page.evaluate(
        """() => {
            document.body.append(Object.assign(new Image(), {src: "http://127.0.0.1:9/x.png"}));
            document.body.append(
                Object.assign(document.createElement("script"), {textContent: "window.ran = 1"}));
            document.body.insertAdjacentHTML("beforeend", "<p style='color: red'>x</p>");
        }"""
    )
    page.wait_for_timeout(100)
    assert page.evaluate("window.ran") is None
    asked, *words = watch.complaints()
    assert asked == "asked 127.0.0.1:9"
    assert len(words) >= 3
    assert all("Content Security Policy" in word for word in words), words
    watch.forgive()


def test_a_mail_is_shown_in_its_frame_without_scripts(
    newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """The development mailbox shows the HTML part as well, and its button works."""
    register(visitor())
    mails.deliver()
    page = newcomer(javascript=False)
    page.goto("/dev/mail")
    with page.expect_navigation():
        page.locator("tbody a").first.click()
    frame = page.frame_locator("iframe")
    assert frame.locator("h1").is_visible()
    with page.expect_navigation():
        frame.locator('a[href*="/confirm/"]').first.click()
    assert page.url.partition("?")[0].endswith("/confirm")
