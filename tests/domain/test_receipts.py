"""Receipts out of storage: made of what is stored, and good without it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import receipts
from domain.ledger import log_keys, proving, tree
from domain.ledger import receipts as format
from domain.ledger.entry import decode
from domain.ledger.errors import LedgerError, NotYet, UnknownEntry, UntrustedCheckpoint
from domain.ledger.log import Log
from domain.ledger.models import LedgerEntry, LedgerLeaf
from domain.ledger.notes import KeyType, SignerKey, VerifierKey
from domain.ledger.sequencer import Sequencer
from domain.rights import erasure, requests
from domain.subjects import service as subjects
from domain.subjects.models import EntryLink
from tests.domain.consenting import decide, publish, served, somebody
from tests.domain.leaving import RAGNHILD, plant
from tests.support import NOON, logs

Sequence = Callable[[], int]


@pytest.fixture
def sequence(database: Database) -> Sequence:
    """Gives every entry its place, and publishes."""
    sequencer = Sequencer(database, lambda: NOON)
    return sequencer.run_once


def _decided(database: Database) -> list[str]:
    """The entries of somebody who said yes and no, the notices before them."""
    with database.transaction() as session:
        publish(session)
        who = somebody(session)
        decide(session, who, marketing=True)
        return [entry.id for entry in subjects.entries(session, who)]


def _keys(session: Session) -> list[VerifierKey]:
    return [one.key for one in log_keys.known(session)]


@pytest.mark.requirement(34)
def test_every_decision_has_a_receipt_that_verifies(database: Database, sequence: Sequence) -> None:
    """The entry's bytes, the words that were shown, and a place under the newest checkpoint."""
    decided = _decided(database)
    sequence()
    with database.reading() as session:
        for entry_id in decided:
            one = receipts.receipt(session, entry_id)
            found = format.check(one.encode(), _keys(session))
            assert found.entry.id == entry_id
            assert one.entry == session.get_one(LedgerEntry, entry_id).bytes
            assert found.index == tree.position(session, entry_id)
            assert found.checkpoint.root == tree.current(session).root
            shown = json.loads(found.presentation or b"")
            assert shown["purposes"][0]["wording"]


def test_whatever_the_ledger_says_of_a_person_has_a_receipt(
    database: Database, sequence: Sequence
) -> None:
    """The account and the requests too, for which nothing is stored that was shown."""
    with database.transaction() as session:
        who, _ = plant(session)
        entries = list(subjects.entries(session, who))
    sequence()
    with database.reading() as session:
        made = list(receipts.receipts(session, [one.id for one in entries]))
        assert [entry for entry, _ in made] == entries
        assert {entry.type for entry, _ in made} >= {"consent.given", "request.received"}
        for _, one in made:
            format.check(one.encode(), _keys(session))


def test_before_its_place_an_entry_has_no_receipt(database: Database, sequence: Sequence) -> None:
    """Not yet, which is something else than never."""
    (first, *_) = _decided(database)
    with database.reading() as session:
        with pytest.raises(NotYet):
            receipts.receipt(session, first)
        with pytest.raises(UnknownEntry):
            receipts.receipt(session, "0" * 32)
        assert list(receipts.receipts(session, [first])) == []
    sequence()
    (second, *_) = _decided(database)
    with database.reading() as session:
        assert [entry.id for entry, _ in receipts.receipts(session, [second, first])] == [first]
        with pytest.raises(NotYet):
            receipts.receipt(session, second)


def test_a_place_that_is_not_published_proves_nothing(database: Database, log: Log) -> None:
    """The state is committed, and there was no key to sign it with: nobody may see it yet."""
    (first, *_) = _decided(database)
    unsigned = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(32))
    sequencer = Sequencer(database, lambda: NOON)
    assert sequencer.run_once()
    (second, *_) = _decided(database)
    database.info["log"] = replace(log, signers=(unsigned,))
    assert sequencer.run_once()
    with database.reading() as session:
        assert tree.position(session, second) is not None
        with pytest.raises(NotYet):
            proving.prove(session, second)
        assert proving.prove(session, first).index == tree.position(session, first)


