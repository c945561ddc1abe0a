"""The visitors' choice in a real browser: what is stored, how the buttons look, what it takes."""

from __future__ import annotations

from itertools import pairwise, product
from typing import TYPE_CHECKING, Literal

import pytest

from tests.browser import looking
from tests.browser.conftest import Newcomer
from tests.browser.keyboard import enter, has_focus
from tests.browser.steps import follow
from tests.browser.watch import Watch

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

TIP = "/tips/calmer-mornings"
BUTTONS = ("save", "accept", "refuse")
# Pages that a person comes to by a link, without an account.
PAGES = (
    *("/", "/tips", TIP, "/consent", "/cookies", "/processors", "/contact", "/ledger"),
    *("/notices/privacy", "/notices/privacy/versions", "/notices/terms", "/requests/sent"),
)
# Those that hold a form of an account or a case, whose session /cookies lists.
FORMS = ("/register", "/login", "/requests/new", "/password/forgotten", "/ledger/verify")

_BUTTONS = r"""
() => [...document.querySelectorAll("[name=answer]")].map(one => {
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    const told = {};
    // Sizes that are parts of the width differ by what a pixel is divided into.
    const whole = px => Math.round(parseFloat(px));
    for (const name of style)
        told[name] = style.getPropertyValue(name).replace(/[\d.]+px/g, whole);
    return {value: one.value, left: box.left, top: box.top, width: box.width, height: box.height,
            style: told};
})
"""
_STORED = """
async () => ({
    local: localStorage.length, session: sessionStorage.length,
    databases: (await indexedDB.databases()).length,
    caches: globalThis.caches ? (await caches.keys()).length : 0,
    workers: (await navigator.serviceWorker?.getRegistrations() || []).length,
})
"""


def stored(page: Page) -> set[str]:
    """The names of the cookies; nothing else is stored at all."""
    for area, size in page.evaluate(_STORED).items():
        assert size == 0, area
    return {str(one["name"]) for one in page.context.cookies()}


def press(page: Page, value: str) -> None:
    """Press one of the three buttons."""
    with page.expect_navigation():
        page.locator(f"button[value={value}]").click()


@pytest.mark.requirement(14, 17, 19, 24)
def test_a_browser_that_touches_nothing_stores_nothing(newcomer: Newcomer, watch: Watch) -> None:
    """On any page, with scripts and scrolling; after «Avslå alle» it has the choice, which /cookies
    lists, and nothing more for good. Nobody else is asked for anything."""
    page = newcomer()
    for path in PAGES:
        page.goto(path)
        page.mouse.wheel(0, 2000)
        assert stored(page) == set(), path
    for path in FORMS:
        page.goto(path)
        assert stored(page) <= {"session"}, path
    page.context.clear_cookies()
    page.goto(TIP)
    press(page, "refuse")
    assert page.url.endswith(TIP)
    for path in PAGES:
        page.goto(path)
        assert page.locator("section.visitor").count() == 0, path
        assert stored(page) == {"choice"}, path
    assert watch.complaints() == []


@pytest.mark.requirement(21, 90)
def test_the_three_buttons_are_alike(newcomer: Newcomer) -> None:
    """Every computed style, the size, and the distance from one to the next: narrow and wide, in
    light and dark, in the section and on the page of its own."""
    page = newcomer()
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for path, width, scheme in product((TIP, "/consent"), (320, 375, 600, 1280), schemes):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        page.goto(path)
        first, second, third = found = page.evaluate(_BUTTONS)
        where = f"{path}, {width}, {scheme}"
        assert [one["value"] for one in found] == list(BUTTONS), where
        assert first["style"] == second["style"] == third["style"], where
        for side in ("width", "height"):
            assert first[side] == pytest.approx(second[side], abs=0.1), where
            assert second[side] == pytest.approx(third[side], abs=0.1), where
        steps = [
            (after["left"] - before["left"], after["top"] - before["top"])
            for before, after in pairwise(found)
        ]
        assert steps[0] == pytest.approx(steps[1], abs=0.1), where
        assert looking.contrast_of_border(page, "#consent-analytics") >= 3, where


class Hands:
    """A person's hands at the browser: every click and every key is counted."""

    def __init__(self, page: Page):
        self.page, self.actions = page, 0

    def click(self, selector: str) -> None:
        """Click something that leads to a page."""
        self.actions += 1
        with self.page.expect_navigation():
            self.page.locator(selector).click()

    def tick(self, selector: str) -> None:
        """Click a box."""
        self.actions += 1
        self.page.locator(selector).click()


def decide(page: Page, answer: str, start: str) -> int:
    """Say yes or no from this page on, in the shortest way; return the actions that it took."""
    page.goto(start)
    hands = Hands(page)
    if not page.locator("button[name=answer]").count():
        hands.click("footer a[href='/consent']")
    hands.click(f"button[value={answer}]")
    page.goto("/consent")
    assert page.locator("#consent-analytics").is_checked() == (answer == "accept")
    return hands.actions


@pytest.mark.requirement(21, 26, 32)
def test_a_no_takes_as_many_actions_as_a_yes(newcomer: Newcomer) -> None:
    """Without scripts: refusing as accepting where it is asked, and withdrawing as giving later on,
    from any page; nor more than to tick the one box and to save it."""
    page = newcomer(javascript=False)
    asked = {}
    for answer in ("accept", "refuse"):
        page.context.clear_cookies()
        asked[answer] = decide(page, answer, TIP)
    assert asked == {"accept": 1, "refuse": 1}
    later = [decide(page, answer, "/contact") for answer in ("accept", "refuse", "accept")]
    assert later == [2, 2, 2]
    page.context.clear_cookies()
    page.goto("/")
    hands = Hands(page)
    hands.tick("#consent-analytics")
    hands.click("button[value=save]")
    assert decide(page, "refuse", TIP) <= hands.actions
    decide(page, "accept", "/contact")
    press(page, "refuse")
    page.go_back()
    assert not page.locator("#consent-analytics").is_checked(), "no tick is put back"


@pytest.mark.requirement(24, 26, 88)
def test_the_section_is_answered_with_the_keyboard(newcomer: Newcomer) -> None:
    """Tab comes to the notice, the box and each button before anything else, and goes on; Space
    ticks, Enter sends, and afterwards the page begins as it does without the section."""
    page = newcomer(javascript=False)
    page.goto("/")
    for selector in ("#consent-analytics", "section a", *(f"[value={one}]" for one in BUTTONS)):
        page.keyboard.press("Tab")
        assert has_focus(page, selector), selector
    page.keyboard.press("Tab")
    assert has_focus(page, ".skip")
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    enter(page, "button[value=save]")
    page.keyboard.press("Tab")
    assert has_focus(page, ".skip")
    page.goto("/consent")
    assert page.locator("#consent-analytics").is_checked()


@pytest.mark.requirement(24)
@pytest.mark.parametrize("width", [320, 1280])
def test_the_section_stands_in_the_way_of_nothing(newcomer: Newcomer, width: int) -> None:
    """It lies in the flow, above everything else, and the page below it works unanswered."""
    page = newcomer()
    page.set_viewport_size({"width": width, "height": 700})
    page.goto("/")
    section = page.locator("section.visitor")
    assert section.evaluate("one => getComputedStyle(one).position") == "static"
    box, header = section.bounding_box(), page.locator("header.top").bounding_box()
    assert box
    assert header
    assert (box["x"], box["width"]) == (0, width)
    assert abs(box["y"] + box["height"] - header["y"]) < 1
    follow(page, "/register")
    assert page.url.endswith("/register")
