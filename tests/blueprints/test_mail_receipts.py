"""The mails that carry receipts: after sign-up, after each change of consent, after requests."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage

import pytest
import time_machine
from flask import Flask
from sqlalchemy import select

from database import Database
from domain.delivery.models import OutboxMessage
from domain.delivery.worker import Outcome
from domain.identity import accounts
from domain.ledger import receipts
from domain.ledger.log import Log
from domain.ledger.receipts import Verified
from domain.rights import telling
from domain.subjects import service as subjects
from extensions import now
from tests.support.browser import Browser
from tests.support.mails import Mails, link_in, receipts_in, text
from tests.support.people import EMAIL, INGRID, PASSWORD, become_customer, confirm, register

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
YES = replace(INGRID, choices={"marketing": True})
HELD = timedelta(seconds=10)


@pytest.fixture
def ingrid(visitor: Visitor, mails: Mails) -> Browser:
    """A customer who said yes to the newsletter and reads English."""
    browser = visitor(locale="en")
    become_customer(browser, mails, YES)
    return browser


@pytest.fixture
def proved(log: Log) -> Callable[[EmailMessage], list[Verified]]:
    """The receipts of a mail, each verified as anybody could: with the log's key alone."""

    def proved(mail: EmailMessage) -> list[Verified]:
        return [receipts.check(one, [log.signers[0].verifier]) for one in receipts_in(mail)]

    return proved


def types(found: list[Verified]) -> list[str]:
    """What the receipts are about."""
    return [one.entry.type for one in found]


def queued(database: Database) -> list[OutboxMessage]:
    """What waits to be delivered."""
    with database.reading() as session:
        waiting = select(OutboxMessage).where(OutboxMessage.state == "queued")
        return list(session.scalars(waiting))


Proved = Callable[[EmailMessage], list[Verified]]


@pytest.mark.requirement(34, 45)
def test_the_mail_after_sign_up_carries_a_receipt_for_each_decision(
    visitor: Visitor, mails: Mails, proved: Proved
) -> None:
    """The account and both choices, with the words that were shown; the mail says which."""
    register(visitor(locale="en"), YES)
    mail = mails.last(EMAIL)
    found = proved(mail)
    assert types(found) == ["account.opened", "consent.given", "consent.refused"]
    assert [one.presentation is not None for one in found] == [False, True, True]
    assert link_in(mail).count("/confirm/") == 1
    for kind in ("plain", "html"):
        said = text(mail, kind)
        for line in (
            "Account opened, 22 November 2026 at 13:00",
            "Newsletter by e-mail: yes, 22 November",
        ):
            assert line in said


@pytest.mark.requirement(34, 45)
def test_a_change_of_choices_is_told_with_its_receipts(
    ingrid: Browser, mails: Mails, proved: Proved, settings_url: str
) -> None:
    """One mail for all that changed at once; what did not change is not in it."""
    before = len(mails.to(EMAIL))
    ingrid.post("/preferences", {"consent-marketing": False, "consent-analytics": True})
    (mail,) = mails.to(EMAIL)[before:]
    assert mail["Subject"] == "Your choices with Lillemini"
    found = proved(mail)
    assert types(found) == ["consent.withdrawn", "consent.given"]
    said = text(mail)
    assert "- Newsletter by e-mail: withdrawn, 22 November 2026 at 13:00" in said
    for path in ("/preferences", "/ledger/verify", "/ledger"):
        assert f"{settings_url}{path}?lang=" in said
    ingrid.post("/preferences", {"consent-marketing": False, "consent-analytics": True})
    assert len(mails.to(EMAIL)) == before + 1


@pytest.fixture
def settings_url(app: Flask) -> str:
    """Where the site says that it is."""
    url: str = app.extensions["settings"].base_url
    return url


def test_a_consent_that_ends_with_an_age_is_told(
    ingrid: Browser, mails: Mails, proved: Proved
) -> None:
    """Nobody pressed a button for it, so the mail is how the person learns of it."""
    ingrid.post("/account/details", {"age": "13"})
    assert types(proved(mails.last(EMAIL))) == ["consent.invalidated"]


@pytest.mark.requirement(73, 75)
@pytest.mark.parametrize("kind", ["access", "erasure"])
def test_a_request_by_link_is_followed_by_receipts(
    visitor: Visitor, ingrid: Browser, mails: Mails, proved: Proved, kind: str
) -> None:
    """That it was received, and at its end all that came of it, also when the person is erased
    and nobody knows any more whose entries they are."""
    ingrid.post("/logout", page=ingrid.get("/account"))
    ingrid.post("/requests/new", {"kind": kind, "email": EMAIL})
    asked = mails.last(EMAIL)
    assert types(proved(asked)) == ["request.received"]
    page = ingrid.press(ingrid.get(link_in(asked)), "/requests/verify")
    ingrid.press(page, page.path)
    done = types(proved(mails.last(EMAIL)))
    steps = ["request.received", "request.verified", "request.fulfilled"]
    assert done == (steps if kind == "access" else [*steps, "erasure.executed"])


@pytest.mark.requirement(73)
def test_a_request_made_signed_in_is_told_once(
    ingrid: Browser, mails: Mails, proved: Proved
) -> None:
    """Whoever sits at an open screen and knows the password is not the only one who learns."""
    before = len(mails.to(EMAIL))
    for _ in range(2):
        ingrid.post("/requests/new?kind=erasure", {"password": PASSWORD})
    (mail,) = mails.to(EMAIL)[before:]
    assert mail["Subject"] == "Your request to delete your data"
    assert types(proved(mail)) == ["request.received", "request.verified"]


