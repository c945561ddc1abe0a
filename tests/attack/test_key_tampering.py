"""The tables of keys, changed by their owner, or added to by the application: the log says of each
key where it begins and ends, and the settings say which there are. And what is no attack: after
`recover`, whatever was lost, everything holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import entry, examining, high_water, log_keys, outside, recovery, tree
from domain.ledger.append import append_anonymous
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import Inconsistent, Lost, UntrustedCheckpoint
from domain.ledger.log import Log
from domain.ledger.models import (
    LedgerCheckpoint,
    LedgerEntry,
    LedgerKey,
    LedgerKeyEnd,
    LedgerLeaf,
    LedgerPending,
)
from domain.ledger.notes import KeyType, Note, SignerKey
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt
from domain.ledger.sequencer import Sequencer
from tests.attack.ledgers import EXPIRED, found, unguarded
from tests.support import NOON
from tests.support.receipts import opened, prove

pytestmark = pytest.mark.requirement(49)

NAME = "samtykke.test/consent"
FIRST = SignerKey(NAME, KeyType.LOG, bytes(range(64, 96)))
SECOND = SignerKey(NAME, KeyType.LOG, bytes(range(1, 33)))
STRANGER = SignerKey(NAME, KeyType.LOG, bytes(range(2, 34)))
NEXT = SignerKey(f"{NAME}/2", KeyType.LOG, bytes(range(96, 128)))
LAST = SignerKey(f"{NAME}/3", KeyType.LOG, bytes(range(128, 160)))
Attack = Callable[[Session], None]


@pytest.fixture
def log(instance: object, log: Log) -> Log:
    """A log whose operator has the keys of a rotation and of two losses."""
    return replace(log, signers=(FIRST, SECOND, NEXT, LAST))


def append(database: Database, count: int) -> None:
    with database.transaction() as session:
        for _ in range(count):
            append_anonymous(session, "consent.expired", EXPIRED, at=NOON)


def sequence(database: Database) -> None:
    sequencer = Sequencer(database, lambda: NOON)
    try:
        sequencer.run_once()
    finally:
        sequencer.give_back()


@pytest.fixture
def rotated(database: Database) -> Database:
    """The second key came at 5 and the first went at 9."""
    append(database, 5)
    sequence(database)
    with database.transaction() as session:
        log_keys.rotate(session, SECOND.verifier, at=NOON)
    append(database, 3)
    sequence(database)
    with database.transaction() as session:
        log_keys.retire(session, FIRST.verifier, at=NOON)
    append(database, 3)
    sequence(database)
    assert found(database) == "None"
    return database


def forget_the_end(session: Session) -> None:
    session.execute(delete(LedgerKeyEnd))


def raise_the_end(session: Session) -> None:
    session.execute(update(LedgerKeyEnd).values(to_size=10**9))


def end_at(size: int) -> Attack:
    return lambda session: log_keys.end(session, SECOND.verifier, size)


def begin_at(size: int) -> Attack:
    def begin(session: Session) -> None:
        ours = LedgerKey.verifier_key == str(SECOND.verifier)
        session.execute(update(LedgerKey).where(ours).values(from_size=size))

    return begin


def begin_with_another(session: Session) -> None:
    """It even signed the first checkpoint, beside the key that did."""
    first = session.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.size)).first()
    assert first is not None
    text = Note.parse(first.note).text
    both = first.note + STRANGER.sign(text).encode()
    here = LedgerCheckpoint.size == first.size
    session.execute(update(LedgerCheckpoint).where(here).values(note=both))
    log_keys.register(session, STRANGER.verifier, 0)


def forget_a_key(session: Session) -> None:
    """The one that came second, and what it signed alone."""
    session.execute(delete(LedgerKey).where(LedgerKey.verifier_key == str(SECOND.verifier)))
    session.execute(delete(LedgerCheckpoint).where(LedgerCheckpoint.size > 9))


def register_silently(session: Session) -> None:
    log_keys.register(session, STRANGER.verifier, 9)


ATTACKS: dict[str, tuple[Attack, str]] = {
    "a retired key is in force": (forget_the_end, "ends at 9, as the entry at position 9 says"),
    "its end is raised": (raise_the_end, "and signs to 1000000000"),
    "an end that nothing says": (end_at(13), "was retired, and no entry says so"),
    "it signs from before it came": (begin_at(0), "was announced at position 5, and signs from 0"),
    "a little before": (begin_at(4), "was announced at position 5, and signs from 4"),
    "two keys from the beginning": (begin_with_another, "one key signs from the beginning"),
    "a key is gone": (forget_a_key, "is named by an entry, and is not among the keys"),
    "a key that nothing names": (register_silently, "is named by no entry"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_the_owner_did_to_the_keys_is_found(
    rotated: Database, owner: Database, log: Log, name: str
) -> None:
    """Each range is exactly the one that the log says, even for keys that the settings have, and
    even where every checkpoint is then signed by a key of its range."""
    attack, words = ATTACKS[name]
    rotated.info["log"] = replace(log, signers=(*log.signers, STRANGER))
    with unguarded(owner) as session:
        attack(session)
    said = found(rotated)
    assert said.startswith("invariant 17")
    assert words in said


def announce(session: Session, key: SignerKey, size: int) -> None:
    """What the application's own role can do: queue an entry, and register the key."""
    data = {"from": str(FIRST.verifier), "to": str(key.verifier)}
    append_anonymous(session, "key.rotated", data, at=NOON)
    session.execute(insert(LedgerKey).values(verifier_key=str(key.verifier), from_size=size))


