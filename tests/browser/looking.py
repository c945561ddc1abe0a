"""What can be seen of a page in a browser: axe, sizes, and how much it takes to see a box."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import axe_playwright_python

if TYPE_CHECKING:
    from playwright.sync_api import Page

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
_RUN = """
async ([rules, only]) => {
    const options = {resultTypes: ["violations"], iframes: false, rules};
    if (only) options.runOnly = {type: "rule", values: only};
    const found = await axe.run(document, options);
    return found.violations.flatMap(rule => rule.nodes.map(node => `${rule.id}: ${node.target}`));
}
"""
# What depends on colours alone: enough where only these are other than before.
COLOURS = ("color-contrast", "link-in-text-block")
# And what depends on how wide the page is.
SIZES = ("target-size", "scrollable-region-focusable")
_LAYOUT = """
() => {
    const box = element => element.getBoundingClientRect();
    const shown = element => element.checkVisibility() && box(element).width > 1;
    const problems = [];
    if (document.documentElement.scrollWidth > innerWidth) problems.push("scrolls sideways");
    for (const one of document.querySelectorAll("main *, header *, footer *")) {
        if (one.closest(".unseen, .scroll") || !shown(one)) continue;
        if (box(one).right > innerWidth + 1 || box(one).left < -1)
            problems.push(`stands out: ${one.tagName} ${one.id || one.className}`);
        if (["fixed", "sticky"].includes(getComputedStyle(one).position))
            problems.push(`covers others: ${one.tagName}`);
    }
    const controls = "button, select, textarea, input:not([type=hidden]), .button, nav a, header a";
    for (const one of document.querySelectorAll(controls)) {
        if (shown(one) && (box(one).height < 24 || box(one).width < 24))
            problems.push(`smaller than 24 px: ${one.tagName} ${one.textContent || one.id}`);
    }
    return problems;
}
"""
_DOCUMENT = """
() => ({
    lang: document.documentElement.lang,
    title: document.title,
    headings: document.querySelectorAll("h1").length,
    summary: document.querySelectorAll(".summary").length,
    ids: [...document.querySelectorAll("[id]")].map(one => one.id),
    dangling: [...document.querySelectorAll("[aria-describedby], [aria-labelledby], label[for]")]
        .flatMap(one => ["aria-describedby", "aria-labelledby", "for"]
            .flatMap(name => (one.getAttribute(name) || "").split(" ")))
        .filter(id => id && !document.getElementById(id)),
    unlabelled: [...document.querySelectorAll("main input:not([type=hidden]), main select")]
        .filter(one => !one.labels.length).map(one => one.name),
})
"""


def axe(page: Page, only: tuple[str, ...] | None = None, *, without: tuple[str, ...] = ()) -> Any:
    """What axe finds on the page as it is, as `rule: where`. The policy allows no script element,
    so axe comes by the debugger."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"{_AXE}; 0")
    rules = {"target-size": {"enabled": True}} | {one: {"enabled": False} for one in without}
    return page.evaluate(_RUN, [rules, list(only) if only else None])


def layout(page: Page) -> Any:
    """What is too wide, too small, or stands before something else."""
    return page.evaluate(_LAYOUT)


def document(page: Page) -> Any:
    """What the page says of itself."""
    return page.evaluate(_DOCUMENT)


def contrast_of_border(page: Page, selector: str) -> float:
    """How much the edge of an unticked box stands out from what is around it, in the picture."""
    box = page.locator(selector).bounding_box()
    assert box is not None
    around = {
        "x": box["x"] - 4,
        "y": box["y"] + box["height"] / 2,
        "width": box["width"] / 2 + 4,
        "height": 1.0,
    }
    rows = _pixels(page.screenshot(clip=around, full_page=True))  # type: ignore[arg-type]
    ground, *across = (_luminance(pixel) for pixel in rows[0])
    return max((max(ground, one) + 0.05) / (min(ground, one) + 0.05) for one in across)


def _luminance(pixel: bytes) -> float:
    parts = [value / 255 for value in pixel[:3]]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _pixels(png: bytes) -> list[list[bytes]]:
    """The rows of a picture: 8 bits a channel, not interlaced, as browsers write them."""
    at, packed = 8, b""
    width = int.from_bytes(png[16:20], "big")
    depth, kind = png[24], png[25]
    assert depth == 8
    assert kind in {2, 6}
    size = 3 if kind == 2 else 4
    while at < len(png):
        length = int.from_bytes(png[at : at + 4], "big")
        if png[at + 4 : at + 8] == b"IDAT":
            packed += png[at + 8 : at + 8 + length]
        at += length + 12
    raw, rows, above = zlib.decompress(packed), [], bytes(width * size)
    for start in range(0, len(raw), width * size + 1):
        above = _unfiltered(raw[start], raw[start + 1 : start + 1 + width * size], above, size)
        rows.append([above[x : x + size] for x in range(0, len(above), size)])
    return rows


def _unfiltered(kind: int, line: bytes, above: bytes, size: int) -> bytes:
    """A row as it was before its PNG filter (RFC 2083, 6)."""
    done = bytearray(len(line))
    for x, value in enumerate(line):
        left = done[x - size] if x >= size else 0
        corner = above[x - size] if x >= size else 0
        guess = left + above[x] - corner
        paeth = min((left, above[x], corner), key=lambda one: abs(guess - one))
        add = (0, left, above[x], (left + above[x]) // 2, paeth)[kind]
        done[x] = (value + add) & 255
    return bytes(done)
