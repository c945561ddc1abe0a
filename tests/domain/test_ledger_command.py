"""`flask ledger verify` and `flask keys rewrap`, as an operator sees them."""

from __future__ import annotations

from datetime import datetime

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from commands import keys, ledger
from database import Database
from domain.subjects import service

FULFILLED = {"kind": "access", "reference": "K7Q-2MX9"}


@pytest.fixture
def bare(database: Database) -> Flask:
    """Only what a command needs of the site."""
    app = Flask("bare")
    app.extensions["database"] = database
    app.cli.add_command(ledger.group)
    app.cli.add_command(keys.group)
    return app


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=arguments)


def test_verify_counts_what_it_checked(bare: Flask, database: Database, NOON: datetime) -> None:
    """A sound ledger: exit 0, and numbers that an operator can compare with yesterday's."""
    with database.transaction() as session:
        subject_id = service.open_subject(session, at=NOON).id
        service.record(session, subject_id, "request.fulfilled", FULFILLED, at=NOON)
    result = run(bare, "ledger", "verify")
    assert (result.exit_code, result.output) == (
        0,
        f"{len(ledger.CHECKS)} invariants hold: 1 entries, 1 pending, 1 links.\n",
    )


def test_verify_names_the_first_violation(bare: Flask, database: Database, NOON: datetime) -> None:
    """Number, sentence and entry; exit 1, so that a timer can raise the alarm."""
    with database.transaction() as session:
        subject_id = service.open_subject(session, at=NOON).id
        entry_id = service.record(session, subject_id, "request.fulfilled", FULFILLED, at=NOON)
        session.execute(text("DELETE FROM ledger_pending"))
    result = run(bare, "ledger", "verify")
    assert result.exit_code == 1
    assert result.output == (
        "Error: invariant 2 does not hold (every entry is pending exactly once): "
        f"entry {entry_id} is not pending\n"
    )


def test_no_two_invariants_share_a_number() -> None:
    """A number says which one it was."""
    numbers = [check.number for check in ledger.CHECKS]
    assert len(set(numbers)) == len(numbers)


def test_rewrap_says_how_many(bare: Flask, database: Database, NOON: datetime) -> None:
    """Nothing to do where all keys are under the newest epoch."""
    with database.transaction() as session:
        service.open_subject(session, at=NOON)
    result = run(bare, "keys", "rewrap")
    assert (result.exit_code, result.output) == (0, "0 keys were sealed again.\n")
