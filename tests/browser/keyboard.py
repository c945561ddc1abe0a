"""A person who has a keyboard and no mouse. Works in browsers without JavaScript too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

_FOCUSED = """
() => {
    const one = document.activeElement;
    if (!one || one === document.body) return null;
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    const line = one.getClientRects()[0];  // a link may be broken over two lines
    // To a box for many lines the browser scrolls as far as the line that is written on.
    const tall = one.matches("textarea") ? Math.min(line.height, 48) : line.height;
    const at = document.elementFromPoint(line.left + line.width / 2, line.top + tall / 2);
    return {
        place: [...document.querySelectorAll("*")].indexOf(one),
        what: `${one.tagName} ${one.getAttribute("href") || one.name || one.id}`,
        area: one.closest("main, header, footer")?.tagName || "",
        top: box.top + scrollY,
        ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
        seen: !!at && (one.contains(at) || at.contains(one)) && line.top >= 0
            && line.top + tall <= innerHeight + 1,
    };
}
"""
_REACHABLE = """
() => {
    const first = {};
    for (const radio of document.querySelectorAll("input[type=radio]"))
        if (radio.checked || !(radio.name in first)) first[radio.name] = radio;
    return [...document.querySelectorAll("*")].flatMap((one, place) =>
        one.matches("a[href], button, select, textarea, summary, input:not([type=hidden]), iframe")
        && !one.disabled && (one.type !== "radio" || first[one.name] === one) ? [place] : []);
}
"""
_MOST = 150


@dataclass(frozen=True)
class Stop:
    """Where the focus is: the element's place in the document, and how it shows."""

    place: int
    what: str
    area: str
    top: float
    ring: bool
    seen: bool


def focused(page: Page) -> Stop | None:
    """What has the focus."""
    found = page.evaluate(_FOCUSED)
    return Stop(**found) if found else None


def has_focus(page: Page, selector: str) -> bool:
    """Whether the element that has the focus is one of these."""
    return page.locator(f":focus:is({selector})").count() == 1


def reachable(page: Page) -> list[int]:
    """Every place that the Tab key should stop at, in the document's order."""
    found: list[int] = page.evaluate(_REACHABLE)
    return found


def round_trip(page: Page, key: str = "Tab") -> list[Stop]:
    """Press a key until the focus leaves the page or comes round."""
    stops: list[Stop] = []
    for _ in range(_MOST):
        page.keyboard.press(key)
        stop = focused(page)
        if stop is None or any(stop.place == one.place for one in stops):
            return stops
        stops.append(stop)
    raise AssertionError(f"the focus never gets round: {[one.what for one in stops]}")


def tab_to(page: Page, selector: str) -> None:
    """Press Tab until one of these has the focus."""
    for _ in range(_MOST):
        page.keyboard.press("Tab")
        if has_focus(page, selector):
            return
    raise AssertionError(f"Tab never comes to {selector}")


def enter(page: Page, selector: str) -> None:
    """Go to a link or button, and on to where it leads."""
    tab_to(page, selector)
    with page.expect_navigation():
        page.keyboard.press("Enter")


def write(page: Page, **fields: str) -> None:
    """Go to each field and type, in the order in which they stand."""
    for name, text in fields.items():
        tab_to(page, f"[name={name}]")
        page.keyboard.type(text)
