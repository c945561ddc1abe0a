"""What tests of the visitors' choice do in a browser, and look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from database import Database
from tests.support.browser import Browser, Page
from tests.support.tables import count

Visitors = Callable[..., Browser]

TIP = "/tips/calmer-mornings"
GPC: Mapping[str, Any] = {"Sec-GPC": "1"}


def choose(browser: Browser, button: str, path: str = TIP, **headers: Any) -> Page:
    """Press a button of the section of a page, or of the page of its own."""
    page = browser.get(path, **headers)
    return browser.submit(page, page.form({}, "/consent"), {}, button=button, **headers)


def asks(browser: Browser, path: str = TIP, **headers: Any) -> bool:
    """Whether a page has the section."""
    return bool(browser.get(path, **headers).soup.select("section.visitor"))


def counted(browser: Browser, database: Database, **headers: Any) -> bool:
    """Whether it is counted when this browser reads a tip: the effective state."""
    before = count(database, "usage_event")
    for slug in ("rainy-days", "sharing-the-tasks", "same-order-every-evening"):
        browser.get(f"/tips/{slug}", **headers).response.close()
        if count(database, "usage_event") > before:
            return True
    return False


def box(browser: Browser, path: str, **headers: Any) -> bool:
    """Whether the box for analytics is ticked on a page."""
    found = browser.get(path, **headers).soup.select_one("#consent-analytics")
    assert found
    return found.has_attr("checked")
