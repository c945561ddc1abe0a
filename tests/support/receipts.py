"""Receipts without a database: made of a tree in memory and keys that are always the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import rfc8785

from domain.ledger import merkle
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.entry import Entry
from domain.ledger.merkle import Frontier, Node
from domain.ledger.notes import KeyType, SignerKey
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt
from tests.support import NOON

LOG = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
OTHER_KEY = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(96, 128)))
OTHER_LOG = SignerKey("annen.test/consent", KeyType.LOG, bytes(range(64, 96)))
WITNESS = SignerKey("vitne.test", KeyType.WITNESS, bytes(range(128, 160)))
SEEN = int(NOON.timestamp())

SHOWN = rfc8785.dumps({"heading": "Valgene dine – ærlig talt", "purposes": [{"id": "marketing"}]})


def given(number: int = 0, shown: bytes = SHOWN, **data: Any) -> bytes:
    """The bytes of an entry about a consent that was given."""
    values = {
        "purpose": "marketing",
        "purpose_version": 1,
        "presentation": hashlib.sha256(shown).hexdigest(),
        "surface": "register",
        "locale": "nb",
        "served_at": "2026-11-22T11:59:00.000Z",
        "expires_at": "2028-11-22T12:00:00.000Z",
        **data,
    }
    return _entry(number, "consent.given", values)


def opened(number: int = 0) -> bytes:
    """The bytes of an entry about an account, for which nothing is stored that was shown."""
    data = {"terms": "2026-11-22", "locale": "nb", "declared_age": 15}
    return _entry(number, "account.opened", data)


def _entry(number: int, type: str, data: dict[str, Any]) -> bytes:
    id = hashlib.sha256(f"id {number}".encode()).hexdigest()[:32]
    tag = hashlib.sha256(f"tag {number}".encode()).hexdigest()
    return Entry(id=id, at=NOON, type=type, tag=tag, data=data).encode()


def prove(
    entries: Sequence[bytes],
    index: int,
    signers: Sequence[SignerKey] = (LOG,),
    witnesses: Sequence[SignerKey] = (),
) -> Proof:
    """The proof of one of these entries in the tree over all of them."""
    frontier, known = Frontier(), dict[Node, bytes]()
    for one in entries:
        known.update(frontier.append(merkle.leaf_hash(one)))
    hashes = merkle.inclusion_proof(
        lambda wanted: [known[node] for node in wanted], index, len(entries)
    )
    note = Checkpoint(signers[0].name, len(entries), frontier.root).signed(signers)
    for witness in witnesses:
        text = note.partition(b"\n\n")[0] + b"\n"
        note += witness.sign(text, seen=SEEN).encode()
    return Proof(index, tuple(hashes), note)


def receipt(
    size: int = 7,
    index: int = 2,
    signers: Sequence[SignerKey] = (LOG,),
    witnesses: Sequence[SignerKey] = (),
) -> Receipt:
    """A receipt of a consent, from a log of some entries."""
    entries = [given(number) for number in range(size)]
    return Receipt(entries[index], SHOWN, prove(entries, index, signers, witnesses).encode())
