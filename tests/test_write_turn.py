"""The turn to write: one at a time, for threads and processes, and given back whatever happens."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import write_turn
from database import Database
from write_turn import Turn, turn_at


@pytest.fixture
def turn(tmp_path: Path) -> Turn:
    """The turn of a file that nobody else has."""
    found = turn_at(str(tmp_path / "site.db"))
    assert found
    return found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for longer than a fifth of a second."""
    monkeypatch.setattr(write_turn, "_SECONDS", 0.2)


def _free(path: Path) -> bool:
    """Whether another process could take the turn now."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def test_a_turn_is_had_by_one_thread_at_a_time(turn: Turn) -> None:
    """Eight threads, fifty times each: never two inside."""
    inside, most = 0, 0

    def take() -> None:
        nonlocal inside, most
        for _ in range(50):
            with turn.taken():
                inside += 1
                most = max(most, inside)
                time.sleep(0)
                inside -= 1

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(take) for _ in range(8)]:
            done.result(timeout=60)
    assert most == 1


def test_a_file_has_one_turn_however_it_is_spelled(tmp_path: Path) -> None:
    """And a database in memory has none."""
    assert turn_at(str(tmp_path / "a.db")) is turn_at(str(tmp_path / "x" / ".." / "a.db"))
    assert turn_at(None) is turn_at("") is turn_at(":memory:") is None


def test_an_error_gives_the_turn_back(turn: Turn, tmp_path: Path) -> None:
    """To this process and to others."""
    with pytest.raises(RuntimeError), turn.taken():
        assert not _free(tmp_path / "site.db-turn")
        raise RuntimeError
    assert _free(tmp_path / "site.db-turn")
    with turn.taken():
        pass


HOLD = """
import sys, time
from write_turn import turn_at
with turn_at(sys.argv[1]).taken():
    print("held", flush=True)
    time.sleep(60)
"""


def _holding(path: Path) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        cwd=Path(write_turn.__file__).parent,
        stdout=subprocess.PIPE,
    )
    assert child.stdout
    assert child.stdout.readline() == b"held\n"
    return child


def test_another_process_waits_and_a_killed_one_holds_nothing(turn: Turn, tmp_path: Path) -> None:
    """The turn comes at the moment of the kill, not before."""
    with _holding(tmp_path / "site.db") as child:
        killed: list[float] = []

        def kill() -> None:
            time.sleep(0.3)
            killed.append(time.monotonic())
            child.send_signal(signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with turn.taken():
            taken = time.monotonic()
        killer.join()
        assert 0 < taken - killed[0] < 5


@pytest.mark.usefixtures("impatient")
def test_who_waited_too_long_goes_on_without(turn: Turn, tmp_path: Path) -> None:
    """For another process, and for this very thread: SQLite answers then."""
    with _holding(tmp_path / "site.db") as child:
        with turn.taken():
            pass
        child.kill()
    with turn.taken():
        with turn.taken():
            pass
        assert not _free(tmp_path / "site.db-turn"), "the inner one gave back what it had not"


def test_a_forked_child_takes_nothing_along(turn: Turn, tmp_path: Path) -> None:
    """What its parent held at the fork is free again when the parent gives it back."""
    ready, done = os.pipe(), os.pipe()
    with turn.taken():
        child = os.fork()
        if child == 0:
            os.write(ready[1], b"x")
            os.read(done[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    free = _free(tmp_path / "site.db-turn")
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for end in (*ready, *done):
        os.close(end)
    assert free


def test_a_forked_child_does_not_wait_for_who_is_not_there(turn: Turn, tmp_path: Path) -> None:
    """A thread held the turn at the fork: the child takes it as soon as its parent gives it back,
    and who forked in its own turn gives nothing back in the child that is the parent's."""
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with turn.taken():
            held.set()
            over.wait(10)

    holding = threading.Thread(target=hold)
    holding.start()
    held.wait(10)
    child = os.fork()
    if child == 0:
        began = time.monotonic()
        with turn.taken():
            os._exit(0 if time.monotonic() - began < 5 else 1)
    time.sleep(0.2)
    over.set()
    holding.join()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with turn.taken():
        child = os.fork()
        if child:
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            assert not _free(tmp_path / "site.db-turn")
    if child == 0:
        os._exit(0)


def test_a_disk_that_knows_no_locks_has_no_turns(
    turn: Turn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on some file systems of a network: nobody waits for what never comes."""

    def flock(file: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    began = time.monotonic()
    with turn.taken():
        pass
    assert time.monotonic() - began < 1


def test_a_folder_that_cannot_be_written_to_has_no_turns(tmp_path: Path) -> None:
    """Then nobody writes there anyway, and SQLite says so."""
    nowhere = turn_at(str(tmp_path / "no" / "such" / "folder.db"))
    assert nowhere
    with nowhere.taken():
        pass


def test_writing_takes_the_turn_and_reading_does_not(database: Database, backend: str) -> None:
    """It is free again after commit, rollback and a failed statement. PostgreSQL has none."""
    path = Path(f"{database.engine.url.database}-turn")
    if backend == "postgresql":
        with database.transaction():
            assert not path.exists()
        return
    with database.transaction() as session:
        session.execute(text("SELECT 1"))
        assert not _free(path)
    assert _free(path)
    with database.reading() as session:
        session.execute(text("SELECT 1"))
        assert _free(path)
    for wrong in ("SELECT nothing", "DELETE FROM ledger_entry"):
        with pytest.raises(DBAPIError), database.transaction() as session:
            session.execute(text(wrong))
        assert _free(path)


def test_one_thing_is_looked_up_without_changing_any(database: Database, backend: str) -> None:
    """`first` gives a row or None; on SQLite its connection cannot write at all."""
    assert database.first(text("SELECT 1 AS one WHERE :yes"), {"yes": True}) == (1,)
    assert database.first(text("SELECT 1 AS one WHERE :yes"), {"yes": False}) is None
    if backend == "sqlite":
        with pytest.raises(DBAPIError, match="readonly"):
            database.first(text("INSERT INTO ledger_lease VALUES ('a', 'b', 'c')"), {})
