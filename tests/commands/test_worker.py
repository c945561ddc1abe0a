"""`flask worker` and `flask outbox`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from click import ClickException
from click.testing import Result
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from commands import worker
from database import Database
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.ledger import tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import Rewound
from domain.ledger.log import Log
from domain.ledger.models import LedgerLease
from tests.support.mails import Mails

MAIL = {"to": "kari@example.no", "name": "Kari", "locale": "nb"}


class Turns:
    """A worker that is told what happens at each turn; the loop ends after the last."""

    def __init__(self, *plan: Exception | None):
        self.stop = threading.Event()
        self.given_back = 0
        self._plan = list(plan)

    def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
        error = self._plan.pop(0)
        if not self._plan:
            self.stop.set()
        if error is not None:
            raise error
        return 0

    def give_back(self) -> None:
        self.given_back += 1


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(worker, "SEQUENCE_SECONDS", 0.0)
    monkeypatch.setattr(worker, "AWAY_SECONDS", (0.0, 0.0))


def away() -> OperationalError:
    return OperationalError("SELECT kari@example.no", {}, Exception("gone"))


def nothing(at: datetime) -> bool:
    """Housekeeping that has nothing to do."""
    return False


@pytest.mark.requirement(80)
def test_the_worker_waits_for_a_database_that_is_away() -> None:
    """It says so without the statement, and goes on."""
    turns = Turns(away(), away(), None)
    with capture_logs() as logged:
        worker.run(turns, nothing, turns.stop)
    assert [line["event"] for line in logged] == ["worker_waits"] * 2
    assert "kari" not in repr(logged)


def test_it_delivers_between_two_pieces_of_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """However much of it there is: no mail waits behind a long round, and no piece for a pause."""
    monkeypatch.setattr(worker, "POLL_SECONDS", 60.0)
    turns, done = Turns(None, None, None), list[str]()

    class Delivering(Turns):
        def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
            done.append("mails")
            return turns.run_once(stopping)

    def piece(at: datetime) -> bool:
        done.append("piece")
        return True

    worker.run(Delivering(), piece, turns.stop)
    assert done == ["mails", "piece"] * 3


def test_nothing_is_delivered_before_what_comes_first() -> None:
    """Who came back from a backup is erased again; a database that is away is waited for."""
    turns, tried = Turns(None), list[str]()

    def first() -> None:
        tried.append("first")
        if len(tried) == 1:
            raise away()

    with capture_logs() as logged:
        worker.run(turns, nothing, turns.stop, first=first)
    assert tried == ["first"] * 2
    assert [line["event"] for line in logged] == ["worker_waits"]


def test_housekeeping_that_fails_keeps_no_mail_from_leaving() -> None:
    """It is logged by its class and tried in the next hour."""
    turns = Turns(None, None)

    def fail(at: datetime) -> bool:
        raise ValueError("kari@example.no")

    with capture_logs() as logged:
        worker.run(turns, fail, turns.stop)
    assert [(line["event"], line["error"]) for line in logged] == [
        ("housekeeping_failed", "ValueError")
    ]


def test_it_scrubs_again_until_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was erased must not lie on in a file; each time that it has to is said."""
    monkeypatch.setattr(worker, "SCRUB_SECONDS", 0.0)
    turns, answers = Turns(None, None, None), [False, False, True]
    with capture_logs() as logged:
        worker.run(turns, nothing, turns.stop, scrub_again=lambda: answers.pop(0))
    assert answers == []
    assert [line["event"] for line in logged] == ["scrub_gave_up"] * 2


@pytest.mark.requirement(80)
def test_the_sequencer_waits_for_a_database_or_a_disk_that_is_away() -> None:
    """It says so without the statement, goes on, and leaves no lease behind."""
    turns = Turns(away(), OSError("/secret/place"), None)
    with capture_logs() as logged:
        worker.sequence(turns, turns.stop)
    assert [(line["event"], line["error"]) for line in logged] == [
        ("sequencer_waits", "OperationalError"),
        ("sequencer_waits", "OSError"),
    ]
    assert "kari" not in repr(logged)
    assert turns.given_back == 1


def test_the_log_does_not_wait_for_a_mail_server() -> None:
    """A mail may take twenty seconds; entries are sequenced meanwhile."""
    turns = Turns(None, None, None)
    with worker.sequencing(turns, turns.stop):  # the block is the slow mail
        assert turns.stop.wait(10)
    assert turns.given_back == 1