@pytest.mark.requirement(75)
def test_after_the_last_mail_nothing_is_left(
    app: Flask, ingrid: Browser, mails: Mails, database: Database, proved: Proved
) -> None:
    """No row in the outbox holds anything of the person; the receipts still verify."""
    ingrid.post("/preferences", {"consent-analytics": True})
    page = ingrid.post("/requests/new?kind=erasure", {"password": PASSWORD})
    ingrid.press(page, page.path)
    assert [row.kind for row in queued(database)] == ["mail.erasure_done", "intake.settle"]
    (mail,) = mails.to(EMAIL)
    assert "erasure.executed" in types(proved(mail))
    with database.reading() as session:
        for row in session.scalars(select(OutboxMessage)):
            assert row.about is None
            # What settles a registration in a week names nobody (decision 0014).
            assert row.payload is None or row.kind == "intake.settle"


def test_a_mail_waits_for_its_receipt_and_no_longer(
    app: Flask,
    visitor: Visitor,
    database: Database,
    mails: Mails,
    settings_url: str,
    clock: time_machine.Traveller,
) -> None:
    """With no sequencer it is put off a second at a time, counts no failed try, and goes after
    ten seconds without the file, saying where to get it."""
    register(visitor(locale="en"), YES)
    worker = app.extensions["worker"]
    assert worker.run_once() == 0
    row = next(one for one in queued(database) if one.kind == "mail.confirm")
    assert (row.attempts, row.failure) == (0, None)
    assert timedelta() < row.due_at - now() <= timedelta(seconds=1)
    clock.shift(HELD)
    assert worker.run_once() == 1
    mail = mails.last(EMAIL)
    assert receipts_in(mail) == []
    assert text(mail).count(f"{settings_url}/preferences/receipts/") == 3
    assert "Newsletter by e-mail: yes" in text(mail)


def test_a_clock_that_was_set_back_holds_up_no_mail(
    app: Flask, visitor: Visitor, clock: time_machine.Traveller
) -> None:
    """What seems to be posted tomorrow is sent today."""
    register(visitor(locale="en"), YES)
    worker = app.extensions["worker"]
    worker.run_once()
    with app.extensions["database"].transaction() as session:
        row = session.scalars(select(OutboxMessage).filter_by(kind="mail.confirm")).one()
        row.created_at += timedelta(days=1)
    clock.shift(timedelta(seconds=2))
    assert worker.run_once() == 1


def test_the_last_mail_gives_numbers_where_it_has_no_receipts(
    app: Flask, ingrid: Browser, mails: Mails, log: Log, clock: time_machine.Traveller
) -> None:
    """Nobody can sign in any more to get them; the operator can, by number."""
    page = ingrid.post("/requests/new?kind=erasure", {"password": PASSWORD})
    ingrid.press(page, page.path)
    clock.shift(HELD)
    app.extensions["worker"].run_once()
    mail = mails.last(EMAIL)
    assert receipts_in(mail) == []
    assert "/preferences/receipts/" not in text(mail)
    assert "Answer it, and we will send them to you" in text(mail)
    mails.deliver()
    number = re.findall(r"^- ([0-9a-f]{32})\s*$", text(mail), re.MULTILINE)[-1]
    sent = app.test_cli_runner().invoke(args=["ledger", "receipt", number])
    erased = receipts.check(sent.stdout_bytes, [log.signers[0].verifier])
    assert erased.entry.type == "erasure.executed"


@pytest.mark.requirement(34)
def test_every_mail_names_the_newest_checkpoint(
    app: Flask, visitor: Visitor, mails: Mails, log: Log
) -> None:
    """Size and root, as they are published, in text and HTML: mailboxes are witnesses too."""
    browser = visitor(locale="en")
    register(browser, YES)
    confirm(browser, mails, YES)
    browser.post("/password/forgotten", {"email": EMAIL})
    mail = mails.last(EMAIL)
    note = browser.get("/ledger/checkpoint").response.get_data(as_text=True)
    _, size, root, *_ = note.splitlines()
    assert len(base64.b64decode(root)) == 32
    for kind in ("plain", "html"):
        said = text(mail, kind)
        assert root in said
        assert f"had {size} entries" in said


def test_before_the_first_checkpoint_the_footer_says_nothing_of_it(
    app: Flask, visitor: Visitor, mails: Mails, clock: time_machine.Traveller
) -> None:
    """There is nothing to keep yet."""
    visitor(locale="en").post("/password/forgotten", {"email": EMAIL})
    app.extensions["worker"].run_once()
    assert "fingerprint" not in text(mails.last(EMAIL))


def test_whose_address_is_not_confirmed_gets_no_mail_of_choices(
    app: Flask, visitor: Visitor, mails: Mails
) -> None:
    """It may be a stranger's; the registration counts for nothing."""
    register(visitor(locale="en"), YES)
    with app.extensions["database"].transaction() as session:
        account = accounts.find(session, EMAIL)
        assert account
        telling.changed(session, account.subject_id, ["0" * 32], at=now())
    assert len(mails.to(EMAIL)) == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_telling_waits_for_whoever_holds_the_person(
    app: Flask, ingrid: Browser, mails: Mails, clock: time_machine.Traveller
) -> None:
    """An erasure holds the person and then waits for their messages: the worker must not hold a
    message and wait for the person. It comes back in a moment, and finds nobody or somebody."""
    before = len(mails.to(EMAIL))
    ingrid.post("/preferences", {"consent-analytics": True})
    worker = app.extensions["worker"]
    with app.extensions["database"].transaction() as session:
        account = accounts.find(session, EMAIL)
        assert account
        subjects.lock(session, account.subject_id)
        assert worker.step() is Outcome.PUT_OFF
    clock.shift(timedelta(seconds=1))
    assert len(mails.to(EMAIL)) == before + 1
