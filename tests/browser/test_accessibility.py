"""Every page in every state, in light and dark, narrow and wide, in three languages."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from flask import Flask
from time_machine import Traveller
from werkzeug.exceptions import HTTPException

from tests.browser import looking
from tests.browser.conftest import Newcomer
from tests.browser.steps import fill, send
from tests.browser.tours import ENDPOINTS, PAGELESS, TOURS, Guide
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import EMAIL, INGRID, become_customer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

NARROW, WIDE, ZOOMED = (320, 640), (1280, 900), (320, 256)  # 1280 x 1024 at 400 % is 320 x 256
# How mails look is their own affair: they have no landmarks, and no parts but one.
MAIL = ("landmark-one-main", "region")
ERROR = {"nb": "Feil: ", "nn": "Feil: ", "en": "Error: "}


@pytest.fixture
def guide(
    newcomer: Newcomer,
    locale: str,
    app: Flask,
    mails: Mails,
    visitor: Callable[..., Browser],
    clock: Traveller,
) -> Guide:
    """Shows a browser around."""
    return Guide(newcomer(locale=locale), app, mails, visitor, clock, locale)


@pytest.mark.requirement(3, 86, 87, 88, 89, 90)
@pytest.mark.parametrize("locale", ["nb", "nn", "en"])
@pytest.mark.parametrize("tour", TOURS)
def test_every_page_is_accessible(tour: str, locale: str, guide: Guide) -> None:
    """axe finds nothing; nothing is too wide or too small; the page says what it is. Bokmål is
    looked at in each size and scheme, the others, whose pages are built the same, in what their
    words can change."""
    page, found, seen = guide.page, [], set()
    look = everywhere if locale == "nb" else once
    for name in TOURS[tour](guide):
        seen.add(endpoint(guide.app, page))
        if page.url.endswith("/html"):
            found += [f"{name}: {problem}" for problem in look(apart(page), without=MAIL)]
            continue
        problems = [*look(page), *said(page, locale)]
        found += [f"{name}: {problem}" for problem in problems]
    assert not found, "\n".join(found)
    assert seen >= ENDPOINTS[tour]


def apart(page: Page) -> Page:
    """The same words on a page of their own: where they are, no script may run, not even axe."""
    other = page.context.new_page()
    other.set_content(page.content())
    return other


def everywhere(
    page: Page, *, without: tuple[str, ...] = (), sizes: Sequence[tuple[int, int]] = (NARROW, WIDE)
) -> list[str]:
    """All rules at 320 px in light; then what another size changes, and at that size what dark
    changes. No colour depends on the size, and nothing is shown in one size only."""
    problems: list[str] = []
    only, width = None, 0
    for width, height in sizes:
        page.set_viewport_size({"width": width, "height": height})
        problems += [f"{width}: {one}" for one in looking.axe(page, only, without=without)]
        problems += [f"{width}: {one}" for one in looking.layout(page)]
        only = looking.SIZES
    page.emulate_media(color_scheme="dark")
    problems += [f"{width}, dark: {one}" for one in looking.axe(page, looking.COLOURS)]
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": ZOOMED[0], "height": ZOOMED[1]})
    return [*problems, *(f"zoomed: {one}" for one in looking.layout(page))]


def once(page: Page, *, without: tuple[str, ...] = ()) -> list[str]:
    """At 320 px, where long words tell. Axe has nothing more to find: `without` which rules is
    all the same."""
    page.set_viewport_size({"width": NARROW[0], "height": NARROW[1]})
    return list(looking.layout(page))


def said(page: Page, locale: str) -> list[str]:
    """What is wrong with what the document says of itself."""
    told = looking.document(page)
    wrong = told["summary"] == 1
    expected = {
        "another language": told["lang"] == locale,
        "not one h1": told["headings"] == 1,
        "no title": bool(told["title"]),
        "the title and the summary disagree": told["title"].startswith(ERROR[locale]) == wrong,
        "an id twice": len(told["ids"]) == len(set(told["ids"])),
        f"leads nowhere: {told['dangling']}": not told["dangling"],
        f"no label: {told['unlabelled']}": not told["unlabelled"],
    }
    return [problem for problem, right in expected.items() if not right]


def endpoint(app: Flask, page: Page) -> str:
    """The page's own name, or nothing where it is an error."""
    try:
        name, _ = app.url_map.bind("").match(urlsplit(page.url).path, method="GET")
    except HTTPException:
        return ""
    return str(name)


def test_no_page_is_left_out(app: Flask) -> None:
    """A new page is shown by a tour before it is merged."""
    pages = {rule.endpoint for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    assert pages == PAGELESS.union(*ENDPOINTS.values())


@pytest.mark.requirement(21, 88)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_an_empty_box_can_be_seen(scheme: str, newcomer: Newcomer) -> None:
    """The edge of an unticked box has a contrast of 3 (WCAG 1.4.11), which axe does not test."""
    page = newcomer()
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto("/register")
    for selector in ("#consent-marketing", "#consent-analytics", "#terms", "#age-0", "#name"):
        assert looking.contrast_of_border(page, selector) >= 3, selector


@pytest.mark.requirement(56)
def test_the_copy_can_be_read_by_everyone(
    newcomer: Newcomer, visitor: Callable[..., Browser], mails: Mails
) -> None:
    """The page in the ZIP is a page as good as the others."""
    become_customer(visitor(), mails)
    page = newcomer()
    page.goto("/login")
    fill(page, email=EMAIL, password=INGRID.password)
    send(page)
    page.goto("/requests/new?kind=access")
    fill(page, password=INGRID.password)
    send(page)
    with page.expect_download() as download:
        page.locator("main form button").click()
    with zipfile.ZipFile(download.value.path()) as archive:
        html = archive.read("index.html").decode()
    copy = newcomer()
    copy.set_content(html)
    found = everywhere(copy, sizes=(NARROW,))
    assert not found, "\n".join(found)
