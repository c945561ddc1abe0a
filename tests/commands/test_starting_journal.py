"""The start: nobody is served or delivered to before the erasure journal was read."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from click import ClickException
from flask import Flask
from sqlalchemy.exc import OperationalError

from commands import starting, worker
from database import Database
from domain.keys import Keyring
from domain.rights import journal_file, marks
from domain.subjects.models import Subject
from settings import Settings
from tests.domain.identity_people import opened
from tests.support import NOON

pytestmark = [pytest.mark.requirement(82), pytest.mark.usefixtures("clock")]


def test_a_damaged_journal_stops_site_and_worker(app: Flask, settings: Settings) -> None:
    """The message names the file and the line."""
    starting.check(app)
    path = settings.erasure_journal
    path.write_bytes(path.read_bytes() + b"2026-11-22 nobody\n")
    with pytest.raises(starting.NotReady, match=f"{path}: line 2 "):
        starting.check(app)
    with pytest.raises(ClickException, match="line 2 "):
        worker._check(app.extensions["database"], threading.Event())


def test_a_journal_that_cannot_be_made_is_found_at_the_start(
    app: Flask, settings: Settings
) -> None:
    """Before anybody asks for erasure."""
    blocked = settings.instance / "a file"
    blocked.touch()
    app.extensions["database"].info["journal"] = blocked / "journal"
    with pytest.raises(starting.NotReady, match="ERASURE_JOURNAL"):
        starting.check(app)


def test_a_worker_whose_database_is_away_waits_and_looks_then(
    app: Flask,
    database: Database,
    keys: Keyring,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It delivers nothing to somebody who came back, however late it can look."""
    with database.transaction() as session:
        who = opened(session).subject_id
    journal_file.append(
        settings.erasure_journal, [journal_file.Line(marks.mark(keys, who))], NOON.date()
    )
    monkeypatch.setattr(worker, "AWAY_SECONDS", (0.0, 0.0))
    away = [OperationalError("", {}, Exception())] * 2
    real = starting.check_log

    def check_log(session: object) -> None:
        if away:
            raise away.pop()
        real(session)  # type: ignore[arg-type]

    monkeypatch.setattr(starting, "check_log", check_log)
    worker._check(app.extensions["database"], threading.Event())
    assert not away
    with database.reading() as session:
        assert session.get(Subject, who) is None


def test_where_the_journal_stands_is_a_setting(tmp_path: Path) -> None:
    """ERASURE_JOURNAL, or a file in the instance folder; the time of grace in hours, or none."""
    environ = {"SAMTYKKE_ENV": "development", "INSTANCE_PATH": str(tmp_path)}
    made = Settings.from_environment(environ)
    assert made.erasure_journal == tmp_path / "erasure-journal"
    assert not made.erasure_grace
    elsewhere = {**environ, "ERASURE_JOURNAL": "/srv/journal", "ERASURE_GRACE_HOURS": "24"}
    made = Settings.from_environment(elsewhere)
    assert str(made.erasure_journal) == "/srv/journal"
    assert made.erasure_grace.days == 1
