"""`flask worker`: deliver what the outbox holds, send newsletters and sequence the log, until told
to stop."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Protocol

import click
import structlog
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from commands import starting
from commands.copying import copying
from commands.sending import sending
from database import Database
from domain.ledger.errors import LedgerError
from extensions import now, settings

POLL_SECONDS = 1.0
SEQUENCE_SECONDS = 0.2
# While the database is away: this long at first, twice as long each time, up to the last.
AWAY_SECONDS = (1.0, 30.0)
# Housekeeping that fails as a whole (a chore that fails rests by itself) is left alone so long.
HOUSEKEEPING = timedelta(hours=1)
# What was erased lies on in SQLite's write-ahead log until nobody reads an older state.
SCRUB_SECONDS = 5.0

log = structlog.get_logger()


class Delivers(Protocol):
    """What this loop needs of a domain.delivery.worker.Worker."""

    def run_once(self, stopping: Callable[[], bool] = ...) -> int:
        """Deliver all that is due."""


class Sequences(Protocol):
    """What this loop needs of a domain.ledger.sequencer.Sequencer."""

    def run_once(self, stopping: Callable[[], bool] = ...) -> int:
        """Sequence all that waits, sign and publish."""

    def give_back(self) -> None:
        """Let another begin at once."""


@click.command("worker")
@with_appcontext
def worker() -> None:
    """Deliver mails, send newsletters, sequence the log and do what was put off, until SIGTERM or
    Ctrl-C.

    The message in hand is finished first. A kill loses nothing: what was in hand is
    delivered again, and sequenced on, when its lease has run out.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    extensions = current_app.extensions
    starting.check_signs(settings())
    _check(extensions["database"], stop)
    log.info("worker_started")
    with (
        sequencing(extensions["sequencer"], stop),
        copying(extensions["exports"], stop),
        sending(extensions["sender"], stop),
    ):
        database = extensions["database"]
        run(
            extensions["worker"],
            extensions["housekeeping"],
            stop,
            scrub_again=database.scrub_again,
            first=lambda: _forget_again(database),
        )
    log.info("worker_stopped")


def _check(database: Database, stop: threading.Event) -> None:
    """Deliver nothing for an older copy of the database, whose mails may have been sent already,
    and nothing before whoever came back with it is erased again.

    A database that is away is waited for; the sequencer asks again before it extends anything.
    """
    pause = AWAY_SECONDS[0]
    while not stop.is_set():
        try:
            with database.reading() as session:
                starting.check_log(session)
            starting.forget_again(database)
            return
        except starting.NotReady as error:
            raise click.ClickException(str(error)) from error
        except SQLAlchemyError as error:
            log.error("worker_waits", error=type(error).__name__, seconds=pause)
            stop.wait(pause)
            pause = min(2 * pause, AWAY_SECONDS[1])


def _forget_again(database: Database) -> None:
    """Nothing is delivered to or about who came back from a backup."""
    try:
        starting.forget_again(database)
    except starting.NotReady as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def sequencing(sequencer: Sequences, stop: threading.Event) -> Iterator[None]:
    """Sequence in a thread beside the block: a mail may wait for its server, the log must not.

    The thread ends with the block. Should it end by itself, it sets `stop`, and the end of the
    block raises: nobody may go on for days without seeing that the log stands still.
    """
    failures: list[BaseException] = []

    def until_stopped() -> None:
        try:
            sequence(sequencer, stop)
        except BaseException as error:
            log.error("sequencer_ended", exc_info=error)
            failures.append(error)
            stop.set()

    thread = threading.Thread(target=until_stopped, name="sequencer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failures:
        raise click.ClickException(f"the sequencer ended: {_told(failures[0])}")


def sequence(sequencer: Sequences, stop: threading.Event) -> None:
    """Sequence until `stop` is set. A database or a disk that goes away is waited for."""
    pause = AWAY_SECONDS[0]
    while not stop.is_set():
        try:
            sequencer.run_once(stop.is_set)
        except (SQLAlchemyError, OSError) as error:
            log.error("sequencer_waits", error=type(error).__name__, seconds=pause)
            stop.wait(pause)
            pause = min(2 * pause, AWAY_SECONDS[1])
        else:
            pause = AWAY_SECONDS[0]
            stop.wait(SEQUENCE_SECONDS)
    with suppress(SQLAlchemyError):  # away: the lease runs out by itself
        sequencer.give_back()


def _told(error: BaseException) -> str:
    """The ledger's own words name sizes and files; any other error's text may quote a row."""
    return str(error) if isinstance(error, LedgerError) else type(error).__name__


def run(
    worker: Delivers,
    housekeeping: Callable[[datetime], bool],
    stop: threading.Event,
    clock: Callable[[], datetime] = now,
    scrub_again: Callable[[], bool] = lambda: True,
    first: Callable[[], None] = lambda: None,
) -> None:
    """Deliver until `stop` is set, and keep house a small piece at a time: after each, whatever is
    due by then is delivered. Scrub where somebody could not. `first` comes before everything.

    A database that goes away is waited for: that ends no worker.
    """
    pause, scrub_at, begun = AWAY_SECONDS[0], 0.0, False
    house = _House(housekeeping)
    while not stop.is_set():
        try:
            if not begun:
                first()
                begun = True
            worker.run_once(stop.is_set)
            more = house.keep(clock())
            if time.monotonic() >= scrub_at:
                scrub_at = time.monotonic() + SCRUB_SECONDS
                if not scrub_again():
                    log.warning("scrub_gave_up", seconds=SCRUB_SECONDS)
        except SQLAlchemyError as error:
            # Not its text: a database error quotes the row.
            log.error("worker_waits", error=type(error).__name__, seconds=pause)
            stop.wait(pause)
            pause = min(2 * pause, AWAY_SECONDS[1])
        else:
            pause = AWAY_SECONDS[0]
            if not more:
                stop.wait(POLL_SECONDS)


class _House:
    """Housekeeping, of which whatever goes wrong must not keep mails from leaving."""

    def __init__(self, housekeeping: Callable[[datetime], bool]):
        self._housekeeping = housekeeping
        self._failed_at: datetime | None = None

    def keep(self, at: datetime) -> bool:
        """Do a piece; whether there is more. A database that is away is the loop's to wait for."""
        if self._failed_at is not None and at - self._failed_at < HOUSEKEEPING:
            return False
        try:
            return self._housekeeping(at)
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.error("housekeeping_failed", error=type(error).__name__)
            self._failed_at = at
            return False