def test_a_sequencer_that_ends_ends_the_worker() -> None:
    """In the words of the ledger, which name no person; of other errors only the class."""
    signed = Checkpoint("samtykke.test/consent", 345, bytes(32))
    for error, said in ((Rewound(signed, 12), "345 entries"), (KeyError("kari"), "KeyError")):
        stop = threading.Event()
        with (
            capture_logs() as logged,
            pytest.raises(ClickException, match=said) as raised,
            worker.sequencing(Turns(error, None), stop),
        ):
            assert stop.wait(10)  # the mail loop ends on this
        assert [line["event"] for line in logged] == ["sequencer_ended"]
        assert "kari" not in str(raised.value)


def worked(app: Flask) -> Result:
    """Run the command to its end, and take back the signals that it takes for itself."""
    before = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        return app.test_cli_runner().invoke(args=["worker"])
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def test_the_command_fails_when_the_sequencer_ended(app: Flask) -> None:
    """So `flask serve` ends too, and whoever keeps it running hears of it."""
    app.extensions["sequencer"] = Turns(KeyError("kari"), None)
    result = worked(app)
    assert result.exit_code == 1
    assert "the sequencer ended: KeyError" in result.output


def test_the_worker_does_not_start_on_an_older_database(app: Flask, log: Log) -> None:
    """It would send mails again that were sent since."""
    signed = Checkpoint(log.signers[0].name, 345, bytes(32)).signed(log.signers)
    log.high_water.write_bytes(signed)
    result = worked(app)
    assert result.exit_code == 1
    assert "345 entries" in result.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_delivers_until_it_is_told_to_stop(
    app: Flask, database: Database, mails: Mails, NOON: datetime, number: signal.Signals
) -> None:
    """What waits is sent and sequenced, and the end is a clean one."""
    with database.transaction() as session:
        outbox.post(session, "mail.password_changed", MAIL, at=NOON - timedelta(days=365))

    def stop_once_published(at: datetime) -> bool:
        """The sequencer has a thread of its own, and may not have had its turn yet."""
        until = time.monotonic() + 20
        while not published(database) and time.monotonic() < until:
            time.sleep(0.01)
        signal.raise_signal(number)
        return False

    app.extensions["housekeeping"] = stop_once_published
    result = worked(app)
    assert result.exit_code == 0
    assert published(database)  # the notices, at least
    with database.reading() as session:
        assert session.scalars(select(LedgerLease.holder)).all() == []
    assert len(mails.to("kari@example.no")) == 1


def published(database: Database) -> bool:
    with database.reading() as session:
        return tree.published(session) is not None


@pytest.fixture
def given_up(database: Database, NOON: datetime) -> UUID:
    """A dead message, beside one that waits."""
    with database.transaction() as session:
        outbox.post(session, "mail.confirm", {**MAIL, "token": "t"}, at=NOON)
        message = outbox.post(session, "mail.reset", {**MAIL, "token": "t"}, at=NOON)
        session.flush()
        row = session.get(OutboxMessage, message)
        assert row is not None
        row.state, row.attempts, row.failure, row.closed_at = "dead", 8, "SMTP 550", NOON
    return message


@pytest.mark.requirement(80)
def test_an_operator_sees_what_was_given_up_and_no_address(app: Flask, given_up: UUID) -> None:
    """Ids, kinds, states, tries, times and codes."""
    run = app.test_cli_runner().invoke
    every = run(args=["outbox", "list"]).output
    dead = run(args=["outbox", "list", "--state", "dead"]).output
    assert len(every.splitlines()) == 2
    (line,) = dead.splitlines()
    for word in (str(given_up), "dead", "mail.reset", "tries 8", "failure SMTP 550", "2026-11-22"):
        assert word in line
    assert "kari" not in every


def test_an_operator_sends_it_again(app: Flask, database: Database, given_up: UUID) -> None:
    """Once: then it is queued, and a second try says so."""
    run = app.test_cli_runner().invoke
    assert run(args=["outbox", "resend", str(given_up)]).exit_code == 0
    with database.reading() as session:
        row = session.get(OutboxMessage, given_up)
        assert row is not None
        assert (row.state, row.attempts) == ("queued", 0)
    again = run(args=["outbox", "resend", str(given_up)])
    assert again.exit_code == 1
    assert "is queued, not dead" in again.output
    assert run(args=["outbox", "resend", str(uuid4())]).exit_code == 1
