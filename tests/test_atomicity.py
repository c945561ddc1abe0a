"""All or nothing: a failure at any write, at the commit, or of the whole process leaves no half.

Each flow is run once for every statement that it writes, with that statement failing; the last
time nothing fails, and everything is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, event, func, select
from sqlalchemy.exc import OperationalError

from app import create_app
from database import Database
from domain.identity.models import Account
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from driver import Driver
from settings import Settings
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import INGRID, PASSWORD, become_customer, register
from tests.support.tables import readable

pytestmark = pytest.mark.usefixtures("clock")

Visitor = Callable[..., Browser]
_WRITES = ("INSERT", "UPDATE", "DELETE", "WITH counted")


class Broken(Exception):
    """The failure that is injected."""


@contextmanager
def failing(engine: Engine, at: int, how: Callable[[], Any]) -> Iterator[list[str]]:
    """Call `how` in place of the `at`-th write (0: none). Yields what was written. Tries at
    limited things are counted before, in a transaction of their own, and do not count here."""
    written: list[str] = []

    def before(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.startswith(_WRITES) and "attempt" not in statement.split("(")[0].split():
            written.append(statement)
            if len(written) == at:
                how()

    execute = Driver.execute

    def driven(driver: Driver, statement: Any, values: Any) -> Any:
        # What goes past SQLAlchemy's events (driver.py).
        before(None, None, str(statement.compile(dialect=driver.dialect)))
        return execute(driver, statement, values)

    event.listen(engine, "before_cursor_execute", before)
    Driver.execute = driven  # type: ignore[assignment, method-assign]
    try:
        yield written
    finally:
        Driver.execute = execute  # type: ignore[method-assign]
        event.remove(engine, "before_cursor_execute", before)


def broken() -> None:
    """A bug or a constraint, anywhere."""
    raise Broken


def gone() -> None:
    """The database goes away in the middle."""
    raise OperationalError("a statement", {}, Exception("the server closed the connection"))


def everything(database: Database) -> dict[str, list[str]]:
    """Every row of every table, but the tries."""
    with database.reading() as session:
        return {
            table.name: sorted(map(repr, session.execute(select(table))))
            for table in readable()
            if table.name != "attempt"
        }


def types(database: Database) -> list[str]:
    """What the ledger says of people, in no order."""
    with database.reading() as session:
        found = [decode(raw).type for raw in session.scalars(select(LedgerEntry.bytes))]
    return sorted(one for one in found if one not in ("notice.published", "log.padded"))


@dataclass
class Flow:
    """Something that is done with one press of a button."""

    press: Callable[[int], Page]
    engine: Engine
    database: Database

    def fails_whole(self, how: Callable[[], Any], status: int) -> int:
        """Fail at each write in turn; return how many there are when it succeeds at last."""
        before = everything(self.database)
        at = 1
        while True:
            with failing(self.engine, at, how) as written:
                page = self.press(at)
            if len(written) < at:
                assert page.status == 200
                return len(written)
            assert page.status == status, written[-1]
            assert everything(self.database) == before, f"half done at: {written[-1]}"
            at += 1


@pytest.fixture
def engine(app: Flask) -> Engine:
    """What the application writes through."""
    database: Database = app.extensions["database"]
    return database.engine


@pytest.fixture
def registering(visitor: Visitor, engine: Engine, database: Database) -> Flow:
    """Somebody signs up with both yes and no; each time from another place."""

    def press(at: int) -> Page:
        guest = replace(INGRID, email=f"gjest{at}@kunde.example", choices={"marketing": True})
        return register(visitor(address=f"192.0.2.{at}"), guest)

    return Flow(press, engine, database)


@pytest.fixture
def choosing(visitor: Visitor, mails: Mails, engine: Engine, database: Database) -> Flow:
    """A customer says yes to both."""
    browser = visitor()
    become_customer(browser, mails)
    yes = {"consent-marketing": True, "consent-analytics": True}
    return Flow(lambda at: browser.post("/preferences", yes), engine, database)


@pytest.fixture
def changing(visitor: Visitor, mails: Mails, engine: Engine, database: Database) -> Flow:
    """A customer who has used the form before says yes to one more: the site's shortest way."""
    browser = visitor()
    become_customer(browser, mails)
    browser.post("/preferences", {"consent-marketing": True})
    yes = {"consent-marketing": True, "consent-analytics": True}
    return Flow(lambda at: browser.post("/preferences", yes), engine, database)


def _asking(kind: str, visitor: Visitor, mails: Mails, engine: Engine, database: Database) -> Flow:
    browser = visitor()
    become_customer(browser, mails)
    page = browser.post(f"/requests/new?kind={kind}", {"password": PASSWORD})
    return Flow(lambda at: browser.press(page, page.path), engine, database)


