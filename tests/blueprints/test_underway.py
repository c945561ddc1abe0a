"""Pages that stop newsletters are answered when the one that is just being handed over has left."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from database import Database
from domain.locales import LOCALES
from domain.marketing import campaigns, handing
from domain.marketing.campaigns import Text
from domain.marketing.models import CampaignDelivery
from domain.subjects.models import Subject
from extensions import now
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import Guest, ask_signed_in, become_customer, confirm

TOLD, TOLD_NB = "was already on its way", "var allerede på vei"


@pytest.fixture
def ingrid(client: Browser, mails: Mails) -> Browser:
    become_customer(client, mails, Guest(choices={"marketing": True}))
    client.get("/?lang=en")
    return client


@pytest.fixture
def handed(ingrid: Browser, database: Database, monkeypatch: pytest.MonkeyPatch) -> UUID:
    """A newsletter to her that hangs at the mail server."""
    monkeypatch.setattr(handing, "PATIENCE", 0.05)
    with database.transaction() as session:
        who = session.scalars(select(Subject.id)).one()
        text = dict.fromkeys(LOCALES, Text("Nye tips", "Les mer."))
        campaign = campaigns.draft(session, text, at=now())
        row = CampaignDelivery(campaign_id=campaign, subject_id=who, state="handing")
        row.due_at, row.leased_until = now(), now() + timedelta(minutes=5)
        session.add(row)
    return campaign


@pytest.mark.requirement(35)
@pytest.mark.parametrize("way", ["preferences", "restriction", "objection", "erasure", "address"])
def test_a_page_that_did_not_wait_long_enough_says_so(
    ingrid: Browser, mails: Mails, handed: UUID, way: str
) -> None:
    """Whatever it is that stops them; and what was asked for is done all the same."""
    if way == "preferences":
        page = ingrid.post("/preferences", {"consent-marketing": False})
        assert "Your choices are saved" in page.text
    elif way == "erasure":
        asked = ask_signed_in(ingrid, "erasure")
        page = ingrid.press(asked, asked.path)
    elif way == "address":
        ingrid.post("/account/email", {"email": "ny@kunde.example", "password": Guest().password})
        page = confirm(ingrid, mails, Guest(email="ny@kunde.example"))
    else:
        about = {"about": "marketing"} if way == "objection" else {}
        page = ask_signed_in(ingrid, way, **about)
    assert TOLD in page.text or TOLD_NB in page.text
    assert page.status == 200


@pytest.mark.requirement(35)
def test_staff_who_enter_a_no_are_told_so_too(ingrid: Browser, app: Flask, handed: UUID) -> None:
    """For whoever is at the telephone."""
    for command in (["withdraw-consent"], ["place", "restriction", "--verified"]):
        done = app.test_cli_runner().invoke(args=["requests", *command], input=Guest().email)
        assert (done.exit_code, TOLD in done.stderr) == (0, True)


def test_a_yes_waits_for_nothing(ingrid: Browser, handed: UUID) -> None:
    page = ingrid.post("/preferences", {"consent-marketing": True, "consent-analytics": True})
    assert TOLD not in page.text
