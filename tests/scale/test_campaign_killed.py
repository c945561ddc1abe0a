"""A thousand newsletters, a hundred people who have had enough, and a worker that dies twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from bench.campaign import fill
from database import Database
from domain.identity import accounts
from domain.identity.models import Account
from domain.identity.passwords import Passwords
from domain.keys import Keyring
from domain.marketing import campaigns, tokens
from domain.marketing.campaigns import CampaignState
from domain.marketing.models import Campaign, CampaignDelivery
from settings import Settings
from tests.domain.sendings import progress
from tests.support.browser import Browser
from tests.support.outside import Mailbox, listening, working
from tests.support.people import Guest, ask_signed_in, sign_in

PEOPLE, LEAVING, EACH_PAGE = 1000, 100, 10
KILLS = (30, 70)  # after so many withdrawals
_PATIENCE = 180.0
Addresses = dict[UUID, str]


@pytest.fixture
def people(database: Database, app: Flask) -> Addresses:
    """A thousand who said yes, and their addresses. All have the same password."""
    fill(database, PEOPLE, lambda: None)
    with database.transaction() as session:
        scrambled = Passwords("cheapest").hash(Guest().password)
        session.execute(update(Account).values(password_hash=scrambled))
    with database.reading() as session:
        found = session.scalars(select(Account)).all()
        return {one.subject_id: accounts.person(session, one).email for one in found}


@pytest.mark.requirement(35, 42, 50)
def test_nobody_hears_from_us_after_the_answer_and_everyone_else_once(
    app: Flask,
    database: Database,
    people: Addresses,
    settings: Settings,
    keys: Keyring,
    visitor: Callable[..., Browser],
) -> None:
    """They leave by the link of a newsletter, on the page, or for good, while it is being sent.
    Where a kill left it unknown whether a mail had left, it is not sent again."""
    mailbox = Mailbox(pause=0.004)
    with listening(mailbox) as mail_url, working(settings, mail_url) as worker:
        with database.transaction() as session:
            campaign = session.scalars(select(Campaign.id)).one()
            started = campaigns.start(session, campaign, at=datetime.now(UTC))
        assert started == PEOPLE
        _until(lambda: len(mailbox.newsletters) > 0)
        answered: dict[str, float] = {}
        # The last in the queue first, so that most of them have not got theirs yet.
        for number, who in enumerate(sorted(people, reverse=True)[:LEAVING]):
            if number in KILLS:
                worker.kill()
                worker.start()
            browser = visitor(address=f"192.0.2.{number + 1}")
            _leave(app, browser, number, tokens.make(keys, who, datetime.now(UTC)), people[who])
            answered[people[who]] = time.monotonic()
        sent_meanwhile = len(mailbox.newsletters)
        _until(lambda: progress(database, campaign).state is CampaignState.FINISHED)
    got = Counter(recipient for _, recipient in mailbox.newsletters)
    late = [one for at, one in mailbox.newsletters if at > answered.get(one, at)]
    assert late == []
    assert max(got.values()) == 1
    missing = set(people.values()) - set(answered) - set(got)
    assert missing <= _uncertain(database, campaign, people)
    assert len(missing) <= len(KILLS)
    # Otherwise it was over before they left.
    assert sent_meanwhile < PEOPLE - LEAVING
    assert len(set(got) & set(answered)) < LEAVING / 2


def _leave(app: Flask, browser: Browser, number: int, token: str, email: str) -> None:
    way, guest = number % EACH_PAGE, Guest(email=email)
    if way == 3:
        sign_in(browser, guest)
        page = browser.post("/preferences", {"consent-marketing": False})
        assert "Valgene dine er lagret" in page.text
    elif way == 7:
        sign_in(browser, guest)
        page = ask_signed_in(browser, "erasure")
        browser.press(page, page.path)
    else:
        one_click = {"List-Unsubscribe": "One-Click"}
        assert app.test_client().post(f"/unsubscribe/{token}", data=one_click).status_code == 200


def _uncertain(database: Database, campaign: UUID, people: Addresses) -> set[str]:
    unknown = select(CampaignDelivery.subject_id).where(
        CampaignDelivery.campaign_id == campaign, CampaignDelivery.state == "uncertain"
    )
    with database.reading() as session:
        return {people[who] for who in session.scalars(unknown)}


def _until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not done():
        assert time.monotonic() < until, "it did not come to an end"
        time.sleep(0.05)
