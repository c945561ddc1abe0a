"""The stored tree: every node, proof and tile that was ever true can be read from it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import merkle, tiles, tree
from domain.ledger.errors import MissingNode, ProofError
from domain.ledger.models import LedgerLeaf
from domain.ledger.tiles import Tile
from tests.support.faults import Scene

pytestmark = pytest.mark.requirement(49)

SIZE = 3 * 256 + 5
SIZES = (1, 2, 3, 255, 256, 257, 258, 511, 512, 513, 768, 769, SIZE)


@pytest.fixture
def hashes(database: Database, tmp_path: Path) -> list[bytes]:
    """The leaves of a log with three full tiles and a bit."""
    scene = Scene(database, tmp_path / "signed")
    scene.append(SIZE)
    scene.sequencer().run()
    with database.reading() as session:
        order = select(LedgerLeaf.leaf_hash).order_by(LedgerLeaf.position)
        return list(session.scalars(order))


def roots(hashes: list[bytes]) -> list[bytes]:
    """The root of each size, from the leaves alone."""
    frontier = merkle.Frontier()
    found = [frontier.root]
    for one in hashes:
        list(frontier.append(one))
        found.append(frontier.root)
    return found


def test_an_empty_log_has_the_empty_root(session: Session) -> None:
    """Size 0, and nothing published."""
    assert tree.current(session) == tree.EMPTY
    assert tree.published(session) is None
    assert tree.leaves(session) == 0
    assert tree.root_at(session, 0) == merkle.EMPTY_ROOT


def test_every_size_it_ever_had_can_be_proved(hashes: list[bytes], session: Session) -> None:
    """Its root, that it holds a leaf, and that what came later begins with it."""
    expected = roots(hashes)
    assert tree.current(session) == tree.State(SIZE, expected[SIZE])
    assert tree.leaves(session) == SIZE
    for old in SIZES:
        assert tree.root_at(session, old) == expected[old]
        for index in {0, old // 2, old - 1, random.randrange(old)}:
            proof = tree.inclusion(session, index, old)
            merkle.verify_inclusion(hashes[index], index, old, proof, expected[old])
        for new in (one for one in SIZES if one >= old):
            proof = tree.consistency(session, old, new)
            merkle.verify_consistency(old, expected[old], new, expected[new], proof)


def test_every_tile_holds_the_hashes_of_its_nodes(hashes: list[bytes], session: Session) -> None:
    """Full ones as stored, partial ones from the edge, of every size there was."""
    level_1 = [tiles.root_of(b"".join(hashes[at : at + 256])) for at in range(0, 768, 256)]
    levels = [hashes, level_1]
    for size in SIZES:
        for one in tiles.of_tree(size):
            begin = one.number * 256
            expected = b"".join(levels[one.level][begin : begin + one.width])
            assert tree.tile(session, one) == expected, one.path


@pytest.mark.parametrize("wanted", [Tile(0, 3, 6), Tile(0, 4, 1), Tile(1, 0, 4), Tile(2, 0, 1)])
def test_what_is_not_there_yet_is_said_to_be_missing(
    hashes: list[bytes], session: Session, wanted: Tile
) -> None:
    """Neither a short tile nor a made-up hash."""
    with pytest.raises(MissingNode):
        tree.tile(session, wanted)
    with pytest.raises(MissingNode):
        tree.root_at(session, SIZE + 1)
    with pytest.raises(MissingNode):
        tree.consistency(session, SIZE, SIZE + 1)
    with pytest.raises(ProofError):
        tree.inclusion(session, SIZE, SIZE)


def test_an_entry_is_found_at_its_position(hashes: list[bytes], session: Session) -> None:
    """And one that waits, or never was, has none."""
    entry_id = session.scalar(select(LedgerLeaf.entry_id).where(LedgerLeaf.position == 300))
    assert entry_id is not None
    assert tree.position(session, entry_id) == 300
    assert tree.position(session, "0" * 32) is None
