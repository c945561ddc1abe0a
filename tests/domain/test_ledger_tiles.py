"""Tiles: their names, which there are, and which of them holds a node (C2SP tlog-tiles)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.ledger.errors import MalformedTile
from domain.ledger.merkle import MAX_SIZE
from domain.ledger.tiles import (
    Tile,
    exists,
    full_tiles,
    hashes,
    holding,
    of_tree,
    root_of,
    width,
)
from tests.domain.trees import Defined, leaf

# The last full tiles of the largest tree, and the partial one behind them.
LAST = MAX_SIZE // 256
PATHS = [
    (Tile(0, 0), "0/000"),
    (Tile(0, 0, 1), "0/000.p/1"),
    (Tile(0, 999), "0/999"),
    (Tile(0, 1000), "0/x001/000"),
    (Tile(0, 273, 112), "0/273.p/112"),
    (Tile(1, 0, 17), "1/000.p/17"),
    (Tile(3, 1234067), "3/x001/x234/067"),
    (Tile(2, 1234067, 255), "2/x001/x234/067.p/255"),
    (Tile(7, 0, 127), "7/000.p/127"),
    (Tile(0, LAST, 255), "0/x036/x028/x797/x018/x963/967.p/255"),
    (Tile(0, LAST - 1), "0/x036/x028/x797/x018/x963/966"),
]


@pytest.mark.parametrize(("tile", "path"), PATHS, ids=[path for _, path in PATHS])
def test_a_tile_has_this_path(tile: Tile, path: str) -> None:
    """Groups of three digits, all but the last with an x before them."""
    assert tile.path == path
    assert Tile.at(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "0",
        "0/",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000/000",
        "0/x000/x001/000",
        "0/001/000",
        "0/x001",
        "0/x001/",
        "0/x01/000",
        "0/X001/000",
        "00/000",
        "01/000",
        "+1/000",
        "-1/000",
        "8/000",
        "63/000",
        "entries/000",
        "0//000",
        "/0/000",
        "0/000/",
        "0/000.p",
        "0/000.p/",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/257",
        "0/000.p/300",
        "0/000.p/999",
        "0/000.p/1000",
        "0/000.p/1/",
        "0/000.P/1",
        "0/000.p/\u0661",
        "\u0660/000",
        "0/00\u00b2",
        "0/000\n",
        " 0/000",
        "0/000?",
        "0/000%2ep/1",
        "0/../000",
        "7/000.p/128",
        "7/000",
        "7/001.p/1",
        "0/x036/x028/x797/x018/x963/967",
        "0/x036/x028/x797/x018/x963/968.p/1",
        "0/x999/x999/x999/x999/x999/999",
        "0/" + "x001/" * 100_000 + "000",
        "0/" + "0" * 1_000_000,
        "\ud800",
    ],
    ids=lambda path: ascii(path[:40]),
)
def test_no_other_path_is_a_tile(path: str) -> None:
    """One spelling for each, and none for what no tree can have: caches hold nothing twice."""
    with pytest.raises(MalformedTile):
        Tile.at(path)


def test_a_tree_of_70000_is_these_tiles() -> None:
    """The example of the specification."""
    tiles = list(of_tree(70_000))
    assert [tile for tile in tiles if not tile.full] == [
        Tile(0, 273, 112),
        Tile(1, 1, 17),
        Tile(2, 0, 1),
    ]
    assert [tile for tile in tiles if tile.full] == [
        *(Tile(0, number) for number in range(273)),
        Tile(1, 0),
    ]
    assert full_tiles(70_000) == 274
    assert [width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]


def test_a_tree_of_256_has_a_full_tile_and_its_root() -> None:
    """The other example; and no tile is ever empty."""
    assert list(of_tree(256)) == [Tile(0, 0), Tile(1, 0, 1)]
    assert list(of_tree(255)) == [Tile(0, 0, 255)]
    assert list(of_tree(0)) == []


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 200_000])
def test_a_tile_exists_when_all_its_hashes_do(size: int) -> None:
    """What is listed exists, and nothing wider and nothing further right does."""
    tiles = list(of_tree(size))
    assert sum(tile.full for tile in tiles) == full_tiles(size)
    for tile in tiles:
        assert exists(tile, size)
        assert not exists(tile, (tile.number * 256 + tile.width - 1) << 8 * tile.level)
        if not tile.full:
            assert not exists(replace(tile, width=tile.width + 1), size)
            assert not exists(Tile(tile.level, tile.number), size)
            assert tile.width == width(tile.level, size)
            assert tile.number * 256 + tile.width == hashes(tile.level, size)
    assert not exists(Tile(0, size // 256), size)


def test_a_tile_names_its_nodes() -> None:
    """Level 1 is eight heights above level 0."""
    assert Tile(0, 0, 2).nodes == [(0, 0), (0, 1)]
    assert Tile(1, 3, 2).nodes == [(8, 768), (8, 769)]
    assert len(Tile(2, 5).nodes) == 256


def test_every_node_is_held_by_one_tile() -> None:
    """Its root is that over as many hashes of the tile as stand under it."""
    tree = Defined([leaf(number) for number in range(520)])
    for height in range(10):
        for number in range(520 >> height):
            level, tile, first, count = holding((height, number))
            data = tree.tile(level, tile, first + count)[first * 32 :]
            assert [root_of(data)] == tree.nodes([(height, number)])


@pytest.mark.parametrize("length", [0, 1, 31, 33, 96, 255 * 32, 257 * 32, 512 * 32])
def test_only_complete_subtrees_have_a_root_here(length: int) -> None:
    """A stored tile that somebody cut or stretched is refused and not misread."""
    with pytest.raises(MalformedTile):
        root_of(bytes(length))
