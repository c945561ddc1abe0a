"""Examining a receipt that somebody brings: is it ours, and does the log still hold to it?

The check that anybody can make offline (receipts.py), with every key that the log ever had, and
one more that takes the log: that it still begins with the entries the receipt speaks of.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from domain.ledger import log_keys, losses, receipts, standing
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import Diverged, Lost, UntrustedCheckpoint
from domain.ledger.log import log
from domain.ledger.notes import Note
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt, Verified


def examine(session: Session, content: bytes) -> Verified:
    """Verify a receipt and compare it with the log. Nothing of it is kept.

    A key vouches for the checkpoints of its own time only. Raises as `receipts.check` does; Lost
    where the receipt's checkpoint is one that the log says it lost; Diverged where the log does
    not begin with it and never said so.
    """
    checkpoint = _checkpoint(content)
    witnesses = [one.key for one in log(session).witnesses]
    try:
        keys = [one.key for one in log_keys.known(session) if one.signs(checkpoint.size)]
        verified, lost = receipts.check(content, keys, witnesses), False
    except UntrustedCheckpoint:
        keys = losses.keys(session, checkpoint)
        verified, lost = receipts.check(content, keys, witnesses), True
    if not standing.begins_with(session, verified.checkpoint):
        raise Lost(checkpoint) if lost else Diverged(checkpoint)
    return verified


def _checkpoint(content: bytes) -> Checkpoint:
    proof = Proof.parse(Receipt.parse(content).proof)
    return Checkpoint.parse(Note.parse(proof.checkpoint).text)
