"""The worker: at least once, whatever fails and wherever it is killed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from database import Database
from domain.delivery import leases, outbox
from domain.delivery.errors import Refused, TryLater, Unwanted
from domain.delivery.leases import BACKOFF, LEASE, TRIES
from domain.delivery.models import OutboxMessage
from domain.delivery.worker import Outcome, Worker
from tests.domain.deliveries import Clock, Died, Network, posted, render, row


@pytest.fixture
def clock(NOON: datetime) -> Clock:
    return Clock(NOON)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def worker(database: Database, network: Network, clock: Clock) -> Worker:
    return Worker(database, network, render, {}, clock)


@pytest.fixture
def post(database: Database, clock: Clock) -> Callable[..., UUID]:
    def post(kind: str = "mail.confirm", **payload: Any) -> UUID:
        return posted(database, kind, clock(), **payload)

    return post


def test_what_is_due_is_sent_once_and_then_forgotten(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], NOON: datetime
) -> None:
    """A sent message keeps its kind and the day, and nothing of a person: neither the name that
    mail servers know it by, nor the moment that the ledger's entries have too."""
    message = post(about=uuid4())
    name = row(database, message).message_id
    assert worker.run_once() == 1
    assert worker.run_once() == 0
    done = row(database, message)
    assert network.sent == [name]
    assert (done.state, done.payload, done.about) == ("sent", None, None)
    day = NOON.replace(hour=0)
    assert {done.created_at, done.due_at, done.closed_at} == {day}
    assert done.message_id != name
    assert name.strip("<>").partition("@")[0] not in done.message_id


def test_a_dead_message_keeps_what_sending_it_again_needs(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], NOON: datetime
) -> None:
    """Its name and its times stay with its payload, and go with it when it is sent at last."""
    message = post()
    before = row(database, message)
    network.before.append(Refused("SMTP 550"))
    assert worker.step() is Outcome.GIVEN_UP
    dead = row(database, message)
    assert (dead.message_id, dead.created_at) == (before.message_id, NOON)
    with database.transaction() as session:
        outbox.send_again(session, message, at=NOON)
    assert worker.step() is Outcome.DELIVERED
    assert network.sent == [before.message_id]
    assert row(database, message).message_id != before.message_id


def test_the_longest_waiting_goes_first(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], clock: Clock
) -> None:
    """Mails arrive in the order of what they are about."""
    ids = []
    for _ in range(3):
        ids.append(row(database, post()).message_id)
        clock.move(timedelta(seconds=1))
    assert worker.run_once() == 3
    assert network.sent == ids


def test_a_worker_that_is_told_to_stop_finishes_one_message(
    worker: Worker, network: Network, post: Callable[..., UUID]
) -> None:
    """It asks between messages, never in the middle of one."""
    post()
    post()
    worker.run_once(stopping=lambda: len(network.sent) == 1)
    assert len(network.sent) == 1


FAILURES = [
    # (where the try fails, with what, copies sent when all is over, wait until the next try)
    ("before", TryLater("SMTP 451"), 1, BACKOFF[0]),
    ("before", ConnectionRefusedError(), 1, BACKOFF[0]),
    ("before", Died(), 1, LEASE),
    ("after", TryLater("SMTPServerDisconnected"), 2, BACKOFF[0]),
    ("after", TimeoutError(), 2, BACKOFF[0]),
    ("after", Died(), 2, LEASE),
]


@pytest.mark.parametrize(("where", "error", "copies", "wait"), FAILURES, ids=repr)
def test_whatever_fails_the_mail_arrives_with_one_message_id(
    database: Database,
    worker: Worker,
    network: Network,
    post: Callable[..., UUID],
    clock: Clock,
    where: str,
    error: BaseException,
    copies: int,
    wait: timedelta,
) -> None:
    """The call failed; it failed but was sent; the process died before or after sending."""
    message = post()
    name = row(database, message).message_id
    getattr(network, where).append(error)
    if isinstance(error, Died):
        with pytest.raises(Died):
            worker.run_once()
    else:
        assert worker.run_once() == 0
    clock.move(wait - timedelta(seconds=1))
    assert worker.run_once() == 0
    clock.move(timedelta(seconds=1))
    assert worker.run_once() == 1
    done = row(database, message)
    assert done.state == "sent"
    assert network.sent == [name] * copies


@pytest.mark.parametrize("step", ["take", "close"])
def test_a_death_in_either_transaction_loses_nothing(
    database: Database,
    worker: Worker,
    network: Network,
    post: Callable[..., UUID],
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """Before the lease is committed the message is free; before it is closed it is leased."""
    message = post()
    name = row(database, message).message_id
    real = getattr(leases, step)

    def die(*arguments: Any, **named: Any) -> None:
        real(*arguments, **named)
        raise Died

    with monkeypatch.context() as patch, pytest.raises(Died):
        patch.setattr(leases, step, die)
        worker.run_once()
    if step == "close":
        assert worker.run_once() == 0
        clock.move(LEASE)
    assert worker.run_once() == 1
    done = row(database, message)
    assert set(network.sent) == {name}
    assert (done.state, len(network.sent)) == ("sent", 1 if step == "take" else 2)


def test_a_message_that_always_fails_is_given_up(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], clock: Clock
) -> None:
    """Eight tries, each wait longer than the one before; then an operator must look."""
    message = post()
    network.before = [TryLater("SMTP 451") for _ in range(TRIES)]
    outcomes = []
    for wait in (*BACKOFF, timedelta()):
        outcomes.append(worker.step())
        assert worker.step() is None
        clock.move(wait)
    assert outcomes == [Outcome.POSTPONED] * 7 + [Outcome.GIVEN_UP]
    assert list(BACKOFF) == sorted(BACKOFF)
    dead = row(database, message)
    assert (dead.state, dead.failure, dead.attempts) == ("dead", "SMTP 451", 8)
    assert dead.payload is not None
    with database.transaction() as session:
        outbox.send_again(session, message, at=clock())
    assert worker.run_once() == 1
    assert network.sent == [dead.message_id]


