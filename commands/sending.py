"""The worker's thread that sends newsletters: no other mail waits behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

POLL_SECONDS = 0.5
AWAY_SECONDS = 10.0
# So long the end of the worker waits for a mail server: less than whoever ends it waits for us.
LAST_SECONDS = 30.0

log = structlog.get_logger()


class Sends(Protocol):
    """What this thread needs of a domain.marketing.sending.Sender."""

    def run_once(self, stopping: Callable[[], bool] = ...) -> int:
        """Send all that may leave now."""

    def close(self) -> None:
        """Hang up."""


@contextmanager
def sending(sender: Sends | None, stop: threading.Event) -> Iterator[None]:
    """Send newsletters in a thread beside the block; without a sender, none. The thread ends with
    the block, after the mail in hand; where the mail server takes too long over that, it is left
    as by a kill."""
    if sender is None:
        yield
        return
    thread = threading.Thread(target=send, args=(sender, stop), name="newsletters", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(LAST_SECONDS)
        if thread.is_alive():
            log.error("newsletter_left", seconds=LAST_SECONDS)


def send(sender: Sends, stop: threading.Event) -> None:
    """Send until `stop` is set. A database that is away is waited for, and whatever else goes
    wrong keeps nobody from the next newsletter."""
    while not stop.is_set():
        pause = POLL_SECONDS
        try:
            sender.run_once(stop.is_set)
        except SQLAlchemyError as error:
            # Not its text: a database error quotes the row.
            log.error("newsletters_wait", error=type(error).__name__, seconds=AWAY_SECONDS)
            pause = AWAY_SECONDS
        except Exception as error:
            log.error("newsletters_failed", error=type(error).__name__)
            pause = AWAY_SECONDS
        stop.wait(pause)
    try:
        sender.close()
    except SQLAlchemyError as error:  # what was sent is committed by nobody: it is uncertain
        log.error("newsletters_wait", error=type(error).__name__, seconds=0.0)
