"""`flask worker`: deliver what the outbox holds, until told to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

import click
import structlog
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy.exc import SQLAlchemyError

from extensions import now

POLL_SECONDS = 1.0
# While the database is away: this long at first, twice as long each time, up to the last.
AWAY_SECONDS = (1.0, 30.0)
HOUSEKEEPING = timedelta(hours=1)

log = structlog.get_logger()


class Delivers(Protocol):
    """What this loop needs of a domain.delivery.worker.Worker."""

    def run_once(self, stopping: Callable[[], bool] = ...) -> int:
        """Deliver all that is due."""


@click.command("worker")
@with_appcontext
def worker() -> None:
    """Deliver mails and do what was put off, until SIGTERM or Ctrl-C.

    The message in hand is finished first. A kill loses nothing: what was in hand is
    delivered again when its lease has run out.
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    extensions = current_app.extensions
    log.info("worker_started")
    run(extensions["worker"], extensions["housekeeping"], stop)
    log.info("worker_stopped")


def run(
    worker: Delivers,
    housekeeping: Callable[[datetime], None],
    stop: threading.Event,
    clock: Callable[[], datetime] = now,
) -> None:
    """Deliver until `stop` is set, and keep house once an hour.

    A database that goes away is waited for: that ends no worker.
    """
    pause, kept_at = AWAY_SECONDS[0], None
    while not stop.is_set():
        try:
            worker.run_once(stop.is_set)
            if kept_at is None or clock() - kept_at >= HOUSEKEEPING:
                kept_at = clock()
                _keep_house(housekeeping, kept_at)
        except SQLAlchemyError as error:
            # Not its text: a database error quotes the row.
            log.error("worker_waits", error=type(error).__name__, seconds=pause)
            stop.wait(pause)
            pause = min(2 * pause, AWAY_SECONDS[1])
        else:
            pause = AWAY_SECONDS[0]
            stop.wait(POLL_SECONDS)


def _keep_house(housekeeping: Callable[[datetime], None], at: datetime) -> None:
    """Whatever goes wrong with it must not keep mails from leaving; the next hour tries again."""
    try:
        housekeeping(at)
    except Exception as error:
        log.error("housekeeping_failed", error=type(error).__name__)
