"""Whose turn it is to write to an SQLite file.

SQLite lets one write at a time, and lets those who wait try again at random: with sixteen
writers the unluckiest wait half a second. So a writer first takes its turn: among the threads
of its process by a lock, which they get in the order of asking, and among processes by `flock`
on a file beside the database, which they try for every half millisecond.

A turn spares waiting and protects nothing, that is SQLite's own lock: who cannot have one in
time goes on without, and is answered by SQLite. What a killed process held, the kernel frees.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from weakref import WeakSet

_SECONDS = 15.0  # as long as SQLite itself waits (database.py)
_AGAIN = 0.0005


_turns: WeakSet[Turn] = WeakSet()


class Turn:
    """One database file's turn, held by one thread of one process at a time."""

    def __init__(self, path: Path):
        self._path = path
        self._lock = threading.Lock()
        _turns.add(self)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for the turn; it is given back when the block ends, however it ends."""
        until = time.monotonic() + _SECONDS
        lock = self._lock  # a child that is forked in the block has another
        if not lock.acquire(timeout=_SECONDS):
            yield  # perhaps this very thread has it: SQLite will tell
            return
        try:
            with self._ahead_of_other_processes(until):
                yield
        finally:
            lock.release()

    def anew(self) -> None:
        """In a child: whoever held the turn at the fork is not there."""
        self._lock = threading.Lock()

    @contextmanager
    def _ahead_of_other_processes(self, until: float) -> Iterator[None]:
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError:
            yield  # a folder that cannot be written to: SQLite will say so
            return
        here = os.getpid()
        try:
            with suppress(OSError):  # some file systems of a network know no such locks
                while not _locked(file) and time.monotonic() < until:
                    time.sleep(_AGAIN)
            yield
        finally:
            # A child that was forked meanwhile shares the open file: closing frees nothing, and
            # it must free nothing that is its parent's.
            if os.getpid() == here:
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_UN)
            os.close(file)


def turn_at(database: str | None) -> Turn | None:
    """The turn of a database file; None for a database in memory."""
    if not database or database == ":memory:" or database.startswith("file:"):
        return None
    return _turn(os.path.realpath(database))


@cache
def _turn(database: str) -> Turn:
    return Turn(Path(f"{database}-turn"))


def _locked(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _begin_anew() -> None:
    """The other threads are not there in a child, and never give back what they held."""
    for turn in list(_turns):
        turn.anew()


os.register_at_fork(after_in_child=_begin_anew)