@pytest.mark.parametrize("size", [0, 5])
def test_the_application_cannot_bring_in_a_key(database: Database, size: int) -> None:
    """While its entry waits, and when it has its position: even at exactly that size, the key
    is not among those of the settings."""
    append(database, 5)
    sequence(database)
    with database.transaction() as session:
        announce(session, STRANGER, size)
    assert "is about the log's keys, and has no position" in found(database)
    sequence(database)
    said = found(database)
    assert said.startswith("invariant 17")
    assert ("was announced at position 5" if size == 0 else "the settings do not have it") in said


def test_a_process_that_signs_nothing_cannot_tell_strangers(database: Database, log: Log) -> None:
    """Only whoever has the keys knows which there are; all else is checked all the same."""
    append(database, 5)
    sequence(database)
    with database.transaction() as session:
        log_keys.rotate(session, STRANGER.verifier, at=NOON)
    assert "the settings do not have it" in found(database)
    database.info["log"] = replace(log, signers=())
    assert found(database) == "None"


# --- Kept out of the tree ---------------------------------------------------------------------


_CHECK = (
    "SELECT conname FROM pg_constraint WHERE conrelid = 'ledger_leaf'::regclass AND contype = 'c'"
)


def test_no_entry_is_kept_out_of_the_tree(database: Database, owner: Database) -> None:
    """At a position below 0 it would have a place, and no root would be over it. The database
    refuses it; and where its owner took that away, it is found."""
    append(database, 5)
    sequence(database)
    append(database, 1)
    with database.reading() as session:
        waiting = session.scalar(select(LedgerPending.entry_id))
    row = insert(LedgerLeaf).values(position=-1, entry_id=waiting, leaf_hash=bytes(32))
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(row)
    with unguarded(owner) as session:
        if session.get_bind().dialect.name == "sqlite":
            session.execute(text("PRAGMA ignore_check_constraints=ON"))
        else:
            name = session.scalar(text(_CHECK))
            session.execute(text(f"ALTER TABLE ledger_leaf DROP CONSTRAINT {name}"))
        session.execute(row)
        session.execute(delete(LedgerPending))
    assert found(database) == (
        "invariant 1 does not hold (positions are dense from 0, and one entry has one leaf):"
        " 6 positions from -1 to 4 are taken, and the log has 5 entries"
    )


# --- After a loss -----------------------------------------------------------------------------


def lose(database: Database, log: Log, lost: Checkpoint, key: SignerKey) -> None:
    log.high_water.write_bytes(lost.signed([key]))


def recover(database: Database, new: SignerKey, signers: tuple[SignerKey, ...]) -> None:
    """What the command does."""
    with database.reading() as session:
        loss = recovery.find(session)
    with database.transaction() as session:
        recovery.go_on(session, loss, new.verifier, at=NOON)
    with database.reading() as session:
        recovery.begin_file(session, loss, signers)
    append(database, 1)
    sequence(database)


