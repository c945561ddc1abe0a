"""The sequencer: positions, checkpoints, and never two of them at once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from structlog.testing import capture_logs

from database import Database
from domain.ledger import batch, lease, log_keys, merkle, publishing, tree
from domain.ledger.append import append
from domain.ledger.errors import Damaged, UnknownCheckpoint
from domain.ledger.log import Log, Witness
from domain.ledger.models import LedgerCosignature, LedgerKey, LedgerLeaf, LedgerPending
from domain.ledger.notes import KeyType, Note, Signed, SignerKey
from domain.ledger.sequencer import Round
from tests.support import NOON
from tests.support.faults import Scene, made, sound

pytestmark = pytest.mark.requirement(49)


@pytest.fixture
def scene(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """An empty log."""
    scene = Scene(database, tmp_path / "signed")
    scene.remember(monkeypatch)
    return scene


def test_what_waits_gets_positions_in_its_order_and_is_published(scene: Scene, log: Log) -> None:
    """One round: dense positions, one state, one checkpoint signed by the first key."""
    scene.append(300)
    assert scene.sequencer().run() == Round(entries=300, published=300)
    sound(scene, log.high_water)
    with scene.database.reading() as session:
        assert log_keys.in_force(session) == [log.signers[0].verifier]
        assert session.scalars(select(LedgerKey.from_size)).all() == [0]
        assert publishing.note(session, 300) == scene.notes()[0]


def test_a_long_queue_is_taken_in_batches(scene: Scene, log: Log) -> None:
    """Each is a transaction of its own, and what they made is published once."""
    scene.append(95)
    assert scene.sequencer(size=10).run() == Round(entries=95, published=95)
    sound(scene, log.high_water)
    assert len(scene.notes()) == 1


def test_a_very_long_queue_is_published_on_the_way(scene: Scene, log: Log) -> None:
    """Who waits for a receipt does not wait for those who came long after."""
    scene.append(45)
    scene.sequencer(size=1).run()
    assert len(scene.notes()) == 3
    sound(scene, log.high_water)


def test_another_sequencers_work_is_noticed(scene: Scene, log: Log) -> None:
    """What one has in memory is compared with the database before it is built on."""
    first, second = scene.sequencer(), scene.sequencer()
    for sequencer in (first, second, second, first, second):
        scene.append(200)
        scene.wait()
        assert sequencer.run().entries == 200
    sound(scene, log.high_water)


def test_the_second_of_two_steps_aside(scene: Scene, log: Log) -> None:
    """While one has the lease, another does nothing; given back, it is free at once."""
    first, second = scene.sequencer(size=10), scene.sequencer()
    asides: list[Round] = []

    def stopping() -> bool:
        asides.append(second.run())
        return False

    scene.append(1)
    assert first.run() == Round(entries=1, published=1)
    scene.append(35)
    assert first.run(stopping).entries == 35
    assert len(asides) > 3
    assert set(asides) == {Round(aside=True)}
    scene.append(1)
    assert second.run() == Round(aside=True)
    first.give_back()
    assert second.run() == Round(entries=1, published=37)
    sound(scene, log.high_water)


def test_with_the_lease_forced_open_one_commits_and_the_other_steps_aside(
    scene: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence alone: both extend the same state, and the database lets one of them."""
    monkeypatch.setattr(lease, "free", lambda *_, **__: True)
    monkeypatch.setattr(lease, "take", lambda *_, **__: True)
    first, second = scene.sequencer(), scene.sequencer()
    scene.append(20)

    def faster(*values: Any) -> batch.Batch:
        monkeypatch.setattr(batch, "extend", extend)
        assert second.run() == Round(entries=20, published=20)
        return extend(*values)

    extend = batch.extend
    monkeypatch.setattr(batch, "extend", faster)
    assert first.run() == Round(aside=True)
    scene.append(5)
    assert first.run() == Round(entries=5, published=25)
    sound(scene, log.high_water)


