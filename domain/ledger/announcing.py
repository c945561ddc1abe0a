"""Entries about the log itself, which get their position at once.

A key begins or ends at a size, and the entry that says so stands at exactly that position: all
in one transaction with the state that it makes, so the fence (no state is extended twice) also
keeps a sequencer from signing meanwhile under keys that have just changed. Entries that wait in
the queue come after it; it is about nobody, so it is before nobody's entries either.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import batch, tree
from domain.ledger.append import append_anonymous
from domain.ledger.edge import Edge
from domain.ledger.errors import Damaged
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.tree import State


def announce(
    session: Session, state: State, type: str, data: dict[str, Any], *, at: datetime
) -> State:
    """Append an entry and give it the position after `state`; return the state that this makes.

    `state` is the current one, read once by the caller, who writes its size elsewhere too.
    Raises Overtaken where another extended it meanwhile: then all of it is to be done again.
    Raises Damaged where the stored tree has not the root that it is said to have.
    """
    edge = Edge.load(tree.nodes(session), partial(tree.tile, session), state.size)
    if edge.root != state.root:
        raise Damaged(state.size)
    entry_id = append_anonymous(session, type, data, at=at)
    row = session.execute(
        select(LedgerPending.number, LedgerEntry.id, LedgerEntry.bytes)
        .join(LedgerEntry, LedgerEntry.id == LedgerPending.entry_id)
        .where(LedgerPending.entry_id == entry_id)
    ).one()
    made = batch.extend(edge, [batch.Waiting(*row)])
    batch.store(session, made)
    return made.state
