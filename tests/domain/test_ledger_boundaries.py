"""A log at the sizes where tiles fill up, on both databases: tiles, proofs and export are those of
the recursive definition (RFC 6962, 2.1)."""

from __future__ import annotations

import hashlib
import random
from itertools import pairwise
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import export, merkle, tiles, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.invariants import first_violation
from domain.ledger.log_invariants import CHECKS
from domain.ledger.models import LedgerLeaf
from domain.ledger.notes import Note
from domain.ledger.tiles import Tile
from tests.support import logs

SIZES = (1, 255, 256, 257, 65_535, 65_536, 65_537)


class Defined:
    """The definition: MTH(D[n]) = SHA-256(01 ‖ MTH(D[0:k]) ‖ MTH(D[k:n]))."""

    def __init__(self, leaves: list[bytes]):
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    def root(self, begin: int, end: int) -> bytes:
        if end - begin == 1:
            return self._leaves[begin]
        if (begin, end) not in self._known:
            split = 1
            while split * 2 < end - begin:
                split *= 2
            both = self.root(begin, begin + split) + self.root(begin + split, end)
            self._known[begin, end] = hashlib.sha256(b"\x01" + both).digest()
        return self._known[begin, end]

    def tile(self, tile: Tile) -> bytes:
        under = 256**tile.level
        first = tile.number * 256
        return b"".join(
            self.root(at * under, (at + 1) * under) for at in range(first, first + tile.width)
        )


def test_tiles_proofs_and_export_are_right_at_every_boundary(
    database: Database, tmp_path: Path
) -> None:
    """One log that grows through all of them; each export adds to the one before."""
    with database.transaction() as session:
        logs.grow(session, *SIZES)
        leaves = list(session.scalars(select(LedgerLeaf.leaf_hash).order_by(LedgerLeaf.position)))
    defined = Defined(leaves)
    for size in SIZES:
        with database.transaction() as session:
            logs.publish(session, size)
        with database.reading() as session:
            inclusion_is_proved(session, defined, leaves, size)
            export.write(session, export.begin(session), tmp_path / "log")
        export_is_right(tmp_path / "log", defined, size)
    with database.reading() as session:
        for old, new in pairwise(SIZES):
            consistency_is_proved(session, defined, old, new)
            consistency_is_proved(session, defined, old, SIZES[-1])
        assert first_violation(session, CHECKS) is None


def inclusion_is_proved(session: Session, defined: Defined, leaves: list[bytes], size: int) -> None:
    root = defined.root(0, size)
    assert tree.root_at(session, size) == root
    for index in {0, size - 1, random.randrange(size)}:
        proof = tree.inclusion(session, index, size)
        merkle.verify_inclusion(leaves[index], index, size, proof, root)


def consistency_is_proved(session: Session, defined: Defined, old: int, new: int) -> None:
    proof = tree.consistency(session, old, new)
    merkle.verify_consistency(old, defined.root(0, old), new, defined.root(0, new), proof)


def export_is_right(folder: Path, defined: Defined, size: int) -> None:
    """The checkpoint, and every tile of a tree of this size, by name."""
    said = Checkpoint.parse(Note.parse((folder / "checkpoint").read_bytes()).text)
    assert (said.size, said.root) == (size, defined.root(0, size))
    wanted = list(tiles.of_tree(size))
    assert len(wanted) == len({tile.path for tile in wanted})
    for tile in wanted:
        assert (folder / "tile" / tile.path).read_bytes() == defined.tile(tile)
