"""Whatever fails, at whichever line: nothing is lost, nothing is there twice, nothing forks, and
the next start goes on by itself.

Every step of a round goes wrong in turn in one log, which so has more behind it each time.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from database import Database
from domain.ledger.append import append
from domain.ledger.log import Log, Witness
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.notes import KeyType, SignerKey
from tests.support.databases import Urls
from tests.support.faults import (
    STEPS,
    Broken,
    Scene,
    die,
    fails,
    inject,
    killed,
    made,
    persists,
    sound,
)

pytestmark = pytest.mark.requirement(13, 49)

SINCE = 7
# Where a tile that becomes full is part of what goes wrong.
FILLS_A_TILE = dict.fromkeys(("extend the edge", "store the tiles", "commit the batch"), 256)
# What witnesses do wrong keeps nobody from publishing.
HARMLESS = ("ask the witnesses",)


@pytest.fixture
def log(log: Log) -> Log:
    """With a witness, so that asking is a step."""
    witness = SignerKey("witness.test", KeyType.WITNESS, bytes(32)).verifier
    return replace(log, witnesses=(Witness("http://127.0.0.1:9", witness),))


@pytest.fixture
def scene(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A log with some entries."""
    scene = Scene(database, tmp_path / "signed")
    scene.remember(monkeypatch)
    scene.append(10)
    scene.sequencer().run()
    return scene


@pytest.mark.parametrize("since", [0, SINCE], ids=["same", "more"])
@pytest.mark.parametrize("how", [fails, persists])
def test_a_step_that_fails_is_done_again(
    scene: Scene, log: Log, how: Callable[..., Any], since: int
) -> None:
    """By the same process at its next turn, whether or not what failed had been stored."""
    sequencer = scene.sequencer()
    for step in STEPS:
        scene.wait()  # so that the lease is a step too
        scene.append(FILLS_A_TILE.get(step, 5))
        expected = nullcontext() if step in HARMLESS else pytest.raises(Broken)
        with pytest.MonkeyPatch.context() as patch, expected:
            inject(patch, scene.database, step, how)
            sequencer.run()
        scene.append(since) if since else None
        assert not sequencer.run().aside, step
    sound(scene, log.high_water)


@pytest.mark.parametrize("since", [0, SINCE], ids=["same", "more"])
def test_a_process_that_is_killed_leaves_nothing_that_the_next_does_not_do(
    scene: Scene, log: Log, urls: Urls, info: dict[str, object], since: int
) -> None:
    """SIGKILL at each step. Who comes next waits for the lease and for nothing else."""
    for step in STEPS:
        scene.wait()
        scene.append(FILLS_A_TILE.get(step, 5))
        scene.database.close()

        def work(step: str = step) -> None:
            child = replace(scene, database=Database(urls.application, info=info))
            inject(pytest.MonkeyPatch(), child.database, step, killed)
            child.sequencer().run()

        die(work)
        scene.append(since) if since else None
        scene.wait()
        assert not scene.sequencer().run().aside, step
    sound(scene, log.high_water)


STATEMENTS = ("INSERT INTO ledger_entry", "INSERT INTO ledger_pending", "COMMIT")


def break_append(
    patch: pytest.MonkeyPatch, database: Database, statement: str, how: Callable[..., Any]
) -> None:
    """Let one statement of an append, or its commit, go wrong."""
    dialect = database.engine.dialect
    if statement == "COMMIT":
        patch.setattr(dialect, "do_commit", how(dialect.do_commit))
        return
    real = dialect.do_execute

    def execute(cursor: Any, found: str, *values: Any) -> None:
        (how(real) if found.startswith(statement) else real)(cursor, found, *values)

    patch.setattr(dialect, "do_execute", execute)


@pytest.mark.parametrize("since", [0, SINCE], ids=["same", "more"])
@pytest.mark.parametrize("how", [fails, persists, killed])
def test_an_append_that_fails_can_be_tried_again(
    scene: Scene, log: Log, urls: Urls, info: dict[str, object], how: Callable[..., Any], since: int
) -> None:
    """An entry is there whole or not at all; tried again with its id, it is there once."""
    for statement in STATEMENTS:
        entry = made()

        def work(database: Database, statement: str = statement, entry: Any = entry) -> None:
            with pytest.MonkeyPatch.context() as patch, suppress(Broken):
                break_append(patch, database, statement, how)
                with database.transaction() as session:
                    append(session, entry)

        if how is killed:
            scene.database.close()
            die(lambda work=work: work(Database(urls.application, info=info)))  # type: ignore[misc]
        else:
            work(scene.database)
        with scene.database.reading() as session:
            stored = session.scalar(select(LedgerEntry.id).where(LedgerEntry.id == entry.id))
            queued = session.scalar(
                select(LedgerPending.entry_id).where(LedgerPending.entry_id == entry.id)
            )
        assert stored == queued, statement
        assert (stored is not None) == (how is persists and statement == "COMMIT")
        waiting = stored is not None
        if waiting:
            scene.ids.append(entry.id)
        scene.append(since) if since else None
        with suppress(IntegrityError), scene.database.transaction() as session:
            append(session, entry)
        if not waiting:
            scene.ids.append(entry.id)
    scene.wait()
    scene.sequencer().run()
    sound(scene, log.high_water)