def test_who_was_overtaken_while_signing_steps_aside(
    scene: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The high-water file does not go back to a smaller checkpoint, though both are true."""
    first, second = scene.sequencer(), scene.sequencer()
    scene.append(20)

    def faster(*values: Any) -> bytes:
        monkeypatch.setattr(publishing, "sign", sign)
        scene.wait()
        scene.append(5)
        assert second.run() == Round(entries=5, published=25)
        return sign(*values)

    sign = publishing.sign
    monkeypatch.setattr(publishing, "sign", faster)
    assert first.run() == Round(entries=20, aside=True)
    scene.wait()
    assert first.run() == Round()
    sound(scene, log.high_water)


def test_two_that_start_at_once_do_the_work_of_one(
    scene: Scene, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads, with the lease forced open: every entry once, whoever took it."""
    monkeypatch.setattr(lease, "free", lambda *_, **__: True)
    monkeypatch.setattr(lease, "take", lambda *_, **__: True)
    scene.append(200)
    barrier, done = threading.Barrier(2), list[int]()

    def work() -> None:
        sequencer, entries = scene.sequencer(size=20), 0
        barrier.wait()
        for _ in range(30):
            entries += sequencer.run().entries
        done.append(entries)

    with ThreadPoolExecutor(2) as pool:
        for running in [pool.submit(work) for _ in range(2)]:
            running.result()
    assert sum(done) == 200
    sound(scene, log.high_water)


@pytest.mark.parametrize("back", [timedelta(seconds=3), timedelta(hours=1)])
def test_a_clock_that_goes_back_keeps_no_lease_alive(scene: Scene, back: timedelta) -> None:
    """A killed process's lease ends after its ten seconds by any clock."""
    scene.append(1)
    scene.sequencer().run()  # and never gives its lease back
    scene.append(1)
    scene.at -= back
    next_one = scene.sequencer()
    if back < lease.LENGTH:
        assert next_one.run() == Round(aside=True)
        scene.at += back + lease.LENGTH
    assert next_one.run().entries == 1


def test_entries_from_before_the_clock_was_set_back_keep_their_place(scene: Scene) -> None:
    """Positions order; times are claims."""
    times = [NOON, NOON - timedelta(days=1), NOON + timedelta(days=1)]
    for at in times:
        with scene.database.transaction() as session:
            append(session, replace(made(), at=at))
        scene.at = at
        scene.sequencer().run()
    with scene.database.reading() as session:
        order = select(LedgerLeaf.entry_id).order_by(LedgerLeaf.position)
        found = [tree.position(session, one) for one in session.scalars(order)]
    assert found == [0, 1, 2]


def test_numbers_that_become_visible_late_are_not_passed_over(scene: Scene) -> None:
    """A smaller number than those that were taken is taken next."""
    scene.append(3)
    scene.sequencer().run()
    late = made()
    with scene.database.transaction() as session:
        append(session, late)
        session.execute(text("DELETE FROM ledger_pending"))
        session.add(LedgerPending(number=-5, entry_id=late.id))
    scene.wait()
    assert scene.sequencer().run().entries == 1


def test_without_a_key_in_force_positions_are_given_and_nothing_is_signed(
    scene: Scene, database: Database, log: Log
) -> None:
    """It says so once, whatever it is asked, and signs when the key is back."""
    scene.append(2)
    scene.sequencer().run()
    scene.wait()
    stranger = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(32))
    database.info["log"] = replace(log, signers=(stranger,))
    scene.append(3)
    sequencer = scene.sequencer()
    with capture_logs() as logged:
        assert sequencer.run() == Round(entries=3, unsigned=True)
        assert sequencer.run() == Round(unsigned=True)
    assert [line["event"] for line in logged] == ["log_not_signed"]
    database.info["log"] = log
    scene.wait()
    assert scene.sequencer().run() == Round(published=5)
    sound(scene, log.high_water)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_leaf WHERE position = 299",
        "UPDATE ledger_leaf SET leaf_hash = (SELECT leaf_hash FROM ledger_leaf WHERE position = 0)"
        " WHERE position = 299",
        "DELETE FROM ledger_tile",
    ],
)
def test_a_tree_that_is_not_what_was_signed_is_not_extended(
    scene: Scene, owner: Database, statement: str
) -> None:
    """The edge is made from what is stored and compared with the recorded root."""
    scene.append(300)
    scene.sequencer().run()
    with owner.transaction() as session:
        unguard(owner, session)
        session.execute(text(statement))
    scene.append(1)
    scene.wait()
    with pytest.raises(Damaged):
        scene.sequencer().run()
    with scene.database.reading() as session:
        assert tree.current(session).size == 300
        assert len(session.scalars(select(LedgerPending.number)).all()) == 1


