"""A person leaves, and the log stays whole: what is left says what happened, and to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import make_url, select, text

from database import Database
from domain.ledger import receipts
from domain.ledger.log import Log
from domain.subjects import service as subjects
from domain.subjects.models import EntryLink, Subject
from settings import Settings
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import INGRID, ask, confirm, register, sign_in
from tests.support.tables import readable

# Where an entry's id may stand once nobody is tied to it: in the log itself.
LOG_TABLES = {"ledger_entry", "ledger_leaf"}


@pytest.mark.requirement(50)
@pytest.mark.requirement(59)
def test_the_log_outlives_a_person_and_leads_to_nobody(
    visitor: Callable[..., Browser],
    mails: Mails,
    app: Flask,
    database: Database,
    settings: Settings,
    log: Log,
    tmp_path: Path,
) -> None:
    """The whole log verifies, her receipt still does, offline, and neither the database, its
    files, the instance nor an export ties an entry to her: key, links and id are gone."""
    ingrid = visitor(address="192.0.2.77", locale="en")
    register(ingrid, replace(INGRID, choices={"marketing": True}))
    confirm(ingrid, mails)
    sign_in(ingrid)
    secrets, entries = _ties(database)
    kept = [ingrid.get(f"/preferences/receipts/{one}.json").response.data for one in entries]
    ingrid.post("/logout", page=ingrid.get("/account"))
    assert _found(secrets, database, settings), "before, all of it is there to be found"

    page = ask(ingrid, mails, "erasure")
    assert "Your data is erased" in ingrid.press(page, page.path).text
    mails.deliver()
    _run(app, "ledger", "verify")
    _run(app, "ledger", "export", str(tmp_path / "export"), "--entries")

    for receipt in kept:
        receipts.check(receipt, [signer.verifier for signer in log.signers])
    app.extensions["database"].scrub()  # docs/operations.md: what the hourly round does
    assert _found(secrets, database, settings, tmp_path / "export") == []
    assert {place for one in entries for place in _places(database, one)} <= LOG_TABLES


def _ties(database: Database) -> tuple[list[bytes], list[str]]:
    """What ties entries to her: her id in each spelling, her key, sealed and open; and the ids
    of her entries."""
    with database.reading() as session:
        (who,) = session.scalars(select(Subject))
        spelled = [who.id.bytes, who.id.hex.encode(), str(who.id).encode()]
        secrets = [*spelled, who.wrapped_key, subjects.subject_key(session, who)]
        return secrets, list(session.scalars(select(EntryLink.entry_id)))


def _run(app: Flask, *command: str) -> None:
    result = app.test_cli_runner().invoke(args=list(command))
    assert result.exit_code == 0, result.output


def _found(
    secrets: list[bytes], database: Database, settings: Settings, *folders: Path
) -> list[str]:
    """Where one of the ties can be read: a column, or a file."""
    columns = [(table, value) for table, value in _values(database)]
    files = [(str(path), path.read_bytes()) for path in _files(settings, *folders)]
    return [place for place, value in (*columns, *files) for one in secrets if one in value]


def _places(database: Database, entry_id: str) -> set[str]:
    return {table for table, value in _values(database) if entry_id.encode() in value}


def _values(database: Database) -> Iterator[tuple[str, bytes]]:
    with database.reading() as session:
        for table in readable():
            for row in session.execute(text(f"SELECT * FROM {table.name}")):
                for value in row:
                    yield table.name, _bytes(value)


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return value.bytes if isinstance(value, UUID) else str(value).encode()


def _files(settings: Settings, *folders: Path) -> Iterator[Path]:
    """The instance, the folders, and SQLite's files with all that it has freed."""
    for folder in (settings.instance, *folders):
        yield from (path for path in folder.rglob("*") if path.is_file())
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        path = Path(url.database)
        yield from path.parent.glob(f"{path.name}*")
