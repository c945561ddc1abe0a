"""`LOG_KEYS=none`: a process that serves and does not sign, so that nobody who reads its
environment can sign a fork."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask

from commands import (  # noqa: F401 - they add to ledger.group
    ledger,
    log_keys,
    recovery,
    sequencing,
    serve,
    starting,
    worker,
)
from database import Database
from domain.ledger import files
from domain.ledger import log_keys as rules
from domain.ledger.append import append_anonymous
from domain.ledger.errors import NoSigner
from domain.ledger.log import Log
from domain.ledger.sequencer import Sequencer
from settings import Settings
from tests.support import NOON, logs

EXPIRED = {"purpose": "marketing", "purpose_version": 1}


@pytest.fixture
def unsigning(settings: Settings, database: Database, log: Log) -> Flask:
    """A process without the log's keys, on a log that has entries."""
    with database.transaction() as session:
        logs.fill(session, 3)
    none = replace(log, signers=())
    database.info["log"] = none
    app = Flask("bare")
    app.extensions["settings"] = replace(settings, log=none)
    app.extensions["database"] = database
    app.extensions["sequencer"] = Sequencer(database, lambda: NOON)
    app.cli.add_command(ledger.group)
    app.cli.add_command(worker.worker)
    app.cli.add_command(serve.serve)
    return app


def test_the_site_is_served_without_the_log_s_keys(unsigning: Flask, database: Database) -> None:
    """What it serves was signed elsewhere; what it finds wrong still keeps it from starting."""
    with database.reading() as session:
        starting.check_log(session)
        assert rules.origin(session) == "samtykke.test/consent"
        assert rules.signers(session, 3) == []


@pytest.mark.parametrize(
    "command",
    [
        ["worker"],
        ["serve"],
        ["ledger", "sequence"],
        ["ledger", "rotate-key"],
        ["ledger", "retire-key", "00000000"],
        ["ledger", "recover", "--yes"],
    ],
    ids=" ".join,
)
def test_what_signs_refuses(unsigning: Flask, command: list[str]) -> None:
    """In words, before anything is done."""
    refused = unsigning.test_cli_runner().invoke(args=command)
    assert refused.exit_code == 1
    assert "LOG_KEYS is none" in refused.output


def test_keys_are_listed_all_the_same(unsigning: Flask) -> None:
    """They are public."""
    shown = unsigning.test_cli_runner().invoke(args=["ledger", "keys"])
    assert (shown.exit_code, "in force" in shown.output) == (0, True)


def test_an_empty_log_is_not_begun_without_a_key(
    database: Database, log: Log, NOON: datetime
) -> None:
    """The sequencer changes nothing, and there is no name yet to tell."""
    database.info["log"] = replace(log, signers=())
    with database.transaction() as session:
        append_anonymous(session, "consent.expired", EXPIRED, at=NOON)
    with pytest.raises(NoSigner):
        Sequencer(database, lambda: NOON).run_once()
    with database.reading() as session:
        starting.check_log(session)
        assert rules.known(session) == []
        with pytest.raises(NoSigner):
            rules.origin(session)


def test_a_full_disk_is_said_in_words(
    unsigning: Flask, database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sequenced is published by the next run that can write the file."""
    database.info["log"] = log
    with database.transaction() as session:
        append_anonymous(session, "consent.expired", EXPIRED, at=NOON)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "high-water.draft")

    with monkeypatch.context() as patched:
        patched.setattr(files, "write_draft", full)
        refused = unsigning.test_cli_runner().invoke(args=["ledger", "sequence"])
    assert refused.exit_code == 1
    assert "Error: high-water.draft: No space left on device." in refused.output
    assert isinstance(refused.exception, SystemExit)
    done = unsigning.test_cli_runner().invoke(args=["ledger", "sequence"])
    assert "checkpoint 4 signed and published" in done.output