def unguard(owner: Database, session: Any) -> None:
    """What an owner can do."""
    tables = ("ledger_leaf", "ledger_tile")
    if owner.engine.dialect.name == "postgresql":
        for table in tables:
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        return
    names = session.scalars(
        text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'ledger_%'")
    ).all()
    for name in names:
        session.execute(text(f"DROP TRIGGER {name}"))


def test_an_entry_that_has_a_position_gets_no_second(scene: Scene) -> None:
    """A queue that somebody wrote into by hand stops the sequencer."""
    scene.append(2)
    scene.sequencer().run()
    with scene.database.transaction() as session:
        session.add(LedgerPending(entry_id=scene.ids[0]))
    scene.wait()
    with pytest.raises(Damaged):
        scene.sequencer().run()


WITNESS = SignerKey("witness.test", KeyType.WITNESS, bytes(32))


def test_cosignatures_are_published_with_the_checkpoint(
    scene: Scene, database: Database, log: Log
) -> None:
    """Witnesses are told what they saw last and can have the proof from there."""
    database.info["log"] = replace(log, witnesses=(Witness("http://w.test", WITNESS.verifier),))
    asked: list[tuple[int, dict[Any, int]]] = []

    def ask(
        witnesses: Any, note: bytes, size: int, proof_for: Any, last_seen: Any, timeout: float = 1
    ) -> list[Signed]:
        asked.append((size, dict(last_seen)))
        if last_seen:
            assert len(proof_for(last_seen[WITNESS.verifier])) > 0
        line = WITNESS.sign(Note.parse(note).text, seen=int(NOON.timestamp()))
        return [Signed(WITNESS.verifier, int(NOON.timestamp()), line)]

    scene.ask = ask
    for _ in range(2):
        scene.append(3)
        scene.wait()
        scene.sequencer().run()
    assert asked == [(3, {}), (6, {WITNESS.verifier: 3})]
    with database.reading() as session:
        found = log_keys.trusted(session, publishing.note(session, 6))
        assert [one.seen for one in found.witnesses] == [int(NOON.timestamp())]
        assert session.scalars(select(LedgerCosignature.seen_at)).all() == [NOON, NOON]
        with pytest.raises(UnknownCheckpoint):
            publishing.note(session, 5)


def test_writers_and_readers_go_on_while_the_log_is_sequenced(scene: Scene, log: Log) -> None:
    """Sixteen who append, four who check every proof that they get."""
    written, stop = threading.Event(), threading.Event()

    def write(_: int) -> list[str]:
        ids = []
        for _ in range(12):
            entry = made()
            with scene.database.transaction() as session:
                append(session, entry)
            ids.append(entry.id)
        return ids

    def sequence() -> None:
        sequencer = scene.sequencer()
        while not written.is_set():
            sequencer.run()
        sequencer.run()

    def read(_: int) -> int:
        seen, proofs = None, 0
        while not stop.is_set():
            seen, count = checked(scene.database, seen)
            proofs += count
        return proofs

    with ThreadPoolExecutor(21) as pool:
        readers = [pool.submit(read, number) for number in range(4)]
        sequencing = pool.submit(sequence)
        try:
            for ids in pool.map(write, range(16)):
                scene.ids += ids
        finally:
            written.set()
            sequencing.result()
            stop.set()
        assert all(one.result() > 0 for one in readers)
    with scene.database.reading() as session:
        order = select(LedgerLeaf.entry_id).order_by(LedgerLeaf.position)
        placed = list(session.scalars(order))
    assert sorted(placed) == sorted(scene.ids)
    scene.ids = placed
    sound(scene, log.high_water)


def checked(
    database: Database, before: tuple[int, bytes] | None
) -> tuple[tuple[int, bytes] | None, int]:
    """Check the newest checkpoint, a leaf of it, and that it goes on from the one before; return
    it and how many proofs were checked."""
    with database.reading() as session:
        row = tree.published(session)
        if row is None:
            return before, 0
        now = log_keys.trusted(session, row.note).checkpoint
        index = random.randrange(now.size)
        leaf = session.scalar(select(LedgerLeaf.leaf_hash).where(LedgerLeaf.position == index))
        assert leaf is not None
        proof = tree.inclusion(session, index, now.size)
        merkle.verify_inclusion(leaf, index, now.size, proof, now.root)
        if before is None:
            return (now.size, now.root), 1
        old, root = before
        proof = tree.consistency(session, old, now.size)
        merkle.verify_consistency(old, root, now.size, now.root, proof)
        return (now.size, now.root), 2
