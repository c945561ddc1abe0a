"""What the log says that it lost: checkpoints that it signed, and that an older copy of the
database, restored since, does not have (recovery.py).

A key that a loss ended signed more than the table of keys says, and what it signed then is no
forgery. A key that was retired vouches for nothing larger: `key.retired` tells the two apart.
Few entries are read, by their positions: each stands at the size where a key begins or ends.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from domain.ledger import log_keys
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.entry import Entry, decode
from domain.ledger.log import log
from domain.ledger.log_keys import KnownKey
from domain.ledger.models import LedgerEntry, LedgerKey, LedgerKeyEnd, LedgerLeaf
from domain.ledger.notes import VerifierKey


@dataclass(frozen=True)
class Loss:
    """That a checkpoint was lost, as the entry at `position` says."""

    position: int
    lost: Checkpoint

    @classmethod
    def said(cls, position: int, entry: Entry) -> Loss:
        """What a `log.recovered` entry says."""
        data = entry.data
        lost = Checkpoint(data["origin"], data["size"], base64.b64decode(data["root"]))
        return cls(position, lost)


def keys(session: Session, checkpoint: Checkpoint) -> list[VerifierKey]:
    """The keys that may have signed this checkpoint before it was lost: those that a loss ended
    below its size, up to the size that was lost, and those of the lost name that came after the
    copy was made, so that only the settings know them."""
    said = list(_said(session))
    losses = [Loss.said(at, entry) for at, entry in said if entry.type == "log.recovered"]
    retired = {entry.data["key"] for _, entry in said if entry.type == "key.retired"}
    known = log_keys.known(session)
    found = [one.key for one in known if _ended(one, losses, checkpoint.size)]
    found = [key for key in found if str(key) not in retired]
    unknown = {signer.verifier for signer in log(session).signers} - {one.key for one in known}
    names = {one.lost.origin for one in losses if checkpoint.size <= one.lost.size}
    return [*found, *(key for key in unknown if key.name in names)]


def _ended(one: KnownKey, losses: list[Loss], size: int) -> bool:
    """Whether this key ended below this size, and the loss that followed reached as far."""
    if one.to_size is None or size <= one.to_size:
        return False
    followed = next((loss for loss in losses if loss.position > one.from_size), None)
    return followed is not None and size <= followed.lost.size


def _said(session: Session) -> Iterator[tuple[int, Entry]]:
    """Position and content of the entries where a key begins or ends, in their order."""
    sizes = union(select(LedgerKey.from_size), select(LedgerKeyEnd.to_size))
    rows = session.execute(
        select(LedgerLeaf.position, LedgerEntry.bytes)
        .join(LedgerEntry, LedgerEntry.id == LedgerLeaf.entry_id)
        .where(LedgerLeaf.position.in_(sizes))
        .order_by(LedgerLeaf.position)
    )
    return ((position, decode(content)) for position, content in rows)
