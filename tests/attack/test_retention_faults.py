"""A run of retention that is killed at any step is gone on with, and reported once, when it is
done; people who come meanwhile are not held up and not touched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from commands.ledger import CHECKS
from database import Database
from domain.ledger.invariants import first_violation
from domain.rights import due, retention
from domain.rights.models import RetentionRun
from domain.subjects import service as subjects
from tests.domain.lapsing import customer, here, run, said
from tests.support import NOON
from tests.support.databases import Urls
from tests.support.faults import die, killed

# Where each step stands; a commit is one of the engine's, counted from the first.
STEPS: dict[str, tuple[Any, str] | int] = {
    "begin": 1,
    "erase somebody": (subjects, "forget"),
    "commit what is erased": 2,
    "say so": (retention, "append_anonymous"),
    "commit the end": 4,
}


def afterwards(real: Callable[..., Any]) -> Callable[..., Any]:
    """The call does what it should, and then the process is gone."""

    def call(*values: Any, **named: Any) -> Any:
        real(*values, **named)
        killed(real)()

    return call


def inject(database: Database, step: str, how: Callable[..., Any]) -> None:
    """Kill this process at the step. Nothing is put back: it is the last that it does."""
    patch, where = pytest.MonkeyPatch(), STEPS[step]
    if not isinstance(where, int):
        patch.setattr(*where, how(getattr(*where)))
        return
    dialect, count = database.engine.dialect, 0
    real = dialect.do_commit

    def commit(connection: Any) -> None:
        nonlocal count
        count += 1
        (how(real) if count == where else real)(connection)

    patch.setattr(dialect, "do_commit", commit)


@pytest.mark.parametrize("how", [killed, afterwards])
def test_a_run_that_is_killed_is_finished_by_the_next(
    database: Database,
    urls: Urls,
    info: dict[str, object],
    how: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At each step in turn. Never half a person, never said before it is done, counted right and
    said once."""
    monkeypatch.setattr(retention, "PEOPLE", 2)
    monkeypatch.setattr(due, "_LONGEST_SECONDS", 60)
    with database.transaction() as session:
        customer(session, "stays", ended=None)
    for round, step in enumerate(STEPS):
        names = [f"due{number}.{round}" for number in range(4)]
        with database.transaction() as session:
            for name in names:
                customer(session, name, ended=date(2026, 1, 2))
        before, at = len(said(database)), NOON + timedelta(hours=round)
        database.close()

        def work(step: str = step, at: datetime = at) -> None:
            own = Database(urls.application, info=info)
            inject(own, step, how)
            run(own, at)

        die(work)
        finished = step == "commit the end" and how is afterwards
        assert len(said(database)) - before == (1 if finished else 0), step
        assert len(here(database, *names)) in (0, 2, 4), step
        run(database, at + timedelta(minutes=1))
        entries = said(database)[before:]
        # Where the killed one was done after all, this was another run, which found nothing.
        assert len(entries) == (2 if finished else 1), step
        assert sum(one.data["counts"]["customer"] for one in entries) == len(names), step
        assert len(said(database, "erasure.executed")) == len(names) * (round + 1)
        assert here(database, *names, "stays") == {"stays"}
    with database.reading() as session:
        runs = session.scalars(select(RetentionRun)).all()
        assert all(one.finished_at for one in runs)
        assert first_violation(session, CHECKS) is None


def test_people_sign_up_while_a_run_goes_on(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of them is erased or refused, and the run ends."""
    monkeypatch.setattr(retention, "PEOPLE", 2)
    with database.transaction() as session:
        for number in range(12):
            customer(session, f"due{number}", ended=date(2026, 1, 2))
    came: list[str] = []
    done = threading.Event()

    def sign_up() -> None:
        while not done.is_set() or len(came) < 5:
            with database.transaction() as session:
                customer(session, f"new{len(came)}", ended=None)
            came.append(f"new{len(came)}")

    thread = threading.Thread(target=sign_up)
    thread.start()
    try:
        assert run(database, NOON)["customer"] == 12
    finally:
        done.set()
        thread.join()
    assert here(database, *came) == set(came)
