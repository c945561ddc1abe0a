"""Logs of any size, filled at once: entries, leaves, tiles and states as a sequencer would have
left them, without the hours."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from itertools import pairwise

from sqlalchemy import insert
from sqlalchemy.orm import Session

from domain.ledger import batch, log_keys, publishing, tree
from domain.ledger.batch import Waiting
from domain.ledger.edge import Edge
from domain.ledger.entry import Entry
from domain.ledger.log import log
from domain.ledger.models import LedgerEntry
from tests.support import NOON

_AT_ONCE = 5000
EXPIRED = {"purpose": "marketing", "purpose_version": 1}


def fill(session: Session, *sizes: int) -> None:
    """Let an empty log grow to each of these sizes, with a state and a checkpoint of each."""
    grow(session, *sizes)
    for size in sizes:
        publish(session, size)


def grow(session: Session, *sizes: int) -> None:
    """The same, and nothing is published."""
    edge = Edge()
    for before, size in pairwise((0, *sizes)):
        extend(session, edge, made(size - before))
    log_keys.register_first(session, log(session).signers)


def publish(session: Session, size: int) -> None:
    """Sign and publish the tree at a size, as it is stored."""
    state = tree.State(size, tree.root_at(session, size))
    note = publishing.sign(state, log(session).signers[:1])
    publishing.publish(session, size, note, (), at=NOON)
    log(session).high_water.write_bytes(note)


def extend(session: Session, edge: Edge, contents: Iterable[bytes]) -> None:
    """Put entries at the edge, with one state behind them."""
    queue = [Waiting(0, _id(content), content) for content in contents]
    grown = batch.extend(edge, queue)
    for first in range(0, len(queue), _AT_ONCE):
        rows = [
            {"id": one.entry_id, "bytes": one.content, "recorded_at": NOON}
            for one in queue[first : first + _AT_ONCE]
        ]
        session.execute(insert(LedgerEntry), rows)
    batch.store_state(session, grown)
    batch.store_leaves(session, grown.leaves)
    batch.store_tiles(session, grown.tiles)


def made(count: int) -> Iterable[bytes]:
    """Entries about nobody, each another one."""
    pattern = Entry(id="0" * 32, at=NOON, type="consent.expired", tag="1" * 64, data=EXPIRED)
    before, after = pattern.encode().split(b"0" * 32)
    for _ in range(count):
        yield before + secrets.token_hex(16).encode() + after


def _id(content: bytes) -> str:
    return content.split(b'"id":"')[1][:32].decode()
