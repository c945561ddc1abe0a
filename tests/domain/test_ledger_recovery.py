"""When an older database was restored: going on in the open, and never by mistake."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from database import Database
from domain.ledger import entry, files, high_water, log_keys, recovery, tree
from domain.ledger.append import append_anonymous
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    KeyRefused,
    NoHighWater,
    NotConsistent,
    NothingToAdopt,
    NothingToRecover,
    Rewound,
    UnreadableHighWater,
    UntrustedCheckpoint,
)
from domain.ledger.log import Log
from domain.ledger.models import LedgerEntry, LedgerLeaf, LedgerPending
from domain.ledger.notes import KeyType, Note, SignerKey
from domain.ledger.sequencer import Sequencer
from domain.ledger.tree import State

EXPIRED = {"purpose": "marketing", "purpose_version": 1}
FIRST = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
NEXT = SignerKey("samtykke.test/consent/2", KeyType.LOG, bytes(range(96, 128)))
AHEAD = Checkpoint(FIRST.name, 9, bytes(range(32)))
BESIDE = Checkpoint(FIRST.name, 2, bytes(range(32)))
LOSSES = pytest.mark.parametrize("lost", [AHEAD, BESIDE], ids=["ahead", "beside"])
Go = Callable[..., State]


@pytest.fixture
def log(instance: Path) -> Log:
    """A log whose processes have the next key already."""
    return Log(signers=(FIRST, NEXT), high_water=instance / "high-water")


def append(database: Database, count: int, at: datetime) -> None:
    with database.transaction() as session:
        for _ in range(count):
            append_anonymous(session, "consent.expired", EXPIRED, at=at)


def sequence(database: Database, at: datetime) -> bytes:
    """Sequence and publish; the newest note."""
    sequencer = Sequencer(database, lambda: at)
    try:
        sequencer.run_once()
    finally:
        sequencer.give_back()
    with database.reading() as session:
        newest = tree.published(session)
        assert newest is not None
        return newest.note


@pytest.fixture
def old(database: Database, NOON: datetime) -> bytes:
    """The last checkpoint of a database with five entries, published; another one waits."""
    append(database, 5, NOON)
    note = sequence(database, NOON)
    append(database, 1, NOON)
    return note


@pytest.fixture
def recover(database: Database, NOON: datetime) -> Go:
    """Recovers from the loss of a checkpoint, up to the end or to just before the file."""

    def recover(*, file: bool = True) -> State:
        with database.reading() as session:
            loss = recovery.find(session)
        with database.transaction() as session:
            state = recovery.go_on(session, loss, NEXT.verifier, at=NOON)
        if file:
            with database.reading() as session:
                recovery.begin_file(session, loss, (FIRST, NEXT))
        return state

    return recover


@LOSSES
def test_the_first_thing_the_new_name_says_is_what_was_lost(
    database: Database, old: bytes, recover: Go, log: Log, lost: Checkpoint, NOON: datetime
) -> None:
    """At the first position that is free, before what waited; the log then goes on by itself."""
    log.high_water.write_bytes(lost.signed([FIRST]))
    with pytest.raises(Rewound):
        sequence(database, NOON)
    assert recover().size == 6
    with database.reading() as session:
        content = session.scalar(
            select(LedgerEntry.bytes)
            .join(LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id)
            .where(LedgerLeaf.position == 5)
        )
        assert len(session.scalars(select(LedgerPending.number)).all()) == 1
    assert content is not None
    said = entry.decode(content)
    assert said.type == "log.recovered"
    assert said.data == {
        "origin": FIRST.name,
        "size": lost.size,
        "root": base64.b64encode(lost.root).decode(),
        "restored_size": 5,
        "key": str(NEXT.verifier),
    }
    note = sequence(database, NOON)
    with database.reading() as session:
        found = log_keys.trusted(session, note)
        assert (found.checkpoint.origin, found.checkpoint.size) == (NEXT.name, 7)
        assert [signed.key for signed in found.by] == [NEXT.verifier]
        high_water.check(session)


def test_what_was_published_before_goes_on_verifying(
    database: Database, old: bytes, recover: Go, log: Log
) -> None:
    """Old receipts prove what they proved; what was lost, and all that could be made up beside
    it with the old key, proves nothing any more."""
    lost = AHEAD.signed([FIRST])
    log.high_water.write_bytes(lost)
    recover()
    with database.reading() as session:
        assert log_keys.trusted(session, old).checkpoint.size == 5
        made_up = Checkpoint(FIRST.name, 6, tree.root_at(session, 6)).signed([FIRST])
        for note in (lost, made_up):
            with pytest.raises(UntrustedCheckpoint):
                log_keys.trusted(session, note)


def test_the_lost_checkpoint_is_kept(database: Database, old: bytes, recover: Go, log: Log) -> None:
    """Beside the file, which begins anew with a checkpoint of the new name."""
    lost = AHEAD.signed([FIRST])
    log.high_water.write_bytes(lost)
    recover()
    assert log.high_water.with_name("high-water.lost-9").read_bytes() == lost
    new = Checkpoint.parse(Note.parse(log.high_water.read_bytes()).text)
    assert (new.origin, new.size) == (NEXT.name, 6)


def test_killed_before_the_file_it_goes_on_from_there(
    database: Database, old: bytes, recover: Go, log: Log, NOON: datetime
) -> None:
    """The site still refuses to start; doing it again replaces the file and nothing else."""
    log.high_water.write_bytes(AHEAD.signed([FIRST]))
    recover(file=False)
    with pytest.raises(Rewound):
        sequence(database, NOON)
    with database.reading() as session:
        loss = recovery.find(session)
        assert loss.begun
        recovery.begin_file(session, loss, (FIRST, NEXT))
        assert tree.current(session).size == 6
    assert b"\n7\n" in sequence(database, NOON)


@pytest.mark.parametrize("line", ["link", "replace"])
def test_killed_while_the_file_is_replaced_it_is_replaced_again(
    database: Database,
    old: bytes,
    recover: Go,
    log: Log,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is a file at every moment, the old one or the new one."""

    def killed(path: Path, content: bytes) -> None:
        raise KeyboardInterrupt

    lost = AHEAD.signed([FIRST])
    log.high_water.write_bytes(lost)
    if line == "link":
        monkeypatch.setattr(os, "link", killed)
    else:
        monkeypatch.setattr(files, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        recover()
    monkeypatch.undo()
    assert log.high_water.read_bytes() == lost
    with database.reading() as session:
        loss = recovery.find(session)
        assert loss.begun
        kept = recovery.begin_file(session, loss, (FIRST, NEXT))
        high_water.check(session)
    assert kept.read_bytes() == lost
    found = {path.name for path in log.high_water.parent.glob("high-water.lost*")}
    assert found == {"high-water.lost-9"}


def test_where_nothing_was_lost_nothing_is_recovered(
    database: Database, old: bytes, log: Log
) -> None:
    """By mistake it does nothing: not on a sound log, and not where the file is missing."""
    with database.reading() as session:
        with pytest.raises(NothingToRecover):
            recovery.find(session)
        log.high_water.unlink()
        with pytest.raises(NoHighWater):
            recovery.find(session)


def test_a_checkpoint_that_the_log_never_signed_is_no_loss(
    database: Database, old: bytes, log: Log
) -> None:
    """Whoever can write the file cannot make the log change its name."""
    stranger = replace(FIRST, seed=bytes(32))
    log.high_water.write_bytes(AHEAD.signed([stranger]))
    with database.reading() as session, pytest.raises(UntrustedCheckpoint):
        recovery.find(session)


def test_an_empty_database_can_go_on_too(
    database: Database, log: Log, recover: Go, NOON: datetime
) -> None:
    """The database was lost as a whole: the lost key is known from the settings only."""
    log.high_water.write_bytes(AHEAD.signed([FIRST]))
    append(database, 2, NOON)
    with pytest.raises(Rewound):
        sequence(database, NOON)
    assert recover().size == 1
    assert sequence(database, NOON).startswith(b"samtykke.test/consent/2\n3\n")


def test_the_lost_name_is_not_used_again(database: Database, old: bytes, log: Log) -> None:
    """Nor one that the log had: a checkpoint under it could contradict what others hold."""
    log.high_water.write_bytes(AHEAD.signed([FIRST]))
    again = replace(NEXT, name=FIRST.name)
    with database.reading() as session:
        loss = recovery.find(session)
    with pytest.raises(KeyRefused), database.transaction() as session:
        recovery.go_on(session, loss, again.verifier, at=datetime.now().astimezone())


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        ("samtykke.test/consent", "samtykke.test/consent/2"),
        ("samtykke.test/consent/2", "samtykke.test/consent/3"),
        ("samtykke.test/consent/9", "samtykke.test/consent/10"),
        ("samtykke.test/2026/consent", "samtykke.test/2026/consent/2"),
    ],
)
def test_the_next_name_has_the_next_number(
    database: Database, old: bytes, lost: str, expected: str
) -> None:
    """After a second loss too, and when the copy is older than the first."""
    with database.reading() as session:
        loss = recovery.Loss(replace(AHEAD, origin=lost), tree.current(session), begun=False)
        assert recovery.next_origin(session, loss) == expected