def unpublished(database: Database, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """A state that is committed, and that nobody signed before the copy was made."""
    append(database, count)
    with monkeypatch.context() as patched:
        patched.setattr(Sequencer, "_publish", lambda self: None)
        patched.setattr(Sequencer, "_look", looked_once(Sequencer._look))
        sequence(database)


def looked_once(look: Callable[..., object]) -> Callable[..., object]:
    looks = []

    def once(self: Sequencer) -> object:
        looks.append(look(self))
        return looks[0] if len(looks) == 1 else replace(looks[0], waiting=False, unpublished=False)  # type: ignore[type-var]

    return once


@pytest.mark.parametrize("case", ["published", "a state", "another name", "only states", "twice"])
def test_everything_holds_after_a_recovery(
    database: Database, log: Log, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """Whatever the copy had: checkpoints, a state that nobody signed, none but such; and whatever
    was lost: the old name's, or that of a recovery which the copy does not know."""
    if case != "only states":
        append(database, 5)
        sequence(database)
    if case in ("a state", "only states"):
        unpublished(database, monkeypatch, 2)
    other = case == "another name"
    key = NEXT if other else FIRST
    lose(database, log, Checkpoint(key.name, 99, bytes(range(32))), key)
    recover(database, LAST if other else NEXT, log.signers)
    assert found(database) == "None"
    if case == "twice":
        lose(database, log, Checkpoint(NEXT.name, 120, bytes(range(32))), NEXT)
        recover(database, LAST, log.signers)
        assert found(database) == "None"


def lost_receipt(database: Database, key: SignerKey = FIRST) -> bytes:
    """A true receipt of an entry that was published right behind those that the copy has."""
    joined = select(LedgerEntry.bytes).join(LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id)
    with database.reading() as session:
        contents = list(session.scalars(joined.order_by(LedgerLeaf.position)))
    contents.append(opened(len(contents)))
    proof = prove(contents, len(contents) - 1, [key]).encode()
    return Receipt(contents[-1], None, proof).encode()


def note_of(receipt: bytes) -> bytes:
    return outside.read(receipt).note or b""


def test_the_receipt_of_a_lost_entry_is_no_forgery(database: Database, log: Log) -> None:
    """It is right, and the log says itself that it lost what it signed there; so does comparing
    with it from outside."""
    append(database, 5)
    sequence(database)
    receipt = lost_receipt(database)
    log.high_water.write_bytes(note_of(receipt))
    recover(database, NEXT, log.signers)
    with database.reading() as session:
        with pytest.raises(Lost):
            examining.examine(session, receipt)
        with pytest.raises(Inconsistent, match=r"was lost: .* \(log\.recovered\)"):
            outside.consistent(session, outside.read(receipt))


def test_a_key_that_came_after_the_copy_signed_no_forgery(database: Database, log: Log) -> None:
    """Only the settings know it; the copy does not."""
    append(database, 5)
    sequence(database)
    receipt = lost_receipt(database, SECOND)
    log.high_water.write_bytes(note_of(receipt))
    recover(database, NEXT, log.signers)
    with database.reading() as session, pytest.raises(Lost):
        examining.examine(session, receipt)


def test_nothing_larger_than_what_was_lost_was_lost(database: Database, log: Log) -> None:
    """The thief of a key that ended with a loss cannot say that more was lost."""
    append(database, 5)
    sequence(database)
    lose(database, log, Checkpoint(NAME, 5, bytes(range(32))), FIRST)
    receipt = lost_receipt(database)
    recover(database, NEXT, log.signers)
    with database.reading() as session, pytest.raises(UntrustedCheckpoint):
        examining.examine(session, receipt)


@pytest.mark.parametrize("lost", [False, True])
def test_a_retired_key_vouches_for_nothing_larger(rotated: Database, log: Log, lost: bool) -> None:
    """Nor where something was lost later: it was retired before."""
    if lost:
        lose(rotated, log, Checkpoint(NAME, 99, bytes(range(32))), SECOND)
        recover(rotated, NEXT, log.signers)
    forged = lost_receipt(rotated, FIRST)
    with rotated.reading() as session, pytest.raises(UntrustedCheckpoint):
        examining.examine(session, forged)


def test_what_the_copy_had_and_had_not_published_is_not_lost(
    database: Database, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state was committed when the copy was made, and signed later: its entries are there."""
    append(database, 5)
    sequence(database)
    unpublished(database, monkeypatch, 1)
    with database.reading() as session:
        row = session.execute(
            select(LedgerEntry.bytes, LedgerLeaf.position)
            .join(LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id)
            .where(LedgerLeaf.position == 5)
        ).one()
        note = Checkpoint(NAME, 6, tree.root_at(session, 6)).signed([FIRST])
        hashes = tuple(tree.inclusion(session, 5, 6))
    receipt = Receipt(row.bytes, None, Proof(5, hashes, note).encode()).encode()
    lose(database, log, Checkpoint(NAME, 99, bytes(range(32))), FIRST)
    recover(database, NEXT, log.signers)
    with database.reading() as session:
        assert examining.examine(session, receipt).entry == entry.decode(row.bytes)
        high_water.check(session)
