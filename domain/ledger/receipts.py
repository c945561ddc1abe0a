"""Receipts: an entry that somebody can keep and verify without us. No storage.

`{"entry", "presentation", "proof", "type", "v"}`, canonical JSON (RFC 8785): the entry's exact
bytes, the bytes of what was shown where the entry names any, and a proof file that holds the
checkpoint. Nothing in a receipt is believed: it is verified with keys that come from elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Self

from domain.ledger import checkpoints, entry, merkle, schemas
from domain.ledger.checkpoints import Checkpoint, Trusted
from domain.ledger.entry import Entry
from domain.ledger.errors import MalformedReceipt, NotProved, ProofError, WrongPresentation
from domain.ledger.notes import Signed, VerifierKey
from domain.ledger.proofs import Proof

TYPE = "consent-ledger-receipt"
VERSION = 1
# The largest entry and what was shown, each quoted, and a checkpoint with many witnesses.
MAX_BYTES = 1024 * 1024
_KEYS = {"entry", "presentation", "proof", "type", "v"}


@dataclass(frozen=True)
class Receipt:
    """The three parts, as bytes. `proof` is a .tlog-proof file."""

    entry: bytes
    presentation: bytes | None
    proof: bytes

    def encode(self) -> bytes:
        """The file. The same receipt is always the same bytes."""
        shown = self.presentation
        return _canonical(
            {
                "entry": self.entry.decode(),
                "presentation": None if shown is None else shown.decode(),
                "proof": self.proof.decode(),
                "type": TYPE,
                "v": VERSION,
            }
        )

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a file. What the parts hold is not looked into. Raises MalformedReceipt."""
        if len(content) > MAX_BYTES:
            raise MalformedReceipt("longer than any receipt")
        try:
            document = json.loads(content.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise MalformedReceipt("not JSON in UTF-8") from error
        if not isinstance(document, dict) or document.keys() != _KEYS:
            raise MalformedReceipt("not the five fields of a receipt")
        if document["type"] != TYPE:
            raise MalformedReceipt(f"not of the type {TYPE}")
        if type(document["v"]) is not int or document["v"] != VERSION:
            raise MalformedReceipt("an unknown version")
        shown = document["presentation"]
        texts = (document["entry"], document["proof"], "" if shown is None else shown)
        if not all(isinstance(text, str) for text in texts):
            raise MalformedReceipt("entry, presentation and proof are texts")
        # Other spellings of the same JSON (white space, order, a field twice) are refused, so
        # that what two people look at is either the same file or another receipt.
        if _canonical(document) != content:
            raise MalformedReceipt("spelled in another way than it was issued")
        decided, proof, presentation = (text.encode() for text in texts)
        return cls(decided, None if shown is None else presentation, proof)


@dataclass(frozen=True)
class Verified:
    """What a receipt proves. `entry.at` is a claim by the server's clock; what is proved is the
    place: `index` (from 0) among the `checkpoint.size` entries of the log `checkpoint.origin`,
    which `by` signed and `witnesses` saw."""

    entry: Entry
    presentation: bytes | None
    index: int
    checkpoint: Checkpoint
    by: tuple[Signed, ...]
    witnesses: tuple[Signed, ...]


def check(
    content: bytes, log_keys: Collection[VerifierKey], witnesses: Collection[VerifierKey] = ()
) -> Verified:
    """Verify a receipt with keys that the reader trusts; needs nothing else.

    Raises MalformedReceipt, what `check_entry` raises, and WrongPresentation unless what was
    shown is there exactly where the entry names it, and is what it names.
    """
    receipt = Receipt.parse(content)
    verified = check_entry(receipt.entry, receipt.proof, log_keys, witnesses)
    _check_presentation(verified.entry.data, receipt.presentation)
    return replace(verified, presentation=receipt.presentation)


def check_entry(
    content: bytes,
    proof: bytes,
    log_keys: Collection[VerifierKey],
    witnesses: Collection[VerifierKey] = (),
) -> Verified:
    """Verify an entry's bytes with a proof file alone; what was shown is not looked at.

    Raises MalformedEntry, SchemaError, MalformedProof, MalformedNote, MalformedCheckpoint;
    UntrustedCheckpoint and WrongSignature where the checkpoint is not signed by a key of the
    log, and NotProved where the entry is not in its tree.
    """
    found = entry.decode(content)
    schemas.check(found.type, found.data)
    place = Proof.parse(proof)
    # The same checkpoint stands in many receipts; its signatures are verified once.
    trusted = _trusted(place.checkpoint, frozenset(log_keys), frozenset(witnesses))
    tree = trusted.checkpoint
    try:
        leaf = merkle.leaf_hash(content)
        merkle.verify_inclusion(leaf, place.index, tree.size, place.hashes, tree.root)
    except ProofError as error:
        raise NotProved(str(error)) from error
    return Verified(found, None, place.index, tree, trusted.by, trusted.witnesses)


def name(entry: Entry) -> str:
    """What a file about this entry is called, without its ending. It names nobody."""
    about = [entry.type, entry.data.get("purpose"), entry.data.get("kind")]
    what = "-".join(str(one) for one in about if one).replace(".", "-").replace("_", "-")
    return f"receipt-{what}-{entry.at.date().isoformat()}-{entry.id[:8]}"


def _check_presentation(data: dict[str, Any], shown: bytes | None) -> None:
    named = data.get("presentation")
    if named is None and shown is not None:
        raise WrongPresentation("the entry names nothing that was shown, and the receipt does")
    if named is not None and shown is None:
        raise WrongPresentation("the entry names what was shown, and it is not in the receipt")
    if shown is not None and hashlib.sha256(shown).hexdigest() != named:
        raise WrongPresentation("what was shown is not what the entry names: it was changed")


@lru_cache(maxsize=16)
def _trusted(
    content: bytes, log_keys: frozenset[VerifierKey], witnesses: frozenset[VerifierKey]
) -> Trusted:
    return checkpoints.trusted(content, log_keys, witnesses)


# For texts, null and small numbers under ASCII names this writes what RFC 8785 asks for.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _canonical(document: dict[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(document).encode()
    except ValueError as error:  # half a surrogate pair
        raise MalformedReceipt("not JSON that has a canonical form") from error