@pytest.fixture
def copying(visitor: Visitor, mails: Mails, engine: Engine, database: Database) -> Flow:
    """A customer takes the copy."""
    return _asking("access", visitor, mails, engine, database)


@pytest.fixture
def erasing(visitor: Visitor, mails: Mails, engine: Engine, database: Database) -> Flow:
    """A customer confirms the erasure."""
    return _asking("erasure", visitor, mails, engine, database)


OPENED = ["account.opened", "consent.given", "consent.refused"]
REFUSED = ["account.opened", "consent.refused", "consent.refused"]
ASKED = ["request.fulfilled", "request.received", "request.verified"]


def _writes(sqlite: int, postgresql: int) -> dict[str, int]:
    return {"sqlite": sqlite, "postgresql": postgresql}


# What each flow leaves in the ledger when it succeeds, and the fewest writes it takes: entries,
# links, queue and projection are four on SQLite, and one on PostgreSQL.
FLOWS: dict[str, tuple[list[str], dict[str, int]]] = {
    "registering": (OPENED, _writes(18, 11)),
    "choosing": (sorted([*REFUSED, "consent.given", "consent.given"]), _writes(7, 3)),
    "changing": (sorted([*REFUSED, "consent.given", "consent.given"]), _writes(6, 1)),
    "copying": (sorted([*REFUSED, *ASKED]), _writes(6, 3)),
    "erasing": (sorted([*REFUSED, *ASKED, "erasure.executed"]), _writes(17, 11)),
}


@pytest.mark.requirement(13, 59)
@pytest.mark.parametrize(
    ("name", "how", "status"),
    [*((name, broken, 500) for name in FLOWS), ("registering", gone, 503)],
)
def test_a_failing_write_leaves_everything_as_it_was(
    request: pytest.FixtureRequest, name: str, how: Callable[[], Any], status: int, app: Flask
) -> None:
    """No account without its entries, no entry without its account; no choice, no copy and no
    erasure by halves. Then it succeeds, and verify holds."""
    flow: Flow = request.getfixturevalue(name)
    entries, fewest = FLOWS[name]
    assert flow.fails_whole(how, status) >= fewest[flow.engine.dialect.name]
    assert types(flow.database) == entries
    result = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert result.exit_code == 0, result.output


# A change of mind is one statement on PostgreSQL, which commits by itself: it fails as a write.
COMMITTED = [
    (name, backend)
    for name in FLOWS
    for backend in ("sqlite", "postgresql")
    if (name, backend) != ("changing", "postgresql")
]


@pytest.mark.requirement(13)
@pytest.mark.parametrize(("name", "backend"), COMMITTED, indirect=["backend"])
def test_a_failing_commit_leaves_everything_as_it_was(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, name: str, backend: str
) -> None:
    """All was written and nothing is there; the tries' own transaction commits."""
    flow: Flow = request.getfixturevalue(name)
    before = everything(flow.database)
    with failing(flow.engine, 0, broken) as written:

        def commit(*_: Any) -> None:
            if written:
                raise Broken

        run = Driver.run

        def driven(driver: Driver, sql: str) -> None:
            if sql == "COMMIT":
                commit()
            run(driver, sql)

        event.listen(flow.engine, "commit", commit)
        try:
            with monkeypatch.context() as patch:
                patch.setattr(Driver, "run", driven)
                page = flow.press(1)
        finally:
            event.remove(flow.engine, "commit", commit)
    assert page.status == 500
    assert len(written) >= FLOWS[name][1][backend]
    assert everything(flow.database) == before
    assert flow.press(2).status == 200
    assert types(flow.database) == FLOWS[name][0]


# Of registration: every second write, and the last.
@pytest.mark.requirement(13)
@pytest.mark.parametrize("at", [1, 3, 5, 7, 9, 11, -1])
def test_a_killed_process_leaves_no_half_account(
    app: Flask, settings: Settings, database: Database, registering: Flow, at: int
) -> None:
    """The process ends between two statements, or before the commit, without saying goodbye."""
    before = everything(database)
    if at < 0:
        with failing(registering.engine, 0, broken) as written:
            registering.press(99)
        # The words it was shown are stored by now, so the next one writes one row less.
        at, before = len(written) - 1, everything(database)
    app.extensions["database"].close()
    database.close()
    child = os.fork()
    if child == 0:
        _sign_up_and_die(settings, at)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 9
    assert everything(database) == before
    assert registering.press(1).status == 200
    with database.reading() as session:
        accounts = session.scalar(select(func.count()).select_from(Account)) or 0
    assert types(database) == sorted(OPENED * accounts)


def _sign_up_and_die(settings: Settings, at: int) -> None:
    """In the child: exit 9 in place of the write, and 1 if it never comes."""
    try:
        site = create_app(settings)
        with failing(site.extensions["database"].engine, at, lambda: os._exit(9)):
            register(Browser(site, settings.base_url), INGRID)
    finally:
        os._exit(1)