def test_a_second_loss_is_recovered_from_like_the_first(
    database: Database, old: bytes, recover: Go, log: Log, NOON: datetime
) -> None:
    """The log's third name knows of the second, whose checkpoint was lost."""
    log.high_water.write_bytes(AHEAD.signed([FIRST]))
    recover()
    sequence(database, NOON)
    log.high_water.write_bytes(replace(AHEAD, origin=NEXT.name).signed([NEXT]))
    third = replace(FIRST, name="samtykke.test/consent/3")
    with database.reading() as session:
        loss = recovery.find(session)
        assert not loss.begun
        assert recovery.next_origin(session, loss) == third.name
    with database.transaction() as session:
        recovery.go_on(session, loss, third.verifier, at=NOON)
    with database.reading() as session:
        recovery.begin_file(session, loss, (FIRST, NEXT, third))
        assert log_keys.in_force(session) == [third.verifier]
        high_water.check(session)


def test_a_missing_file_begins_with_a_checkpoint_from_outside(
    database: Database, old: bytes, log: Log, NOON: datetime
) -> None:
    """Of it and the newest in the database the larger one counts."""
    newest = sequence(database, NOON)
    log.high_water.unlink()
    with database.reading() as session:
        assert recovery.adopt(session, old).size == 6
    assert log.high_water.read_bytes() == newest


