"""The database: times, transactions and readings, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert, select, text, update
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.orm import Session

from database import Database, UtcDateTime, redacted
from tests.support import NOON

THREADS, ROUNDS = 4, 50
scratch = Table(
    "scratch",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("count", Integer, nullable=False, default=0),
    Column("at", UtcDateTime),
)


@pytest.fixture(autouse=True)
def counter(owner: Database, backend: str) -> Iterator[None]:
    """A table with one row, which the application may write."""
    with owner.transaction() as session:
        scratch.create(session.connection())
        if backend == "postgresql":
            session.execute(text("GRANT ALL ON scratch TO PUBLIC"))
        session.execute(insert(scratch).values(id=1, count=0))
    yield
    owner.close()


def count(session: Session) -> int:
    """The number in the one row."""
    return int(session.execute(select(scratch.c.count)).scalar_one())


def test_a_transaction_is_kept_when_its_block_ends(database: Database) -> None:
    """One block, one commit."""
    with database.transaction() as session:
        session.execute(update(scratch).values(count=7))
    with database.reading() as session:
        assert count(session) == 7


def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    """Half of what was to happen together never happens."""

    def half() -> None:
        with database.transaction() as session:
            session.execute(update(scratch).values(count=7))
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    with database.reading() as session:
        assert count(session) == 0


def test_no_update_is_lost(database: Database) -> None:
    """Four threads count to fifty each on one row, and it says two hundred."""

    def count_up() -> None:
        for _ in range(ROUNDS):
            with database.transaction() as session:
                seen = session.execute(select(scratch.c.count).with_for_update()).scalar_one()
                session.execute(update(scratch).values(count=seen + 1))

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(count_up) for _ in range(THREADS)]:
            done.result(timeout=60)
    with database.reading() as session:
        assert count(session) == THREADS * ROUNDS


def test_a_reading_changes_nothing(database: Database) -> None:
    """A page that only shows something cannot write by mistake."""
    with (
        pytest.raises(DBAPIError, match=r"read-?only"),
        database.reading() as session,
    ):
        session.execute(update(scratch).values(count=7))
    with database.transaction() as session:
        assert count(session) == 0
        session.execute(update(scratch).values(count=1))  # its connection can write again


def test_a_reading_waits_for_no_writer(database: Database) -> None:
    """It sees what was committed, at once, while somebody writes."""
    with database.transaction() as writer:
        writer.execute(update(scratch).values(count=7))
        started = time.monotonic()
        with database.reading() as session:
            assert count(session) == 0
        assert time.monotonic() - started < 2


def test_a_reading_sees_one_moment(database: Database) -> None:
    """What is committed while it reads does not show half-way through."""
    with database.reading() as session:
        assert count(session) == 0
        with database.transaction() as writer:
            writer.execute(update(scratch).values(count=7))
        assert count(session) == 0


def test_writers_wait_for_each_other(database: Database) -> None:
    """A second writer of the same row comes after the first, and fails neither."""
    inside, order = threading.Event(), []

    def second() -> None:
        inside.wait(10)
        with database.transaction() as session:
            session.execute(update(scratch).values(count=scratch.c.count + 1))
            order.append("second")

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(second)
        with database.transaction() as session:
            session.execute(update(scratch).values(count=scratch.c.count + 1))
            inside.set()
            time.sleep(0.2)
            order.append("first")
        done.result(timeout=30)
    assert order == ["first", "second"]
    with database.reading() as session:
        assert count(session) == 2


@pytest.mark.parametrize(
    "at", [NOON, NOON.replace(microsecond=123456), NOON.astimezone(timezone(timedelta(hours=-9)))]
)
def test_a_time_comes_back_in_utc(database: Database, at: datetime) -> None:
    """Whatever zone it was said in, it is the same moment, and aware."""
    with database.transaction() as session:
        session.execute(update(scratch).values(at=at))
    with database.reading() as session:
        stored = session.execute(select(scratch.c.at)).scalar_one()
    assert stored == at
    assert stored.tzinfo is UTC


def test_times_are_compared_as_moments(database: Database) -> None:
    """A limit that was said in another zone finds the same rows."""
    oslo = timezone(timedelta(hours=1))
    with database.transaction() as session:
        session.execute(update(scratch).values(at=NOON))
    with database.reading() as session:
        for limit, found in ((NOON, 1), (NOON + timedelta(seconds=1), 0)):
            rows = session.execute(select(scratch).where(scratch.c.at >= limit.astimezone(oslo)))
            assert len(rows.all()) == found


def test_a_naive_time_is_refused(database: Database) -> None:
    """Nobody can say later which zone it was meant in."""
    naive = NOON.replace(tzinfo=None)
    with pytest.raises(StatementError, match="time zone"), database.transaction() as session:
        session.execute(update(scratch).values(at=naive))


def test_sessions_carry_what_the_domain_asks_for(database: Database) -> None:
    """Services need only the session."""
    with database.transaction() as writer, database.reading() as reader:
        assert writer.info == reader.info == database.info
        assert set(database.info) == {"accounting", "keyring", "log", "purposes"}


@pytest.mark.requirement(80)
def test_an_address_is_printed_without_its_password() -> None:
    """Messages and logs name the database, never its password."""
    printed = redacted("postgresql+psycopg://app:hunter2@db.example/samtykke")
    assert "hunter2" not in printed
    assert "app:***@db.example/samtykke" in printed


def test_a_scrub_that_has_to_wait_gives_up_and_keeps_nobody_from_writing(
    database: Database, backend: str
) -> None:
    """While somebody reads an older state a write takes a moment, and the scrub is done when they
    are gone. PostgreSQL has nothing to scrub."""
    with database.reading() as session:
        before = count(session)
        with database.transaction() as writing:
            writing.execute(update(scratch).values(count=before + 1))
        done: list[bool] = []
        scrubbing = threading.Thread(target=lambda: done.append(database.scrub()))
        scrubbing.start()
        time.sleep(0.05)
        began = time.monotonic()
        with database.transaction() as writing:
            writing.execute(update(scratch).values(count=before + 2))
        assert time.monotonic() - began < 2
        scrubbing.join()
        assert done == [backend == "postgresql"]
        assert database.scrub_again() is (backend == "postgresql")
    assert database.scrub_again()
    if backend == "sqlite":
        assert Path(f"{database.engine.url.database}-wal").stat().st_size == 0
        assert not Path(f"{database.engine.url.database}-unscrubbed").exists()
    with database.transaction() as writing:
        writing.execute(update(scratch).values(count=0))
    assert database.scrub_again(), "nobody gave up, so there is nothing to do"


def test_a_connection_that_scrubbed_is_as_patient_as_before(
    database: Database, backend: str
) -> None:
    """Its next transaction waits for others as long as any."""
    database.scrub()
    if backend == "sqlite":
        with database.engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 15_000
