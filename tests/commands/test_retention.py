"""`flask retention`, `flask subscriptions`, and what the worker does of it between mails."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import time_machine
from flask import Flask
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app import create_app
from database import Database
from domain.consent.errors import ContentError
from domain.identity import accounts
from domain.ledger.entry import Entry
from domain.rights import retention, settling, upkeep
from domain.rights.upkeep import Chore
from domain.subjects import service as subjects
from settings import ROOT, Settings
from tests.domain.lapsing import customer, here, hold, said
from tests.support import NOON
from tests.support.mails import Mails, text
from tests.support.tables import contents

LONG_AGO = date(2026, 1, 2)


def _people(database: Database) -> None:
    with database.transaction() as session:
        customer(session, "due", ended=LONG_AGO)
        customer(session, "soon", ended=date(2026, 5, 30), told=False)
        hold(session, customer(session, "held", ended=LONG_AGO))


def test_the_command_erases_warns_and_says_who_stays(
    app: Flask, database: Database, mails: Mails, clock: time_machine.Traveller
) -> None:
    """With `--dry-run` it says the same, and changes nothing."""
    _people(database)
    before = contents(database)
    run = app.test_cli_runner().invoke
    dry = run(args=["retention", "run", "--dry-run"])
    assert dry.output.splitlines() == [
        "1 would be warned",
        "2 would go by customer",
    ]
    assert contents(database) == before
    done = run(args=["retention", "run"])
    assert done.exit_code == 0
    assert {"2 went by customer", "1 warned"} < set(done.output.splitlines())
    assert "100" not in done.output  # the bar has two steps
    assert here(database, "due", "soon", "held") == {"soon"}
    letter = mails.last("soon@kunde.example")
    assert "22. desember 2026" in str(letter["Subject"])  # never unwarned: thirty days from now
    assert "/account/privacy" in text(letter)
    again = run(args=["retention", "run"])
    assert again.output.splitlines()[-2:] == [
        "nothing is due",
        "1 whose time is over stay: a legal hold keeps a part of what there was",
    ]


def test_the_worker_does_it_once_a_day_between_mails(
    app: Flask, database: Database, clock: time_machine.Traveller
) -> None:
    """One small piece each time that it asks."""
    _people(database)
    own = app.extensions["database"]
    pieces = 0
    while app.extensions["housekeeping"](NOON):
        pieces += 1
    assert pieces > len(upkeep.CHORES)
    assert here(database, "due") == set()
    assert len(said(database)) == 1
    upkeep.everything(own, at=NOON + timedelta(hours=1))
    assert len(said(database)) == 1
    upkeep.everything(own, at=NOON + timedelta(days=1))
    assert len(said(database)) == 2


def test_a_chore_that_fails_rests_and_the_others_go_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is logged by its name and class. A database that is away is told, and asked again."""
    done: list[str] = []

    def fail(database: Database, at: object) -> None:
        raise ValueError("kari@example.no")

    def away(database: Database, at: object) -> None:
        done.append("away")
        raise OperationalError("SELECT", {}, Exception("gone"))

    def work(database: Database, at: object) -> int | None:
        done.append("work")
        return 1 if len(done) < 3 else None

    hour = timedelta(hours=1)
    chores = (Chore("fails", fail, hour), Chore("works", work, hour), Chore("away", away, hour))
    monkeypatch.setattr(upkeep, "CHORES", chores)
    with capture_logs() as logged:
        while upkeep.step(database, at=NOON) and len(done) < 3:
            pass
        with pytest.raises(OperationalError):
            upkeep.step(database, at=NOON)
        while upkeep.step(database, at=NOON):
            pass
    assert done == ["work"] * 3 + ["away"]
    assert [(one["event"], one["chore"]) for one in logged] == [
        ("housekeeping_failed", "fails"),
        ("housekeeping", "works"),
    ]
    assert "kari" not in repr(logged)
    with pytest.raises(OperationalError):
        upkeep.step(database, at=NOON + timedelta(minutes=1))
    assert upkeep.step(database, at=NOON + hour)


def test_registrations_are_left_to_settling_for_a_day(database: Database) -> None:
    """It counts the entries that a stranger sees; retention clears up what it left."""
    with database.transaction() as session:
        who = customer(session, "never", ended=None)
        subjects.get(session, who).confirmed_at = None
    week = timedelta(days=7)
    with database.reading() as session:
        due_at = NOON + week + settling.LATE
        early = retention.waiting(session, at=due_at - timedelta(seconds=1))
        assert early["unconfirmed"] == 0
        assert retention.waiting(session, at=due_at)["unconfirmed"] == 1


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_site_does_not_start_with_a_register_that_does_not_add_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And says what is wrong with it."""
    written = (ROOT / "content" / "purposes.toml").read_text("utf-8")
    content = settings.instance / "content"
    content.mkdir()
    for path in (ROOT / "content").iterdir():
        if path.name != "purposes.toml":
            (content / path.name).symlink_to(path)
    changed = written.replace('after = "link_expired"', 'after = "full_moon"')
    (content / "purposes.toml").write_text(changed, "utf-8")
    object.__setattr__(settings, "content", content)
    with pytest.raises(ContentError, match=r"retention links: .*full_moon"):
        create_app(settings)


def _entries(database: Database) -> list[Entry]:
    return [*said(database, "subscription.started"), *said(database, "subscription.ended")]


def test_an_operator_starts_and_ends_a_subscription(app: Flask, database: Database) -> None:
    """The address comes on standard input, and is repeated nowhere; who looks says why."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=LONG_AGO)
    run = app.test_cli_runner().invoke
    asked = "kari@kunde.example\n"
    started = run(args=["subscriptions", "start", "--on", "2026-03-01"], input=asked)
    assert started.exit_code == 0
    assert "started on 2026-03-01" in started.output
    assert run(args=["subscriptions", "start"], input=asked).exit_code == 1
    ended = run(args=["subscriptions", "end", "--on", "2026-08-31"], input=asked)
    assert "the account is erased on 2027-02-28" in ended.output
    assert run(args=["subscriptions", "end"], input=asked).exit_code == 1
    shown = run(args=["subscriptions", "show", "--purpose", "answering"], input=asked)
    assert "from 2026-03-01 to 2026-08-31" in shown.output
    assert run(args=["subscriptions", "start"], input="nobody@kunde.example\n").exit_code == 1
    assert len(_entries(database)) == 4
    (viewed,) = said(database, "staff.viewed")
    assert viewed.data == {"holdings": ["subscriptions"], "purpose": "answering"}
    with database.reading() as session:
        assert viewed.id in {one.id for one in subjects.entries(session, who)}
        assert accounts.find(session, "kari@kunde.example")
