"""What visitors choose, and what becomes of a yes: ended by a newsletter's link, and renewed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from domain.identity import accounts
from domain.marketing import tokens
from extensions import now
from tests.browser.steps import press, send, sign_in
from tests.domain.consenting import decide
from tests.support.people import EMAIL, INGRID

if TYPE_CHECKING:
    from tests.browser.tours import Guide


def newsletter(guide: Guide) -> Iterator[str]:
    """The newsletter ended by its own link, and an address that mail came back from."""
    page, parts, at = guide.page, guide.app.extensions, now()
    with parts["database"].transaction() as session:
        found = accounts.find(session, EMAIL)
        assert found
        decide(session, found.subject_id, at=at, marketing=True)
        accounts.mark_undeliverable(session, found.subject_id, "5.1.1", at=at)
        token = tokens.make(parts["settings"].keys, found.subject_id, at)
    yield from guide.go("/account", "/unsubscribe/x", f"/unsubscribe/{token}")
    send(page)
    yield "/unsubscribe/<token>, done"
    page.goto("/preferences/history")
    with page.expect_navigation():
        page.locator(".history a").first.click()
    yield "/preferences/history/<entry_id>, a no by one button"


def renewal(guide: Guide) -> Iterator[str]:
    """A yes that was given for other words than those of today, renewed."""
    page = guide.page
    page.goto("/preferences")
    page.locator("#consent-analytics").check()
    send(page)
    guide.clock.shift(timedelta(days=2))
    sign_in(page, INGRID)
    page.goto("/preferences")
    yield "/preferences, a yes that does not count any more"
    page.goto("/preferences/renew")
    yield "/preferences/renew"
    page.locator("[name=presentation]").evaluate("field => { field.value = 'x' }")
    send(page)
    yield "/preferences/renew, words that are not the current ones"
    page.locator("#consent-analytics").check()
    send(page)
    page.goto("/preferences/renew")
    yield "/preferences/renew, nothing to renew"


def visitor(guide: Guide) -> Iterator[str]:
    """The visitors' choice: the section, and the page of its own in each of its states."""
    page = guide.page
    yield from guide.go("/consent")
    page.locator("main [name=presentation]").evaluate("field => { field.value = 'x' }")
    press(page, "main button[value=accept]")
    yield "/consent, words that are not the current ones"
    press(page, "main button[value=accept]")
    yield "/consent, saved"
    page.goto("/tips/calmer-mornings")  # from here on /consent shows what was counted
    guide.mails.deliver()
    yield from guide.go("/consent/receipt", "/register")
    guide.become_customer()
    yield "/account, whose word counts"
    yield from guide.go("/consent")
    page.context.set_extra_http_headers({"Sec-GPC": "1"})
    yield from guide.go("/consent")
    press(page, "header form button")
    page.goto("/consent")
    yield "/consent, with the signal"
