"""«Ditt personvern» with nothing under way and with much, and the end of a subscription."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from flask import Flask
from sqlalchemy import select

from domain.accounting import records
from domain.accounting.invoices import Invoice
from domain.identity import subscriptions
from domain.identity.models import Account
from domain.rights import holds
from extensions import now
from tests.browser.steps import fill, send, sign_in
from tests.support.people import INGRID

if TYPE_CHECKING:
    from tests.browser.tours import Guide

ENDPOINTS = frozenset(
    {"requests.privacy", "requests.show", "accounts.account", "accounts.subscription"}
)
_INVOICE = Invoice(
    number="2026-0017",
    day=date(2026, 11, 22),
    currency="NOK",
    amount=124_900,
    vat=24_980,
    item="Abonnement",
    buyer_name=INGRID.name,
    buyer_address="Prøvegata 17, 7010 Grautvika",
)


def privacy(guide: Guide) -> Iterator[str]:
    """Quiet; then with all that can be on it, and every part opened."""
    page, app = guide.page, guide.app
    guide.become_customer()
    yield from guide.go("/account/privacy")
    buy(app)
    yield from guide.go("/account", "/account/subscription")
    send(page)
    yield "/account, the subscription is ended"
    page.goto("/requests/new?kind=restriction")
    send(page)
    app.extensions["settings"] = replace(
        app.extensions["settings"], erasure_grace=timedelta(hours=24)
    )
    page.goto("/requests/new?kind=erasure")
    fill(page, password=INGRID.password)
    send(page)
    yield "/requests/<reference>, erasure, with a time of grace and what stays"
    with page.expect_navigation():
        page.locator("button[value=later]").click()
    yield "/requests/<reference>, erasure that waits"
    sign_in(page)
    page.goto("/account/privacy")
    page.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    yield "/account/privacy, with much under way"


def buy(app: Flask) -> None:
    """A subscription, its invoice, and a hold."""
    database = app.extensions["database"]
    with database.transaction() as session:
        subject_id = session.scalars(select(Account.subject_id)).one()
        subscriptions.start(session, subject_id, on=date(2026, 2, 1), at=now())
        names, until = ("account", "case_texts"), date(2027, 5, 3)
        holds.place(session, subject_id, "legal_claim", "Sak 17", names, until, at=now())
    with database.info["accounting"].transaction() as session:
        records.add(session, subject_id, _INVOICE, at=now())
