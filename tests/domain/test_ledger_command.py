"""`flask ledger verify` and `flask ledger export`, as an operator sees them."""

from __future__ import annotations

from base64 import b64encode
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask
from sqlalchemy import text

from commands import checking, export, ledger
from database import Database
from domain.ledger import publishing, tree
from domain.ledger.edge import Edge
from domain.ledger.proofs import Proof
from domain.subjects import service
from tests.attack.ledgers import unguarded
from tests.support import logs

FULFILLED = {"kind": "access", "reference": "K7Q-2MX9"}


@pytest.fixture
def bare(database: Database) -> Flask:
    """Only what a command needs of the site."""
    app = Flask("bare")
    app.extensions["database"] = database
    assert export.export.name in ledger.group.commands
    app.cli.add_command(ledger.group)
    return app


def run(app: Flask, *arguments: str) -> Result:
    return app.test_cli_runner().invoke(args=arguments)


def test_verify_counts_what_it_checked(bare: Flask, database: Database, NOON: datetime) -> None:
    """A sound ledger: exit 0, and numbers that an operator can compare with yesterday's."""
    with database.transaction() as session:
        subject_id = service.open_subject(session, at=NOON).id
        service.record(session, subject_id, "request.fulfilled", FULFILLED, at=NOON)
    result = run(bare, "ledger", "verify")
    assert (result.exit_code, result.stdout) == (
        0,
        f"{len(ledger.numbers())} invariants hold: 1 entries, 0 of them in the log, 1 pending,"
        " 1 links.\n",
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
        "Error: invariant 2 does not hold (every entry is pending or has a position, once): "
        f"entry {entry_id} is not pending and has no position\n"
    )


def test_every_invariant_is_checked() -> None:
    """1 to 17, as docs/operations.md lists them, and one number says one thing."""
    assert ledger.numbers() == list(range(1, 18))
    said = {(one.number, one.sentence) for check in ledger.CHECKS for one in check.invariants}
    assert len(said) == 17


def test_verify_tells_how_far_it_has_come(bare: Flask, database: Database) -> None:
    """On standard error, at every tenth where that is no terminal: a timer's mail stays short."""
    with database.transaction() as session:
        logs.fill(session, 600)
    result = run(bare, "ledger", "verify")
    assert result.exit_code == 0
    lines = result.stderr.splitlines()
    assert len(lines) <= 10
    assert "601 of 601 rows checked" in lines[-1]
    assert "600 entries, 600 of them in the log, 0 pending" in result.stdout


@pytest.mark.parametrize("count", [1, 2])
def test_several_processes_find_what_one_finds(
    bare: Flask, database: Database, owner: Database, count: int
) -> None:
    """The first violation in the order of the log, whoever comes to a later one before."""
    with database.transaction() as session:
        logs.fill(session, 8192, 8500)
    assert run(bare, "ledger", "verify", "--processes", f"{count}").exit_code == 0
    with unguarded(owner) as session:
        for position in (50, 8400):
            session.execute(
                text("UPDATE ledger_leaf SET leaf_hash = :h WHERE position = :p"),
                {"h": bytes(32), "p": position},
            )
    result = run(bare, "ledger", "verify", "--processes", f"{count}")
    assert result.exit_code == 1
    assert "at position 50: a byte was changed" in result.stderr


def test_what_is_appended_meanwhile_is_no_violation(database: Database) -> None:
    """The parts are cut when the check begins; the site goes on writing."""
    with database.transaction() as session:
        logs.fill(session, 300)
    plan = checking.Plan.of(database, *ledger.STAGES)
    with database.transaction() as session:
        edge = Edge.load(tree.nodes(session), partial(tree.tile, session), 300)
        logs.extend(session, edge, logs.made(300))
        logs.publish(session, 600)
    rows: list[int] = []
    assert checking.first_violation(database, plan, rows.append) is None
    assert sum(rows) == plan.rows == 301


def test_since_says_with_what_the_log_is_consistent(
    bare: Flask, database: Database, tmp_path: Path
) -> None:
    """A checkpoint, a proof file, and what a mail says: the log begins with each."""
    with database.transaction() as session:
        logs.fill(session, 300, 600)
        note, root = publishing.note(session, 300), tree.root_at(session, 300)
        proof = Proof(5, tuple(tree.inclusion(session, 5, 300)), note).encode()
    for name, content in (("checkpoint", note), ("entry.tlog-proof", proof)):
        (tmp_path / name).write_bytes(content)
        result = run(bare, "ledger", "verify", "--since", str(tmp_path / name))
        assert result.exit_code == 0
        assert "consistent with checkpoint 300, signed by samtykke.test/consent" in result.stdout
    result = run(bare, "ledger", "verify", "--since", f"300 {b64encode(root).decode()}")
    assert result.stdout.startswith("consistent with checkpoint 300\n")


@pytest.mark.parametrize(
    ("since", "says"),
    [
        ("601 " + b64encode(bytes(32)).decode(), "the log has 600 entries, and checkpoint 601"),
        ("300 " + b64encode(bytes(32)).decode(), "another root than checkpoint 300"),
        ("0 " + b64encode(bytes(32)).decode(), "another root than an empty log"),
        ("300 x", "neither a checkpoint nor a receipt"),
        ("no/such/file", "neither a checkpoint nor a receipt"),
        ("{}", "not the five fields of a receipt"),
    ],
)
def test_since_says_what_is_wrong(bare: Flask, database: Database, since: str, says: str) -> None:
    """And exits with 1, before anything else is checked."""
    with database.transaction() as session:
        logs.fill(session, 300, 600)
    result = run(bare, "ledger", "verify", "--since", since)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "invariants hold" not in result.stdout


def test_export_writes_the_log_with_a_bar(bare: Flask, database: Database, tmp_path: Path) -> None:
    """And says how much it wrote."""
    assert run(bare, "ledger", "export", str(tmp_path / "log")).exit_code == 1
    with database.transaction() as session:
        logs.fill(session, 600)
    result = run(bare, "ledger", "export", str(tmp_path / "log"))
    assert (result.exit_code, result.stdout) == (
        0,
        "600 entries in 4 files, and the checkpoint.\n",
    )
    assert "4 of 4 files written" in result.stderr
    assert (tmp_path / "log" / "tile" / "0" / "001").exists()
