"""`flask bounces`: what came back is taken out of the mailbox, and all else stays in it."""

from __future__ import annotations

import json
import mailbox
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask

from database import Database
from domain.identity import accounts
from domain.keys import Keyring
from domain.marketing import tokens
from tests.domain.consenting import decide
from tests.domain.identity_people import KARI, OLA, opened
from tests.domain.test_bounces import newsletter, report, undeliverable
from tests.support import NOON
from tests.support.tables import decided
from tests.support.traces import Logged

pytestmark = pytest.mark.usefixtures("clock")

Run = Callable[..., Result]
LETTER = b"From: ola@firma.example\nSubject: unsubscribe me\n\nSee subject.\n"


@pytest.fixture
def run(app: Flask) -> Run:
    """Runs the command, with something on standard input."""

    def run(*args: str, given: bytes = b"") -> Result:
        return app.test_cli_runner().invoke(args=["bounces", *args], input=given)

    return run


@pytest.fixture
def people(database: Database) -> tuple[UUID, UUID]:
    """Kari and Ola, who said yes."""
    with database.transaction() as session:
        both = opened(session).subject_id, opened(session, OLA).subject_id
        for who in both:
            accounts.confirm_address(session, who, at=NOON)
            decide(session, who, marketing=True)
    return both


def statuses(database: Database, people: tuple[UUID, UUID]) -> list[str | None]:
    """What stands at the two accounts."""
    with database.reading() as session:
        return [undeliverable(session, who) for who in people]


@pytest.mark.parametrize("kind", ["maildir", "mbox"])
def test_a_mailbox_is_read_and_what_was_done_is_taken_out(
    run: Run,
    database: Database,
    keys: Keyring,
    people: tuple[UUID, UUID],
    tmp_path: Path,
    logged: Logged,
    kind: str,
) -> None:
    """A report, somebody who unsubscribes by mail, and three that a person must read. Again: no
    more is done. Nothing that is said names anybody."""
    kari, ola = people
    path = tmp_path / kind
    box = mailbox.Maildir(path) if kind == "maildir" else mailbox.mbox(path)
    asked = f"From: x@y.example\nSubject: unsubscribe {tokens.make(keys, ola, NOON)}\n\n\n"
    stay = (LETTER, report("Message-ID: <x@y>"), report(newsletter(keys, kari), status="5.7.1"))
    for raw in (report(newsletter(keys, kari)), asked.encode(), *stay):
        box.add(raw)
    box.close()
    first, again = run(str(path)), run(str(path))
    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    assert first.output == "1 failed for good, 1 unsubscribed, 3 left\n"
    assert again.output == "0 failed for good, 0 unsubscribed, 3 left\n"
    assert statuses(database, people) == ["5.1.1", None]
    assert decided(database) == [
        *(("given", "marketing"), ("given", "marketing"), ("refused", "analytics")),
        *(("refused", "analytics"), ("withdrawn", "marketing")),
    ]
    assert not any("@" in str(line) for line in logged)


def test_a_mail_server_gives_one_mail_at_a_time(
    run: Run, database: Database, keys: Keyring, people: tuple[UUID, UUID]
) -> None:
    """On standard input, with or without the line that parts an mbox, or several of them."""
    kari, ola = people
    one, other = report(newsletter(keys, kari)), report(newsletter(keys, ola), to=OLA.email)
    assert run(given=one).output.startswith("1 failed")
    assert run(given=b"From MAILER-DAEMON Sun Nov 22\n" + one).output.startswith("1 failed")
    both = b"From a Sun Nov 22\n" + LETTER + b"\nFrom b Sun Nov 22\n" + other
    assert run(given=both).output == "1 failed for good, 0 unsubscribed, 1 left\n"
    assert statuses(database, people) == ["5.1.1", "5.1.1"]
    assert run(given=b"").output == "0 failed for good, 0 unsubscribed, 0 left\n"
    huge = one + b"x" * 1024 * 1024
    assert run(given=huge).output == "0 failed for good, 0 unsubscribed, 1 left\n"


def test_json_is_believed_where_it_is_asked_for_only(
    run: Run, database: Database, people: tuple[UUID, UUID]
) -> None:
    """A mail that looks like it is a mail."""
    line = json.dumps({"recipient": KARI.email, "status": "5.1.1"}).encode()
    assert run(given=line).output == "0 failed for good, 0 unsubscribed, 1 left\n"
    assert statuses(database, people) == [None, None]
    given = b"\n".join((line, b"", b"{", b"\xff", line))
    assert run("--json", given=given).output == "2 failed for good, 0 unsubscribed, 2 left\n"
    assert statuses(database, people) == ["5.1.1", None]


def test_what_is_no_mailbox_is_said(run: Run, tmp_path: Path) -> None:
    """And changes nothing; while another program has it, neither."""
    path = tmp_path / "mail"
    path.write_bytes(LETTER)
    assert "is no mbox" in run(str(path)).output
    assert "is no Maildir" in run(str(tmp_path)).output
    (tmp_path / "mail.lock").touch()
    busy = run(str(path))
    assert (busy.exit_code, "is in use" in busy.output) == (1, True)
    assert path.read_bytes() == LETTER


def test_a_database_that_is_away_leaves_every_mail_where_it_is(
    run: Run, app: Flask, keys: Keyring, people: tuple[UUID, UUID], tmp_path: Path
) -> None:
    """And tells a mail server to try again (EX_TEMPFAIL)."""
    box = mailbox.Maildir(tmp_path / "box")
    box.add(report(newsletter(keys, people[0])))
    there = app.extensions["database"]
    away = Database("sqlite:////nowhere/at/all.db", info=there.info)
    app.extensions["database"] = away
    try:
        assert run(str(tmp_path / "box")).exit_code == 75
    finally:
        app.extensions["database"] = there
        away.close()
    assert len(mailbox.Maildir(tmp_path / "box")) == 1