def test_a_message_that_kills_its_worker_each_time_is_given_up(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], clock: Clock
) -> None:
    """It must not keep all others waiting for ever."""
    message = post()
    network.before = [Died() for _ in range(TRIES)]
    for _ in range(TRIES):
        with pytest.raises(Died):
            worker.run_once()
        clock.move(LEASE)
    other = post()
    assert worker.run_once() == 1
    assert row(database, other).state == "sent"
    dead = row(database, message)
    assert (dead.state, dead.failure) == ("dead", leases.INTERRUPTED)


def test_what_a_server_refused_for_good_is_given_up_at_once(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID]
) -> None:
    """Asking again would only make us a nuisance."""
    message = post()
    network.before.append(Refused("SMTP 550"))
    assert worker.step() is Outcome.GIVEN_UP
    dead = row(database, message)
    assert (dead.state, dead.failure, dead.attempts) == ("dead", "SMTP 550", 1)


def test_a_payload_whose_key_is_gone_is_given_up_at_once(
    database: Database, worker: Worker, post: Callable[..., UUID]
) -> None:
    """Time does not bring a key back; an operator may, and send it again."""
    message = post()
    with database.transaction() as session:
        found = session.get(OutboxMessage, message)
        assert found is not None
        found.payload = b"\0\x09" + bytes(40)
    assert worker.step() is Outcome.GIVEN_UP
    assert row(database, message).failure == "UnknownEpoch"


@pytest.mark.requirement(80)
def test_neither_database_nor_log_repeats_what_an_error_says(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID]
) -> None:
    """Servers quote the address in their refusals, and so do our own errors."""
    message = post()
    network.before.append(ValueError("kari@example.no is unknown here"))
    with capture_logs() as logged:
        assert worker.step() is Outcome.POSTPONED
    assert row(database, message).failure == "ValueError"
    assert "kari" not in repr(logged)
    assert {line["event"] for line in logged} == {"message_failed", "message_tried"}


@pytest.mark.requirement(35)
def test_what_is_not_permitted_any_more_is_dropped_and_said_so(
    database: Database, network: Network, clock: Clock, post: Callable[..., UUID]
) -> None:
    """Checked at the moment of sending, whatever was true when it was queued."""

    def refuse(*_: Any) -> EmailMessage:
        raise Unwanted("withdrawn")

    message = post(about=uuid4())
    assert Worker(database, network, refuse, {}, clock).step() is Outcome.DROPPED
    dropped = row(database, message)
    assert (dropped.state, dropped.failure) == ("dropped", "withdrawn")
    assert dropped.payload is None
    assert dropped.about is None
    assert network.sent == []


def test_a_message_that_was_erased_while_in_hand_stays_erased(
    database: Database, network: Network, clock: Clock, post: Callable[..., UUID]
) -> None:
    """The mail left in the same moment as its person; the worker does not bring the row back."""
    subject = uuid4()
    post(about=subject)

    class Slow(Network):
        def send(self, mail: EmailMessage, *, kind: str) -> None:
            with database.transaction() as session:
                outbox.forget(session, subject)

    assert Worker(database, Slow(), render, {}, clock).step() is Outcome.LOST
    with database.reading() as session:
        assert outbox.messages(session) == []


def test_a_failure_after_the_lease_ran_out_is_not_ours_to_report(
    database: Database, network: Network, clock: Clock, post: Callable[..., UUID]
) -> None:
    """Another worker has the message; our late failure must not undo its try."""
    message = post()

    class TooSlow(Network):
        def send(self, mail: EmailMessage, *, kind: str) -> None:
            clock.move(LEASE)
            with database.transaction() as session:
                assert leases.take(session, at=clock()) is not None
            raise TryLater("TimeoutError")

    assert Worker(database, TooSlow(), render, {}, clock).step() is Outcome.LOST
    found = row(database, message)
    assert (found.state, found.attempts, found.failure) == ("queued", 2, None)
    assert found.leased_until == clock() + LEASE


def test_two_workers_never_send_one_message_twice(
    database: Database, network: Network, clock: Clock, post: Callable[..., UUID]
) -> None:
    """Four workers, forty messages, forty mails."""
    expected = sorted(row(database, post()).message_id for _ in range(40))
    errors: list[Exception] = []

    def work() -> None:
        try:
            # A worker that meets another's lock may find nothing and come back.
            for _ in range(40):
                Worker(database, network, render, {}, clock).run_once()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(network.sent) == expected


def test_a_leased_message_does_not_hold_up_the_next(
    database: Database, worker: Worker, network: Network, post: Callable[..., UUID], clock: Clock
) -> None:
    """One slow mail server delays one mail."""
    post()
    with database.transaction() as session:
        assert leases.take(session, at=clock()) is not None
    name = row(database, post()).message_id
    assert worker.run_once() == 1
    assert network.sent == [name]
