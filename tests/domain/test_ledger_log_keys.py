"""The log's keys: rotated in the open, retired for good, and kept for what they signed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from database import Database
from domain.ledger import entry, key_file, log_keys, merkle, tree, witnesses
from domain.ledger.append import append_anonymous
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    KeyRefused,
    NoNewKey,
    NotInForce,
    Overtaken,
    UntrustedCheckpoint,
)
from domain.ledger.log import Log
from domain.ledger.models import LedgerEntry, LedgerLeaf
from domain.ledger.notes import KeyType, Note, SignerKey, VerifierKey
from domain.ledger.sequencer import Sequencer

EXPIRED = {"purpose": "marketing", "purpose_version": 1}
FIRST = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
SECOND = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(96, 128)))
THIRD = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(128, 160)))
Publish = Callable[..., bytes]


@pytest.fixture
def log(instance: Path) -> Log:
    """A log whose processes have two keys."""
    return Log(signers=(FIRST, SECOND), high_water=instance / "high-water")


@pytest.fixture
def publish(database: Database, NOON: datetime, log: Log) -> Publish:
    """Appends entries and lets a process with these keys publish them; the note."""

    def publish(count: int = 1, signers: tuple[SignerKey, ...] = log.signers) -> bytes:
        with database.transaction() as session:
            for _ in range(count):
                append_anonymous(session, "consent.expired", EXPIRED, at=NOON)
        process = Database(
            database.engine.url.render_as_string(hide_password=False),
            info={**database.info, "log": replace(log, signers=signers)},
        )
        try:
            sequencer = Sequencer(process, lambda: NOON, witnesses.ask)
            sequencer.run_once()
            sequencer.give_back()
        finally:
            process.close()
        with database.reading() as session:
            newest = tree.published(session)
            assert newest is not None
            assert newest.size == tree.current(session).size
            return newest.note

    return publish


def rotate(database: Database, key: SignerKey, at: datetime) -> tree.State:
    with database.transaction() as session:
        return log_keys.rotate(session, key.verifier, at=at)


def retire(database: Database, key: SignerKey, at: datetime) -> tree.State:
    with database.transaction() as session:
        return log_keys.retire(session, key.verifier, at=at)


def signed_by(note: bytes) -> set[VerifierKey]:
    """Whose signatures a note carries, each verified."""
    keys = [one.verifier for one in (FIRST, SECOND, THIRD)]
    return {signed.key for signed in Note.parse(note).verified(keys)}


def said(database: Database, position: int) -> tuple[str, dict[str, object]]:
    """Type and data of the entry at a position."""
    with database.reading() as session:
        leaf = session.get_one(LedgerLeaf, position)
        found = entry.decode(session.get_one(LedgerEntry, leaf.entry_id).bytes)
        return found.type, found.data


def trusted(database: Database, note: bytes) -> set[VerifierKey]:
    with database.reading() as session:
        return {signed.key for signed in log_keys.trusted(session, note).by}


def test_the_first_entry_registers_the_first_key(database: Database, publish: Publish) -> None:
    """Until then the log has none, and its name is that of the first in the settings."""
    with database.reading() as session:
        assert log_keys.in_force(session) == []
        assert log_keys.origin(session) == FIRST.name
    note = publish(3)
    with database.reading() as session:
        assert log_keys.in_force(session) == [FIRST.verifier]
        assert log_keys.known(session) == [log_keys.KnownKey(FIRST.verifier, 0, None)]
    assert signed_by(note) == {FIRST.verifier}


def test_both_sign_from_the_entry_that_announces_the_second(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """It stands at the very size from which the key signs, before whatever waited in the queue."""
    publish(3)
    with database.transaction() as session:
        append_anonymous(session, "consent.expired", EXPIRED, at=NOON)
    assert rotate(database, SECOND, NOON).size == 4
    assert said(database, 3) == (
        "key.rotated",
        {"from": str(FIRST.verifier), "to": str(SECOND.verifier)},
    )
    note = publish(1)
    assert signed_by(note) == {FIRST.verifier, SECOND.verifier}
    assert trusted(database, note) == {FIRST.verifier, SECOND.verifier}
    with database.reading() as session:
        assert log_keys.known(session)[1] == log_keys.KnownKey(SECOND.verifier, 3, None)
        assert tree.current(session).size == 6


def test_a_process_with_the_old_key_only_goes_on_signing(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """A worker that was not restarted publishes as before: the old key is in force."""
    publish(3)
    rotate(database, SECOND, NOON)
    note = publish(1, (FIRST,))
    assert signed_by(note) == {FIRST.verifier}
    assert trusted(database, note) == {FIRST.verifier}


def test_what_a_retired_key_signed_before_still_verifies(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """Receipts from before the change verify for ever."""
    old = publish(3)
    rotate(database, SECOND, NOON)
    both = publish(1)
    retire(database, FIRST, NOON)
    new = publish(1)
    assert trusted(database, old) == {FIRST.verifier}
    assert trusted(database, both) == {FIRST.verifier, SECOND.verifier}
    assert signed_by(new) == trusted(database, new) == {SECOND.verifier}
    assert said(database, 5) == ("key.retired", {"key": str(FIRST.verifier)})
    with database.reading() as session:
        assert log_keys.in_force(session) == [SECOND.verifier]
        assert log_keys.known(session)[0] == log_keys.KnownKey(FIRST.verifier, 0, 5)


def test_a_retired_key_vouches_for_nothing_larger(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """A thief of the old key cannot go on with the log; beside a good signature, his is nothing."""
    publish(3)
    rotate(database, SECOND, NOON)
    retire(database, FIRST, NOON)
    note = publish(1)
    text = Note.parse(note).text
    with database.reading() as session, pytest.raises(UntrustedCheckpoint):
        log_keys.trusted(session, text + b"\n" + FIRST.sign(text).encode())
    beside = note + FIRST.sign(text).encode()
    assert trusted(database, beside) == {SECOND.verifier}


def test_a_key_vouches_for_nothing_from_before_it(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """Nobody needs a new key to sign old history again."""
    old = publish(3)
    rotate(database, SECOND, NOON)
    text = Note.parse(old).text
    with database.reading() as session, pytest.raises(UntrustedCheckpoint):
        log_keys.trusted(session, text + b"\n" + SECOND.sign(text).encode())


def test_a_state_from_before_a_retirement_is_signed_by_the_retired(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """By size, not by time: a crash between commit and signature changes nothing."""
    publish(3)
    rotate(database, SECOND, NOON)
    retire(database, FIRST, NOON)
    with database.reading() as session:
        assert log_keys.signers(session, 3) == [FIRST]
        assert log_keys.signers(session, 4) == [FIRST, SECOND]
        assert log_keys.signers(session, 5) == [SECOND]


def test_the_last_key_that_can_sign_here_is_not_retired(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """Neither the only one, nor one beside which another's private key is missing."""
    publish(3)
    with pytest.raises(KeyRefused):
        retire(database, FIRST, NOON)
    rotate(database, THIRD, NOON)  # not in this process's settings
    with pytest.raises(KeyRefused):
        retire(database, FIRST, NOON)
    retire(database, THIRD, NOON)
    with database.reading() as session:
        assert log_keys.in_force(session) == [FIRST.verifier]