def test_a_missing_file_begins_with_the_newest_in_the_database(
    database: Database, old: bytes, log: Log
) -> None:
    """Where nothing from outside is at hand."""
    log.high_water.unlink()
    with database.reading() as session:
        assert recovery.adopt(session, None).size == 5
        high_water.check(session)


def test_an_unreadable_file_is_kept_beside(database: Database, old: bytes, log: Log) -> None:
    """Somebody may yet read something out of it."""
    log.high_water.write_bytes(b"half a")
    with database.reading() as session:
        with pytest.raises(UnreadableHighWater):
            recovery.find(session)
        recovery.adopt(session, None)
        high_water.check(session)
    assert log.high_water.with_name("high-water.unreadable").read_bytes() == b"half a"


def test_a_good_file_is_not_replaced(database: Database, old: bytes, log: Log) -> None:
    """Least of all by an older one: that would undo what it is for."""
    log.high_water.write_bytes(AHEAD.signed([FIRST]))
    with database.reading() as session, pytest.raises(NothingToAdopt):
        recovery.adopt(session, None)
    assert log.high_water.read_bytes() == AHEAD.signed([FIRST])


def test_a_checkpoint_that_the_tree_does_not_contain_is_not_adopted(
    database: Database, old: bytes, log: Log
) -> None:
    """It shows that an older database was restored; nor is one that the log did not sign."""
    log.high_water.unlink()
    stranger = replace(FIRST, seed=bytes(32))
    with database.reading() as session:
        for lost in (AHEAD, BESIDE):
            with pytest.raises(NotConsistent):
                recovery.adopt(session, lost.signed([FIRST]))
        with pytest.raises(UntrustedCheckpoint):
            recovery.adopt(session, Checkpoint.parse(Note.parse(old).text).signed([stranger]))
    assert not log.high_water.exists()


def test_before_the_first_publication_there_is_nothing_to_adopt(database: Database) -> None:
    """The first one makes the file."""
    with database.reading() as session, pytest.raises(NothingToAdopt):
        recovery.adopt(session, None)
