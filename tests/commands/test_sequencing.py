"""`flask ledger sequence`, as an operator sees it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import Result
from flask import Flask

from commands import ledger, sequencing
from database import Database
from domain.ledger.log import Log
from domain.ledger.notes import KeyType, SignerKey
from tests.support.faults import Scene

assert sequencing  # it adds its command to the group


@pytest.fixture
def scene(database: Database, log: Log) -> Scene:
    """An empty log."""
    return Scene(database, log.high_water.with_name("signed"))


@pytest.fixture
def bare(scene: Scene) -> Flask:
    """Only what the command needs of the site."""
    app = Flask("bare")
    app.extensions["sequencer"] = scene.sequencer()
    app.cli.add_command(ledger.group)
    return app


def run(app: Flask) -> Result:
    return app.test_cli_runner().invoke(args=["ledger", "sequence"])


def test_it_says_what_it_did(bare: Flask, scene: Scene) -> None:
    """How many entries, which checkpoint; then that nothing was left; no lease stays."""
    scene.append(12)
    assert run(bare).output == "12 entries sequenced; checkpoint 12 signed and published\n"
    scene.append(1)
    assert run(bare).output == "1 entry sequenced; checkpoint 13 signed and published\n"
    assert run(bare).output == "0 entries sequenced; nothing was left to publish\n"
    assert not scene.sequencer().run().aside


def test_it_steps_aside_for_the_worker(bare: Flask, scene: Scene) -> None:
    """Exit 0: the work is being done."""
    scene.append(1)
    scene.sequencer().run()
    scene.append(1)
    result = run(bare)
    assert result.exit_code == 0
    assert result.output == (
        "0 entries sequenced; another process is sequencing, and goes on with the rest\n"
    )


def test_without_a_key_in_force_it_says_what_to_do(
    bare: Flask, scene: Scene, database: Database, log: Log
) -> None:
    """The entries have their positions; exit 1."""
    scene.append(1)
    assert run(bare).exit_code == 0
    stranger = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(32))
    database.info["log"] = replace(log, signers=(stranger,))
    scene.append(2)
    result = run(bare)
    assert result.exit_code == 1
    assert (
        "Error: 2 entries sequenced; nothing was signed: none of the configured log keys"
        in result.output
    )


def test_an_older_database_is_not_gone_on_from(bare: Flask, scene: Scene, log: Log) -> None:
    """Exit 1, with what was found."""
    scene.append(1)
    run(bare)
    log.high_water.write_bytes(b"x")
    scene.append(1)
    result = run(bare)
    assert result.exit_code == 1
    assert "holds no checkpoint" in result.output