def test_a_key_is_retired_once(database: Database, publish: Publish, NOON: datetime) -> None:
    """What is not in force cannot end."""
    publish(3)
    with pytest.raises(NotInForce):
        retire(database, SECOND, NOON)
    rotate(database, SECOND, NOON)
    retire(database, FIRST, NOON)
    with pytest.raises(NotInForce):
        retire(database, FIRST, NOON)


def test_not_every_key_may_follow(database: Database, publish: Publish, NOON: datetime) -> None:
    """None before the first, none of another log, none twice, and none that was retired."""
    with pytest.raises(KeyRefused):
        rotate(database, SECOND, NOON)
    publish(3)
    for key in (FIRST, replace(SECOND, name="samtykke.test/other")):
        with pytest.raises(KeyRefused):
            rotate(database, key, NOON)
    rotate(database, SECOND, NOON)
    retire(database, FIRST, NOON)
    with pytest.raises(KeyRefused):
        rotate(database, FIRST, NOON)


def test_the_change_goes_under_with_its_transaction(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """No key without its entry, no entry without its key."""
    publish(3)
    with pytest.raises(ZeroDivisionError), database.transaction() as session:
        log_keys.rotate(session, SECOND.verifier, at=NOON)
        raise ZeroDivisionError
    with database.reading() as session:
        assert log_keys.in_force(session) == [FIRST.verifier]
        assert tree.current(session).size == 3


def test_a_sequencer_that_was_faster_makes_it_start_again(
    database: Database, publish: Publish, NOON: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fence: a key never ends at a size that was signed past in the meantime."""
    publish(3)
    rotate(database, SECOND, NOON)
    with database.reading() as session:
        before = tree.current(session)
    publish(1)
    with monkeypatch.context() as patched:
        patched.setattr(tree, "current", lambda session: before)
        with pytest.raises(Overtaken):
            retire(database, FIRST, NOON)
    with database.reading() as session:
        assert log_keys.in_force(session) == [FIRST.verifier, SECOND.verifier]


def test_a_log_with_changed_keys_is_one_log(
    database: Database, publish: Publish, NOON: datetime
) -> None:
    """From the first checkpoint to the last there is a proof, whoever signed them."""
    roots = {}
    for step in range(4):
        note = publish(70)
        if step == 1:
            rotate(database, SECOND, NOON)
        if step == 2:
            retire(database, FIRST, NOON)
        found = Checkpoint.parse(Note.parse(note).text)
        roots[found.size] = found.root
    newest = max(roots)
    with database.reading() as session:
        for size, root in roots.items():
            proof = tree.consistency(session, size, newest)
            merkle.verify_consistency(size, root, newest, roots[newest], proof)


def test_a_new_key_stands_in_the_file_before_it_is_known(tmp_path: Path, log: Log) -> None:
    """It is made once: who was killed before it was registered finds it there again."""
    path = tmp_path / "log-keys"
    path.write_text(FIRST.encode() + "\n")
    made, new = key_file.next_key(log, path, FIRST.name, [FIRST.verifier])
    assert new
    assert path.read_text() == f"{FIRST.encode()}\n{made.encode()}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert key_file.next_key(log, path, FIRST.name, [FIRST.verifier]) == (made, False)
    assert key_file.next_key(log, path, FIRST.name, [FIRST.verifier, made.verifier])[1]


def test_the_environment_gets_no_new_key(log: Log) -> None:
    """One that is there is taken; otherwise the message says how to make one."""
    assert key_file.next_key(log, None, FIRST.name, [FIRST.verifier]) == (SECOND, False)
    with pytest.raises(NoNewKey, match=r"commands\.log_key samtykke\.test/consent"):
        key_file.next_key(log, None, FIRST.name, [FIRST.verifier, SECOND.verifier])