def test_all_receipts_of_one_time_name_one_checkpoint(
    database: Database, sequence: Sequence
) -> None:
    """Also in a log of more than one tile."""
    with database.transaction() as session:
        logs.fill(session, 300)
        publish(session)
        who = somebody(session)
        for yes in (True, False, True):
            decide(session, who, marketing=yes)
        entries = [entry.id for entry in subjects.entries(session, who)]
    sequence()
    with database.reading() as session:
        size = session.scalar(select(func.count()).select_from(LedgerLeaf))
        made = [one for _, one in receipts.receipts(session, entries)]
        found = [format.check(one.encode(), _keys(session)) for one in made]
    assert len(found) == len(entries)
    assert {one.checkpoint.size for one in found} == {size}


def test_an_entry_is_shown_to_its_person_only(database: Database) -> None:
    """Somebody else's and none at all are the same to who asks."""
    with database.transaction() as session:
        publish(session)
        own, other = somebody(session), somebody(session)
        decide(session, own, marketing=True)
        (entry, *_) = subjects.entries(session, own)
        assert receipts.own(session, own, entry.id) == entry.encode()
        assert receipts.own(session, other, entry.id) is None
        assert receipts.own(session, own, "0" * 32) is None


@pytest.mark.requirement(50)
def test_a_receipt_outlives_its_person(database: Database, sequence: Sequence) -> None:
    """Downloaded before erasure, it verifies afterwards, offline, and with the log as it is then;
    and nothing that is left ties it to anybody."""
    with database.transaction() as session:
        who, request = plant(session)
        entries = [entry.id for entry in subjects.entries(session, who)]
    sequence()
    with database.reading() as session:
        keys = _keys(session)
        kept = [one.encode() for _, one in receipts.receipts(session, entries)]
    assert len(kept) == len(entries)
    with database.transaction() as session:
        erasure.fulfil(session, requests.take(session, request.id) or request, at=NOON)
    sequence()

    for content in kept:
        verified = format.check(content, keys)
        assert RAGNHILD.email.encode() not in content
        assert str(who).encode() not in content
        assert who.hex.encode() not in content
        with database.reading() as session:
            assert receipts.own(session, who, verified.entry.id) is None
            assert session.get(EntryLink, verified.entry.id) is None
            now = format.check(receipts.receipt(session, verified.entry.id).encode(), keys)
        assert (now.entry, now.index) == (verified.entry, verified.index)
        assert now.checkpoint.size > verified.checkpoint.size


def test_receipts_of_before_a_rotation_verify_with_the_key_of_their_day(
    database: Database, log: Log, sequence: Sequence
) -> None:
    """With the new key alone they do not; and what is signed after a key was retired does not
    verify with the retired one."""
    old = log.signers[0]
    new = SignerKey(old.name, KeyType.LOG, bytes(range(1, 33)))
    (first, *_) = _decided(database)
    sequence()
    with database.reading() as session:
        before = receipts.receipt(session, first).encode()

    database.info["log"] = replace(log, signers=(old, new))
    with database.transaction() as session:
        log_keys.rotate(session, new.verifier, at=NOON)
    sequence()
    with database.reading() as session:
        both = receipts.receipt(session, first).encode()
    with database.transaction() as session:
        log_keys.retire(session, old.verifier, at=NOON)
    sequence()
    with database.reading() as session:
        after = receipts.receipt(session, first).encode()

    for content, signers in ((before, {old}), (both, {old, new}), (after, {new})):
        for key in (old, new):
            if key in signers:
                assert format.check(content, [key.verifier]).entry == decode(_entry(content))
            else:
                with pytest.raises(UntrustedCheckpoint):
                    format.check(content, [key.verifier])


def _entry(content: bytes) -> bytes:
    return format.Receipt.parse(content).entry


def test_receipts_cannot_be_put_together_of_each_other(
    database: Database, sequence: Sequence
) -> None:
    """Each part of one is right in itself, and wrong in another."""
    with database.transaction() as session:
        publish(session)
        made = []
        for locale in ("nb", "nn"):
            who = somebody(session)
            decide(session, who, shown=served(session, who, locale=locale), marketing=True)
            made += [entry.id for entry in subjects.entries(session, who)][:1]
    sequence()
    with database.reading() as session:
        one, other = (receipts.receipt(session, entry_id) for entry_id in made)
        keys = _keys(session)
    for mixed in (
        replace(one, entry=other.entry),
        replace(one, presentation=other.presentation),
        replace(one, proof=other.proof),
        replace(other, proof=one.proof),
    ):
        with pytest.raises(LedgerError):
            format.check(mixed.encode(), keys)
