"""What only a receipt can show: that a person's newest decision was hidden from them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import delete, update

from commands import ledger
from database import Database
from domain.consent import projection
from domain.ledger import proving
from domain.ledger.models import LedgerEntry
from domain.ledger.receipts import Receipt
from domain.ledger.sequencer import Sequencer
from domain.subjects import service
from domain.subjects.models import EntryLink, Subject
from tests.attack.ledgers import unguarded

FULFILLED = {"kind": "access", "reference": "K7Q-2MX9"}


@pytest.fixture
def verify(database: Database) -> Flask:
    """Only what the command needs of the site."""
    app = Flask("bare")
    app.extensions["database"] = database
    app.cli.add_command(ledger.group)
    return app


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=["ledger", "verify", *arguments])


@pytest.fixture
def receipt(database: Database, tmp_path: Path, NOON: datetime) -> Path:
    """Of the newest of a person's entries."""
    with database.transaction() as session:
        for _ in range(3):
            subject_id = service.open_subject(session, at=NOON).id
            for _ in range(2):
                entry_id = service.record(
                    session, subject_id, "request.fulfilled", FULFILLED, at=NOON
                )
    sequencer = Sequencer(database, lambda: NOON)
    sequencer.run_once()
    sequencer.give_back()
    path = tmp_path / "receipt.json"
    with database.reading() as session:
        content = session.get_one(LedgerEntry, entry_id).bytes
        proof = proving.prove(session, entry_id).encode()
    path.write_bytes(Receipt(content, None, proof).encode())
    return path


@pytest.mark.requirement(49)
def test_a_receipt_shows_that_its_link_was_taken_away(
    verify: Flask, database: Database, owner: Database, receipt: Path
) -> None:
    """All invariants hold; whoever kept the receipt can have it looked for."""
    assert run(verify, "--since", str(receipt)).exit_code == 0
    entry_id = Receipt.parse(receipt.read_bytes()).entry.split(b'"id":"')[1][:32].decode()
    with unguarded(owner) as session:
        link = session.get_one(EntryLink, entry_id)
        subject_id = link.subject_id
        session.execute(delete(EntryLink).where(EntryLink.entry_id == entry_id))
        here = Subject.id == subject_id
        session.execute(update(Subject).where(here).values(linked=Subject.linked - 1))
    with owner.transaction() as session:
        projection.rebuild(session)
    assert run(verify).exit_code == 0
    shown = run(verify, "--since", str(receipt))
    assert shown.exit_code == 1
    assert f"entry {entry_id} is about subject {subject_id}, who is still here" in shown.output


def test_the_receipt_of_somebody_who_was_erased_is_about_nobody(
    verify: Flask, database: Database, receipt: Path
) -> None:
    """The link went with them, as it must."""
    entry_id = Receipt.parse(receipt.read_bytes()).entry.split(b'"id":"')[1][:32].decode()
    with database.transaction() as session:
        service.forget(session, session.get_one(EntryLink, entry_id).subject_id)
    assert run(verify, "--since", str(receipt)).exit_code == 0


def test_a_changed_receipt_is_none(verify: Flask, receipt: Path) -> None:
    """Its checkpoint is right; its entry is not the one that stands there."""
    content = receipt.read_bytes().replace(b"K7Q-2MX9", b"K7Q-2MX8")
    receipt.write_bytes(content)
    shown = run(verify, "--since", str(receipt))
    assert (shown.exit_code, "the proof does not lead" in shown.output) == (1, True)


def test_entries_that_wait_for_long_are_counted(
    verify: Flask, database: Database, NOON: datetime
) -> None:
    """No violation, but somebody should look at the worker: until they have their place, nothing
    shows whether they were changed."""
    with database.transaction() as session:
        subject_id = service.open_subject(session, at=NOON).id
        service.record(session, subject_id, "request.fulfilled", FULFILLED, at=NOON)
    shown = run(verify)
    assert shown.exit_code == 0
    assert "1 entry has waited for more than 10 minutes: is the worker running?" in shown.stderr
    assert "waited" not in shown.stdout
