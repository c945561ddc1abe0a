"""The high-water file: what was signed stays known, whatever becomes of the database."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from database import Database
from domain.ledger import files, high_water, publishing, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    Damaged,
    HighWaterError,
    NoHighWater,
    Rewound,
    UnreadableHighWater,
)
from domain.ledger.log import Log
from tests.support.faults import Scene, sound

pytestmark = pytest.mark.requirement(49)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """A log with ten entries, published."""
    scene = Scene(database, tmp_path / "signed")
    scene.append(10)
    scene.sequencer().run()
    return scene


def signed(log: Log, size: int, root: bytes, origin: str | None = None) -> bytes:
    """A checkpoint with a good signature."""
    return Checkpoint(origin or log.signers[0].name, size, root).signed(log.signers)


def test_the_newest_checkpoint_stands_in_it_for_the_owner_only(scene: Scene, log: Log) -> None:
    """The note as it is published; mode 600; no draft beside it."""
    with scene.database.reading() as session:
        assert high_water.read(log.high_water) == publishing.note(session, 10)
    assert stat.S_IMODE(log.high_water.stat().st_mode) == 0o600
    names = {path.name for path in log.high_water.parent.iterdir()}
    assert names == {"high-water", "high-water.lock"}


def test_before_the_first_there_is_none(database: Database, log: Log) -> None:
    """A new log has no file, and needs none."""
    assert high_water.read(log.high_water) is None
    with database.reading() as session:
        high_water.check(session)


def test_its_folder_is_made(scene: Scene, database: Database, log: Log) -> None:
    """It may be set to a place of its own."""
    elsewhere = replace(log, high_water=log.high_water.parent / "kept" / "high-water")
    database.info["log"] = elsewhere
    with database.reading() as session:
        assert high_water.advance(session, publishing.note(session, 10))
    assert elsewhere.high_water.exists()


def test_a_draft_that_was_left_lying_is_harmless(scene: Scene, log: Log) -> None:
    """A killed process leaves one; nobody reads it, and the next replaces it."""
    draft = log.high_water.with_name("high-water.draft")
    draft.write_bytes(b"half a no")
    draft.chmod(0o644)
    scene.append(1)
    scene.wait()
    scene.sequencer().run()
    assert not draft.exists()
    assert stat.S_IMODE(log.high_water.stat().st_mode) == 0o600
    sound(scene, log.high_water)


def test_it_does_not_go_back(scene: Scene, database: Database, log: Log) -> None:
    """A smaller checkpoint of the same log is true, and stays out of the file."""
    with database.reading() as session:
        smaller = signed(log, 4, tree.root_at(session, 4))
        before = log.high_water.read_bytes()
        assert not high_water.advance(session, smaller)
    assert log.high_water.read_bytes() == before


def test_it_takes_no_checkpoint_that_contradicts_it(
    scene: Scene, database: Database, log: Log
) -> None:
    """Another root for the same size, and a larger tree that does not begin with it."""
    with database.reading() as session:
        current = tree.current(session)
    other = signed(log, 10, bytes(32))
    log.high_water.write_bytes(other)
    with database.reading() as session, pytest.raises(Rewound, match="are others"):
        high_water.advance(session, signed(log, 10, current.root))
    assert log.high_water.read_bytes() == other


def ahead(log: Log) -> bytes:
    """What an older copy of the database does not know."""
    return signed(log, 15, bytes(32))


def fork(log: Log) -> bytes:
    """What another copy went on to."""
    return signed(log, 10, bytes(32))


@pytest.mark.parametrize(
    ("found", "error", "says"),
    [
        (ahead, Rewound, "a checkpoint of 15 entries, and the database has 10 entries in the log"),
        (fork, Rewound, "the first 10 entries in the database are others"),
        (lambda _: b"no note\n", UnreadableHighWater, "holds no checkpoint"),
        (lambda _: b"", UnreadableHighWater, "holds no checkpoint"),
        (lambda _: None, NoHighWater, "a checkpoint of 10 entries was published"),
    ],
)
def test_what_contradicts_the_database_stops_the_log(
    scene: Scene,
    database: Database,
    log: Log,
    found: Callable[[Log], bytes | None],
    error: type[HighWaterError],
    says: str,
) -> None:
    """Nothing is extended and nothing is signed; the message says what was found and what to
    do. A sequencer that has the edge in memory stops before it signs."""
    content = found(log)
    log.high_water.write_bytes(content) if content is not None else log.high_water.unlink()
    scene.append(2)
    scene.wait()
    with pytest.raises(error, match=says) as raised:
        scene.sequencer().run()
    assert "flask ledger" in str(raised.value)
    with database.reading() as session:
        assert tree.current(session).size == 10
        newest = tree.published(session)
        assert newest is not None
        assert newest.size == 10
    assert high_water.read(log.high_water) == content


def test_a_file_that_changes_under_a_running_sequencer_stops_the_signing(
    scene: Scene, database: Database, log: Log
) -> None:
    """Each checkpoint is compared before it is signed, not only the first."""
    scene.wait()
    sequencer = scene.sequencer()
    scene.append(1)
    sequencer.run()
    log.high_water.write_bytes(fork(log))
    scene.append(1)
    with pytest.raises(Rewound):
        sequencer.run()
    with database.reading() as session:
        newest = tree.published(session)
        assert newest is not None
        assert newest.size == 11


def test_a_published_checkpoint_that_is_not_of_the_tree_is_damage(
    scene: Scene, database: Database, log: Log
) -> None:
    """It stands in the same database: no older copy explains it."""
    scene.append(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(publishing, "publish", lambda *_, **__: None)
        scene.wait()
        scene.sequencer().run(stopping=iter([False, True, True, True]).__next__)
    with database.transaction() as session:
        publishing.publish(session, 11, signed(log, 11, bytes(32)), (), at=scene.at)
    with database.reading() as session, pytest.raises(Damaged):
        high_water.check(session)


def test_of_two_that_advance_at_once_the_larger_stays(
    scene: Scene, database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compare, write and rename are one: the lock holds whatever became of the lease."""
    scene.append(10)
    scene.wait()
    scene.sequencer().run()
    log.high_water.unlink()
    with database.reading() as session:
        notes = [signed(log, size, tree.root_at(session, size)) for size in range(1, 21)]
    barrier = threading.Barrier(4)

    def advance(some: list[bytes]) -> None:
        barrier.wait()
        for note in some:
            with database.reading() as session:
                high_water.advance(session, note)

    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(advance, notes[number::4]) for number in range(4)]:
            one.result()
    assert high_water.read(log.high_water) == notes[-1]


def test_the_name_is_durable_before_anything_is_published(
    scene: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut after the publication must not bring the old file back."""
    steps: list[str] = []
    for module, name in (
        (files, "write_draft"),
        (files, "sync"),
        (files, "rename"),
        (files, "sync_directory"),
        (publishing, "publish"),
    ):
        monkeypatch.setattr(module, name, noting(steps, name, getattr(module, name)))
    scene.append(1)
    scene.wait()
    scene.sequencer().run()
    assert steps == ["write_draft", "sync", "rename", "sync_directory", "sync", "publish"]


def noting(steps: list[str], name: str, real: Callable[..., object]) -> Callable[..., object]:
    def call(*values: object, **named: object) -> object:
        steps.append(name)
        return real(*values, **named)

    return call
