"""Time and a yes: it is asked about once, renewed by its owner alone, and ends in silence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy import func, select

from database import Database
from domain.consent import decisions, projection
from domain.consent.decisions import Decision
from domain.consent.models import RenewalAsk
from domain.consent.permission import Permission, permitted
from domain.dates import months_later
from domain.rights import upkeep
from domain.subjects.models import Subject
from extensions import now
from tests.support import NOON
from tests.support.browser import Browser, Page
from tests.support.mails import Mails, text
from tests.support.people import EMAIL, become_customer, sign_in

pytestmark = pytest.mark.usefixtures("clock")

RENEW = "/preferences/renew"
DAY = timedelta(days=1)
ENDS = months_later(NOON, 24)
# What nobody presses on who is asked (EDPB 03/2022): no hurry, no loss, no reward.
PRESSING = ("now or", "last chance", "miss", "hurry", "only today", "don't lose", "!")


class Ingrid:
    """A customer, the clock, and what the site knows and did about her."""

    def __init__(
        self,
        app: Flask,
        visitor: Callable[..., Browser],
        mails: Mails,
        database: Database,
        clock: time_machine.Traveller,
    ):
        self.mails, self.database = mails, database
        self._app, self._visitor, self._clock = app, visitor, clock
        self.browser = visitor(locale="en")
        become_customer(self.browser, mails)

    def says(self, **choices: bool) -> None:
        """Save the choices on the preferences page."""
        self.browser.post("/preferences", {f"consent-{one}": yes for one, yes in choices.items()})

    def waits_until(self, when: datetime) -> None:
        """Time passes, with the worker at its chores; then she signs in again."""
        self._clock.move_to(when)
        for _ in range(2):  # also the worker that is started anew
            upkeep.everything(self._app.extensions["database"], at=now())
        self.browser = self._visitor(locale="en")
        sign_in(self.browser)

    def letters(self, subject: str) -> list[str]:
        """The mails to her whose subject begins so, as text."""
        return [
            text(one) for one in self.mails.to(EMAIL) if str(one["Subject"]).startswith(subject)
        ]

    def answer(self, purpose: str) -> Permission:
        """What the gate says of her now."""
        with self.database.reading() as session:
            return permitted(session, session.scalars(select(Subject.id)).one(), purpose, at=now())

    def history(self) -> list[Decision]:
        """Her decisions but the two refusals of her registration; ledger and projection agree."""
        with self.database.reading() as session:
            assert list(projection.differences(session)) == []
            made = decisions.history(session, session.scalars(select(Subject.id)).one())
        return made[2:]


@pytest.fixture
def ingrid(
    app: Flask,
    visitor: Callable[..., Browser],
    mails: Mails,
    database: Database,
    clock: time_machine.Traveller,
) -> Ingrid:
    return Ingrid(app, visitor, mails, database, clock)


def boxes(page: Page) -> dict[str, bool]:
    """The boxes that can be ticked, and whether they are."""
    found = page.soup.select('input[name^="consent-"]')
    return {str(one["name"]).removeprefix("consent-"): one.has_attr("checked") for one in found}


# The subject of a mail about nothing but yeses that run out.
ENDING = "Your yes is about to run out"


@pytest.mark.requirement(15, 33)
def test_a_yes_is_asked_about_once_and_without_an_answer_it_ends_in_silence(
    ingrid: Ingrid,
) -> None:
    """Thirty days before, by one mail and on the page; after that nothing is sent, and the ledger
    has it that the yes expired."""
    ingrid.says(marketing=True)
    ingrid.waits_until(ENDS - 31 * DAY)
    assert ingrid.letters(ENDING) == []
    assert RENEW not in ingrid.browser.get("/preferences").html
    ingrid.waits_until(ENDS - 29 * DAY)
    ingrid.waits_until(ENDS - 2 * DAY)
    (letter,) = ingrid.letters(ENDING)
    assert "Newsletter by e-mail: your yes lasts until 22 November 2028" in letter
    assert f"{RENEW}?lang=en" in letter
    assert not [word for word in PRESSING if word in letter.split("\n--\n")[0].lower()]
    assert ingrid.browser.get("/preferences").soup.select(f'a[href="{RENEW}"]')
    assert ingrid.answer("marketing")
    before = len(ingrid.mails.to(EMAIL))
    ingrid.waits_until(ENDS + DAY)
    assert ingrid.answer("marketing") is Permission.NOT_GIVEN
    assert [one.state for one in ingrid.history()] == ["given", "expired"]
    assert "Your yes expired" in ingrid.browser.get("/preferences").text
    assert len(ingrid.mails.to(EMAIL)) == before


@pytest.mark.requirement(10, 15, 33)
def test_only_a_tick_renews_and_only_what_was_about_to_end(ingrid: Ingrid) -> None:
    """Nothing is ticked beforehand, nothing ticked leaves no entry, and a form that was sent before
    renews nothing again. What was renewed lasts as long as a new yes, and is not asked about."""
    ingrid.says(marketing=True)
    ingrid.waits_until(ENDS - 5 * DAY)
    page = ingrid.browser.get(RENEW)
    assert boxes(page) == {"marketing": False}
    ingrid.browser.post(RENEW, page=page)
    assert [one.state for one in ingrid.history()] == ["given"]
    assert ingrid.browser.post(RENEW, {"consent-marketing": True}, page=page).path == "/preferences"
    renewed = ingrid.history()[-1]
    assert (renewed.state, renewed.surface) == ("renewed", "renewal")
    assert renewed.expires_at == months_later(renewed.at, 24)
    picture = ingrid.browser.get(f"/preferences/history/{renewed.entry_id}").soup.select(".shown")
    assert "Do you want to go on?" in picture[0].get_text()
    assert "Counting which" not in picture[0].get_text(), "what was not asked was not shown"
    assert ingrid.letters("Your choices with")[-1].count("Newsletter by e-mail") == 1
    ingrid.browser.post(RENEW, {"consent-marketing": True}, page=page)
    assert boxes(ingrid.browser.get(RENEW)) == {}
    ingrid.waits_until(ENDS + DAY)
    assert ingrid.answer("marketing")
    assert [one.state for one in ingrid.history()] == ["given", "renewed"]
    assert len(ingrid.letters(ENDING)) == 1


def test_a_late_answer_renews_and_a_withdrawal_meanwhile_wins(ingrid: Ingrid) -> None:
    """The link of the mail works after the end too; a form that was open while the person
    withdrew elsewhere renews nothing."""
    ingrid.says(marketing=True, analytics=True)
    ingrid.waits_until(ENDS + 40 * DAY)
    page = ingrid.browser.get(RENEW)
    assert boxes(page) == {"marketing": False, "analytics": False}
    ingrid.browser.post(RENEW, {"consent-marketing": True}, page=page)
    assert ingrid.answer("marketing")
    assert not ingrid.answer("analytics")
    page = ingrid.browser.get(RENEW)
    assert boxes(page) == {"analytics": False}
    ingrid.says(marketing=False, analytics=True)
    ingrid.says(marketing=False, analytics=False)
    made = ingrid.history()
    ingrid.browser.post(RENEW, {"consent-analytics": True}, page=page)
    assert ingrid.history() == made
    assert ingrid.answer("analytics") is Permission.NOT_GIVEN


@pytest.mark.requirement(15, 33)
def test_a_new_version_ends_the_effect_of_a_yes_on_its_day_until_it_is_renewed(
    ingrid: Ingrid,
) -> None:
    """The site runs over midnight in Norway: at once the gate says no, forms show the new words,
    and the person is asked once. What was said to the old words stays as it was."""
    ingrid.says(marketing=True, analytics=True)
    ingrid.waits_until(NOON + timedelta(hours=34, minutes=59))
    assert ingrid.answer("analytics")
    old = ingrid.browser.get("/preferences")
    ingrid.waits_until(NOON + timedelta(hours=35))
    assert ingrid.answer("analytics") is Permission.OTHER_VERSION
    assert ingrid.answer("marketing")
    refused = ingrid.browser.post("/preferences", {"consent-analytics": True}, page=old)
    assert refused.status == 422
    assert "whether you said it was useful" in refused.text
    (letter,) = ingrid.letters("Do you still want")
    assert "Counting which tips and tools are used: we have changed what we ask for" in letter
    assert "Newsletter" not in letter
    page = ingrid.browser.get(RENEW)
    assert boxes(page) == {"analytics": False}
    assert "whether you said it was useful" in page.text
    ingrid.browser.post(RENEW, {"consent-analytics": True}, page=page)
    assert ingrid.answer("analytics")
    first, second = [one for one in ingrid.history() if one.purpose_id == "analytics"]
    assert (first.purpose_version, second.purpose_version) == (1, 2)
    shown = ingrid.browser.get(f"/preferences/history/{first.entry_id}").text
    assert "whether you said it was useful" not in shown
    ingrid.waits_until(NOON + 30 * DAY)
    assert len(ingrid.letters("Do you still want")) == 1


def test_a_form_that_lost_its_token_keeps_the_ticks(ingrid: Ingrid, database: Database) -> None:
    """And nothing is recorded; where nothing can be renewed there is no form to send."""
    ingrid.says(marketing=True)
    assert ingrid.browser.send(RENEW, {}).status == 403
    ingrid.waits_until(ENDS - DAY)
    page = ingrid.browser.get(RENEW)
    (token,) = page.soup.select('input[name="presentation"]')
    sent = {"presentation": str(token["value"]), "consent-marketing": "y"}
    again = ingrid.browser.send(RENEW, sent)
    assert (again.status, boxes(again)) == (422, {"marketing": True})
    changed = ingrid.browser.send(RENEW, {**sent, "presentation": "x"})
    assert (changed.status, boxes(changed)) == (422, {"marketing": False})
    assert [one.state for one in ingrid.history()] == ["given"]
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(RenewalAsk)) == 1


def test_a_site_that_runs_over_midnight_has_the_words_of_the_new_day(
    app: Flask, client: Browser, clock: time_machine.Traveller
) -> None:
    """Without a restart, and without a worker beside it: the forms, and what pages read of the
    purposes."""
    new = "om du kom til slutten"
    for at, version in ((NOON, 1), (NOON + timedelta(hours=35), 2)):
        clock.move_to(at)
        assert (new in client.get("/register").text) is (version == 2)
        assert app.extensions["database"].info["purposes"].purposes["analytics"].version == version
