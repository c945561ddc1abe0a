"""Where the log stands: its newest published checkpoint, as people are told of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.log import log
from domain.ledger.models import LedgerCosignature
from domain.ledger.notes import Note


@dataclass(frozen=True)
class Standing:
    """The newest published checkpoint: when it was signed, by how many witnesses, and how many
    there could be."""

    checkpoint: Checkpoint
    signed_at: datetime
    witnesses: int
    appointed: int

    @property
    def size(self) -> int:
        """How many entries there are."""
        return self.checkpoint.size

    @property
    def root(self) -> str:
        """The root over them, as checkpoints write it."""
        return base64.b64encode(self.checkpoint.root).decode()


def newest(session: Session) -> Standing | None:
    """Where the log stands; None before the first checkpoint."""
    row = tree.published(session)
    if row is None:
        return None
    appointed = {str(one.key) for one in log(session).witnesses}
    signed = session.scalars(
        select(LedgerCosignature.verifier_key).where(LedgerCosignature.size == row.size)
    )
    return Standing(
        checkpoint=Checkpoint.parse(Note.parse(row.note).text),
        signed_at=row.signed_at,
        witnesses=len(appointed.intersection(signed)),
        appointed=len(appointed),
    )


def begins_with(session: Session, checkpoint: Checkpoint) -> bool:
    """Whether the published log begins with exactly the entries of this checkpoint. Raises
    MissingNode where the stored tree has a hole."""
    row = tree.published(session)
    if row is None or checkpoint.size > row.size:
        return False
    return tree.root_at(session, checkpoint.size) == checkpoint.root
