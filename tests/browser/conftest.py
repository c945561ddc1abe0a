"""Real browsers before the real site. Whatever they do, they ask nobody else for anything."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from settings import Settings
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Newcomer = Callable[..., "Page"]


@pytest.fixture(params=["sqlite"])
def backend(request: pytest.FixtureRequest) -> str:
    """One kind of database: what a page looks like does not depend on it. The walk takes both."""
    return str(request.param)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The same, behind a proxy, so that visitors can come from somewhere."""
    return dataclasses.replace(settings, trusted_proxies=1)


@pytest.fixture
def watch(live: str) -> Watch:
    """What all browsers of the test asked for and complained of."""
    return Watch(live)


@pytest.fixture
def newcomer(chromium_browser: Browser, live: str, watch: Watch) -> Iterator[Newcomer]:
    """Makes people at a browser of their own: `newcomer(javascript=False, ip="192.0.2.7")`.

    When the test ends, nothing may have gone to another host, and no browser complained.
    """
    contexts = []

    def newcomer(*, javascript: bool = True, ip: str = "192.0.2.77", locale: str = "nb") -> Page:
        context = chromium_browser.new_context(
            base_url=live,
            locale=locale,
            java_script_enabled=javascript,
            accept_downloads=True,
            extra_http_headers={"X-Forwarded-For": ip},
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        watch.over(context)
        return context.new_page()

    yield newcomer
    for context in contexts:
        context.close()
    assert watch.complaints() == []
