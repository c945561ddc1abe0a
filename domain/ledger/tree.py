"""The tree as it is stored: leaves, full tiles with their roots, and the states it went through.

Reading any node takes a few statements, whatever the size: a node stands in a full tile, or
among the leaves and the roots of tiles at the right edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from domain.ledger import merkle, tiles
from domain.ledger.errors import MissingNode
from domain.ledger.merkle import EMPTY_ROOT, HASH_BYTES, Node, Nodes
from domain.ledger.models import LedgerCheckpoint, LedgerLeaf, LedgerState, LedgerTile
from domain.ledger.tiles import WIDTH, Tile


@dataclass(frozen=True)
class State:
    """A size that the log has or had, and the root over its entries."""

    size: int
    root: bytes


EMPTY = State(0, EMPTY_ROOT)


def current(session: Session) -> State:
    """The newest committed state; EMPTY before the first entry was sequenced."""
    columns = (LedgerState.size, LedgerState.root)
    row = session.execute(select(*columns).order_by(LedgerState.size.desc()).limit(1)).first()
    return State(row.size, row.root) if row else EMPTY


def published(session: Session) -> LedgerCheckpoint | None:
    """The newest checkpoint that anybody may see, or None before the first."""
    newest = select(LedgerCheckpoint).order_by(LedgerCheckpoint.size.desc()).limit(1)
    return session.scalar(newest)


def position(session: Session, entry_id: str) -> int | None:
    """Where an entry stands, or None while it waits for its place."""
    return session.scalar(select(LedgerLeaf.position).where(LedgerLeaf.entry_id == entry_id))


def leaves(session: Session) -> int:
    """How many leaves there are."""
    last = session.scalar(select(func.max(LedgerLeaf.position)))
    return 0 if last is None else last + 1


def root_at(session: Session, size: int) -> bytes:
    """The root of the first `size` leaves, made from what is stored. Raises MissingNode."""
    return merkle.root(nodes(session), size)


def inclusion(session: Session, index: int, size: int) -> list[bytes]:
    """The inclusion proof of a leaf in the tree of `size`. Raises ProofError, MissingNode."""
    return merkle.inclusion_proof(nodes(session), index, size)


def consistency(session: Session, old: int, new: int) -> list[bytes]:
    """The proof that the tree of `new` leaves begins with that of `old`. Raises ProofError,
    MissingNode."""
    return merkle.consistency_proof(nodes(session), old, new)


def tile(session: Session, wanted: Tile) -> bytes:
    """The hashes of a tile. Raises MissingNode where the tree has not all of them."""
    level, number, count = wanted.level, wanted.number, wanted.width
    stored = _full(session, {(level, number)}).get((level, number))
    found = stored or _edge(session, level, number * WIDTH, number * WIDTH + count)
    if len(found) < count * HASH_BYTES:
        raise MissingNode((level * tiles.HEIGHT, number * WIDTH + len(found) // HASH_BYTES))
    return found[: count * HASH_BYTES]


def nodes(session: Session) -> Nodes:
    """Reads nodes for proofs. What it returns raises MissingNode."""

    def read(wanted: Sequence[Node]) -> list[bytes]:
        places = [tiles.holding(node) for node in wanted]
        held = _full(session, {(level, number) for level, number, _, _ in places})
        return [
            _root(session, node, place, held) for node, place in zip(wanted, places, strict=True)
        ]

    return read


def _root(
    session: Session,
    node: Node,
    place: tuple[int, int, int, int],
    held: dict[tuple[int, int], bytes],
) -> bytes:
    """The root over the hashes that a node stands over."""
    level, number, first, count = place
    data = held.get((level, number))
    if data is None:
        # The partial tile of this level: read once, for all nodes that stand in it.
        begin = number * WIDTH
        data = held[level, number] = _edge(session, level, begin, begin + WIDTH)
    found = data[first * HASH_BYTES : (first + count) * HASH_BYTES]
    if len(found) < count * HASH_BYTES:
        raise MissingNode(node)
    return tiles.root_of(found)


def _full(session: Session, wanted: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    place = tuple_(LedgerTile.level, LedgerTile.number)
    columns = (LedgerTile.level, LedgerTile.number, LedgerTile.data)
    rows = session.execute(select(*columns).where(place.in_(sorted(wanted))))
    return {(row.level, row.number): row.data for row in rows}


def _edge(session: Session, level: int, begin: int, end: int) -> bytes:
    """The hashes of a level from `begin` to before `end`, as far as there are any without a gap:
    those of leaves, or the roots of the full tiles below."""
    if level == 0:
        key, found = LedgerLeaf.position, LedgerLeaf.leaf_hash
        query = select(key, found)
    else:
        key, found = LedgerTile.number, LedgerTile.root
        query = select(key, found).where(LedgerTile.level == level - 1)
    rows = session.execute(query.where(key >= begin, key < end).order_by(key))
    data = bytearray()
    for expected, (number, one) in enumerate(rows, begin):
        if number != expected:
            break
        data += one
    return bytes(data)
