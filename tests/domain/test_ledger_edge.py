"""The growing right edge: the tiles that come out of it, and going on from any size."""

from __future__ import annotations

from functools import cache

import pytest

from domain.ledger.edge import Edge, FullTile
from domain.ledger.tiles import Tile, full_tiles
from tests.domain.trees import Defined

BOUNDARIES = [1, 255, 256, 257, 65_535, 65_536, 65_537]


@cache
def tree() -> Defined:
    """The edge never looks into a leaf hash, so these are only told apart."""
    return Defined([number.to_bytes(32, "big") for number in range(BOUNDARIES[-1] + 300)])


def load(size: int) -> Edge:
    """The edge as it is read from storage."""

    def tile(wanted: Tile) -> bytes:
        return tree().tile(wanted.level, wanted.number, wanted.width)

    return Edge.load(tree().nodes, tile, size)


def defined(level: int, number: int) -> FullTile:
    """A full tile, as the specification defines it."""
    [root] = tree().nodes([(8 * (level + 1), number)])
    return FullTile(level, number, root, tree().tile(level, number, 256))


def test_growing_gives_every_full_tile_of_the_definition() -> None:
    """Over three levels, each tile at the leaf that fills it, and none but these."""
    edge, found = Edge(), 0
    for size, one in enumerate(tree().leaves[: BOUNDARIES[-1]], 1):
        full = edge.append(one)
        found += len(full)
        expected = [level for level in range(2) if size % 256 ** (level + 1) == 0]
        assert [tile.level for tile in full] == expected
        for tile in full:
            assert tile == defined(tile.level, size // 256 ** (tile.level + 1) - 1)
        if size in BOUNDARIES:
            assert edge.size == size
            assert edge.root == tree().root(0, size)
            assert edge == load(size)
            assert found == full_tiles(size)


def test_a_loaded_edge_equals_a_grown_one() -> None:
    """At every size of the first tiles: a sequencer that starts again goes on as if it had not."""
    edge = Edge()
    for size in range(600):
        assert load(size) == edge
        edge.append(tree().leaves[size])


@pytest.mark.parametrize("size", [0, *BOUNDARIES])
def test_a_loaded_edge_goes_on(size: int) -> None:
    """Past the next tile's end, with the roots and the tiles of the definition."""
    edge, last = load(size), size + 300
    full = [tile for one in tree().leaves[size:last] for tile in edge.append(one)]
    assert edge.root == tree().root(0, last)
    assert edge == load(last)
    begun = range(size // 256, last // 256)
    assert [tile for tile in full if tile.level == 0] == [defined(0, number) for number in begun]
    above = [tile for tile in full if tile.level == 1]
    assert above == [defined(1, number) for number in range(size // 65_536, last // 65_536)]
