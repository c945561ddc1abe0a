"""The worker's thread that makes large copies: mails need not wait for them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
from sqlalchemy.exc import SQLAlchemyError

POLL_SECONDS = 1.0
AWAY_SECONDS = 10.0

# Makes the next copy, unless `stopping`; False if there was none to make.
MakeNext = Callable[..., bool]

log = structlog.get_logger()


@contextmanager
def copying(make_next: MakeNext, stop: threading.Event) -> Iterator[None]:
    """Make copies in a thread beside the block. The thread ends with it; the copy in hand is
    given back and made anew by whoever comes next."""
    thread = threading.Thread(target=make, args=(make_next, stop), name="copies")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def make(make_next: MakeNext, stop: threading.Event) -> None:
    """Make copies until `stop` is set. A database that is away is waited for, and whatever else
    goes wrong with one copy keeps nobody from the next."""
    while not stop.is_set():
        try:
            pause = 0.0 if make_next(stopping=stop.is_set) else POLL_SECONDS
        except SQLAlchemyError as error:
            # Not its text: a database error quotes the row.
            log.error("copies_wait", error=type(error).__name__, seconds=AWAY_SECONDS)
            pause = AWAY_SECONDS
        except Exception as error:
            log.error("copies_failed", error=type(error).__name__)
            pause = AWAY_SECONDS
        stop.wait(pause)
