"""The tiles that a tree is published in (C2SP tlog-tiles): names, widths, and which tile holds
a node. No storage.

A tile is up to 256 hashes side by side: on level 0 those of leaves, on level L+1 the roots of
full tiles of level L. A full tile never changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from domain.ledger.errors import MalformedTile
from domain.ledger.merkle import HASH_BYTES, MAX_SIZE, Node, node_hash

HEIGHT = 8
WIDTH = 1 << HEIGHT
FULL_BYTES = WIDTH * HASH_BYTES
# Higher tiles would have no hash in them: a tree has fewer than 2^63 leaves (merkle.MAX_SIZE).
MAX_LEVEL = 7
# Above the longest: `0/`, six groups of three digits, and the width of a partial tile.
_MAX_PATH = 64

_PATH = re.compile(
    r"(?P<level>[0-7])/(?P<groups>(?:x[0-9]{3}/)*)(?P<last>[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, order=True)
class Tile:
    """The place of a tile, and how many hashes of it there are: 1 to 256."""

    level: int
    number: int
    width: int = WIDTH

    @property
    def full(self) -> bool:
        """Whether it can grow no more."""
        return self.width == WIDTH

    @property
    def path(self) -> str:
        """Its name behind `/ledger/tile/`: `0/x001/x234/067`, `1/000.p/17`."""
        groups = [f"{self.number % 1000:03d}"]
        rest = self.number // 1000
        while rest:
            groups.append(f"x{rest % 1000:03d}")
            rest //= 1000
        partial = "" if self.full else f".p/{self.width}"
        return f"{self.level}/{'/'.join(reversed(groups))}{partial}"

    @classmethod
    def at(cls, path: str) -> Self:
        """The tile of a path. Raises MalformedTile for all but the one spelling of each, and for
        tiles that no tree is large enough to have."""
        found = _PATH.fullmatch(path) if len(path) <= _MAX_PATH else None
        if found is None:
            raise MalformedTile("not the path of a tile")
        digits = found["groups"].replace("x", "").replace("/", "") + found["last"]
        tile = cls(int(found["level"]), int(digits), int(found["width"] or WIDTH))
        # A full tile has no width in its path, and there is none wider: `.p/256` is refused.
        if tile.path != path or tile.width > WIDTH or not exists(tile, MAX_SIZE):
            raise MalformedTile("not the path of a tile")
        return tile

    @property
    def nodes(self) -> list[Node]:
        """The nodes whose hashes it holds, from left to right."""
        first = self.number * WIDTH
        return [(self.level * HEIGHT, first + one) for one in range(self.width)]


def width(level: int, size: int) -> int:
    """The width of the partial tile at the right edge of a level: floor(size / 256^L) mod 256.
    0 means that there is none: it is never served empty."""
    return (size >> level * HEIGHT) % WIDTH


def hashes(level: int, size: int) -> int:
    """How many hashes a level has in a tree of `size` leaves."""
    return size >> level * HEIGHT


def exists(tile: Tile, size: int) -> bool:
    """Whether every hash of the tile is there in a tree of `size` leaves."""
    return tile.number * WIDTH + tile.width <= hashes(tile.level, size)


def full_tiles(size: int) -> int:
    """How many full tiles a tree of `size` leaves has: the sum of floor(size / 256^k), k > 0."""
    total, size = 0, size >> HEIGHT
    while size:
        total, size = total + size, size >> HEIGHT
    return total


def of_tree(size: int) -> Iterator[Tile]:
    """Every tile of a tree, level by level, each level's partial one last."""
    level = 0
    while hashes(level, size):
        full, partial = divmod(hashes(level, size), WIDTH)
        for number in range(full):
            yield Tile(level, number)
        if partial:
            yield Tile(level, full, partial)
        level += 1


def holding(node: Node) -> tuple[int, int, int, int]:
    """Where a node's hash comes from: level and number of the tile, the first of its hashes
    under the node, and how many: a node between two levels is the root over some of them."""
    height, number = node
    level, above = divmod(height, HEIGHT)
    first = number << above
    return level, first // WIDTH, first % WIDTH, 1 << above


def root_of(data: bytes) -> bytes:
    """The root over the hashes of a full tile, or over 2^k neighbours in it. Raises MalformedTile
    for any other number of bytes: what is stored may have been tampered with."""
    count, rest = divmod(len(data), HASH_BYTES)
    if rest or not 0 < count <= WIDTH or count & (count - 1):
        raise MalformedTile("not the hashes of a complete subtree")
    row = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]
