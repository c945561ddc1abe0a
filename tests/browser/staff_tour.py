"""The pages of those who work here: a newsletter from the first word until it is stopped, and the
report of what is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from domain.identity import accounts
from domain.locales import LOCALES
from extensions import now
from tests.browser.steps import press, send
from tests.domain import counted
from tests.domain.consenting import decide
from tests.support.people import EMAIL

if TYPE_CHECKING:
    from tests.browser.tours import Guide

ENDPOINTS = frozenset(
    {
        *("staff.front", "staff.listed", "staff.new", "staff.campaign", "staff.edit"),
        *("staff.confirm", "staff.preview", "staff.preview_html", "staff.usage"),
    }
)
WORDS = "# Grøt\n\nLes [mer](/tips), og:\n\n- det ene\n- det andre\n\n> Et ord med på veien."


def staff(guide: Guide) -> Iterator[str]:
    """Nothing yet; written in one language; complete; sent; stopped."""
    page = guide.page
    guide.become_customer()
    with guide.app.extensions["database"].transaction() as session:
        account = accounts.find(session, EMAIL)
        assert account
        account.staff = True
        decide(session, account.subject_id, marketing=True)
    yield from guide.go("/staff/", "/staff/campaigns", "/staff/campaigns/new")
    send(page)
    yield "/staff/campaigns/new, nothing written"
    page.locator("#subject_nb").fill("Nye tips til høsten")
    page.locator("#words_nb").fill("![x](y)")
    send(page)
    yield "/staff/campaigns/new, with an image"
    page.locator("#words_nb").fill(WORDS)
    send(page)
    own = page.url
    yield "/staff/campaigns/<id>, in one language"
    yield from guide.go(f"{own}/send", f"{own}/edit")
    for locale in LOCALES:
        page.locator(f"#subject_{locale}").fill("Nye tips til høsten")
        page.locator(f"#words_{locale}").fill(WORDS)
    send(page)
    yield "/staff/campaigns/<id>, complete"
    yield from guide.go(f"{own}/preview/nn", f"{own}/preview/nn/html", f"{own}/send")
    send(page)
    yield "/staff/campaigns/<id>, being sent"
    press(page, "main form[action$='/pause'] button")
    yield "/staff/campaigns/<id>, paused"
    press(page, "main form[action$='/cancel'] button")
    yield "/staff/campaigns/<id>, stopped"
    yield from guide.go("/staff/campaigns", "/staff/usage")
    for number in range(6):
        mark = counted.browser(guide.app.extensions["database"], f"mark {number}", at=now())
        for item in ("rainy-days", "calmer-mornings"):
            counted.count(guide.app.extensions["database"], mark, item, at=now())
    yield from guide.go("/staff/usage?weeks=26", "/staff/usage?item=rainy-days")
