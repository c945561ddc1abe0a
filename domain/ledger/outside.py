"""Comparing the log with a checkpoint that was kept outside: in a file, a receipt, a mail.

An older copy of the database, or one that was rewritten together with the high-water file, is
sound in itself. Only what somebody else kept can tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy.orm import Session

from domain.ledger import checkpoints, log_keys, losses, merkle, receipts, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    FormatError,
    Inconsistent,
    MalformedCheckpoint,
    MissingNode,
    ProofError,
    UntrustedCheckpoint,
)
from domain.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from domain.ledger.notes import Note, decode_base64
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt, Verified

_PAIR = re.compile(r"\s*(0|[1-9][0-9]{0,18})[\s,;:]+([A-Za-z0-9+/]{43}=)\s*")


@dataclass(frozen=True)
class Kept:
    """A size and a root that somebody kept, and the signed note they stood in, if they kept it."""

    size: int
    root: bytes
    note: bytes | None


def read(content: bytes) -> Kept:
    """A checkpoint, a receipt, a .tlog-proof, or a size and a root. Raises FormatError."""
    pair = _PAIR.fullmatch(content.decode("utf-8", errors="replace"))
    if pair is not None:
        root = decode_base64(pair[2])
        if root is None or len(root) != HASH_BYTES or int(pair[1]) > MAX_SIZE:
            raise MalformedCheckpoint("not a size and a root hash")
        return Kept(int(pair[1]), root, None)
    if content.lstrip().startswith(b"{"):
        content = Receipt.parse(content).proof
    if content.startswith(b"c2sp.org/tlog-proof@"):
        content = Proof.parse(content).checkpoint
    try:
        found = Checkpoint.parse(Note.parse(content).text)
    except FormatError as error:
        raise MalformedCheckpoint(
            f"neither a checkpoint nor a receipt, a .tlog-proof or a size and a root ({error})"
        ) from error
    return Kept(found.size, found.root, content)


def consistent(session: Session, kept: Kept) -> str:
    """Say that the log begins with what was kept, shown by a consistency proof from the stored
    tree. Raises Inconsistent where it does not, with what that means; WrongSignature where a
    note carries the name of a key of the log and not its signature."""
    signed = "" if kept.note is None else f", signed by {_signed(session, kept, kept.note)}"
    now = tree.current(session)
    name = f"checkpoint {kept.size}"
    if kept.size > now.size:
        raise Inconsistent(
            f"the log has {now.size} entries, and {name}{signed} has more: an older copy of the"
            " database was restored, or the log's tail was dropped"
        )
    if kept.size == 0:
        # Every log begins with nothing; there is no proof of it (RFC 9162, 2.1.4).
        if kept.root != EMPTY_ROOT:
            raise Inconsistent(f"{name} has another root than an empty log")
        return f"consistent with {name}{signed}, which says nothing: the log was empty"
    try:
        proof = tree.consistency(session, kept.size, now.size)
        merkle.verify_consistency(kept.size, kept.root, now.size, now.root, proof)
    except (MissingNode, ProofError) as error:
        raise Inconsistent(
            f"the first {kept.size} entries of the log have another root than {name}{signed}:"
            f" the log was rewritten ({error})"
        ) from error
    return f"consistent with {name}{signed}"


def receipt(session: Session, content: bytes) -> Verified | None:
    """The receipt, verified with the log's keys; None for what is no receipt. Raises as
    `receipts.check` does."""
    if not content.lstrip().startswith(b"{"):
        return None
    note = Proof.parse(Receipt.parse(content).proof).checkpoint
    size = Checkpoint.parse(Note.parse(note).text).size
    keys = [one.key for one in log_keys.known(session) if one.signs(size)]
    return receipts.check(content, keys)


def _signed(session: Session, kept: Kept, note: bytes) -> str:
    """The names of those who signed, by a key of the log that signs checkpoints of this size."""
    try:
        trusted = log_keys.trusted(session, note)
    except UntrustedCheckpoint as error:
        if _was_lost(session, note):
            raise Inconsistent(
                f"checkpoint {kept.size} was lost: an older copy of the database was restored"
                " since, and the log says so (log.recovered)"
            ) from error
        raise Inconsistent(
            f"checkpoint {kept.size}: {error}. It is of another log, or this log was rewritten and"
            " signed with another key, or this database is an older copy than the key"
        ) from error
    names = [f"{one.key.name}+{one.key.id.hex()}" for one in trusted.by]
    seen = [f"{one.key.name}" for one in trusted.witnesses]
    return ", ".join(names) + (f", and seen by {', '.join(seen)}" if seen else "")


def _was_lost(session: Session, note: bytes) -> bool:
    """Whether the log signed this, and says itself that it lost it."""
    keys = losses.keys(session, Checkpoint.parse(Note.parse(note).text))
    try:
        return bool(checkpoints.trusted(note, keys).by)
    except UntrustedCheckpoint:
        return False
