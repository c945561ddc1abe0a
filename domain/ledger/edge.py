"""The right edge of the tree, growing: what a sequencer keeps, and what verification replays.

No storage: leaves go in, full tiles and roots come out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from domain.ledger.merkle import Frontier, Nodes
from domain.ledger.tiles import HEIGHT, Tile, width


@dataclass(frozen=True)
class FullTile:
    """A tile that just became full, with its hashes and the root over them."""

    level: int
    number: int
    root: bytes
    data: bytes


@dataclass
class Edge:
    """The complete subtrees at the right edge, and the hashes of each level's partial tile."""

    frontier: Frontier = field(default_factory=Frontier)
    partial: list[bytearray] = field(default_factory=list)

    @classmethod
    def load(cls, nodes: Nodes, tile: Callable[[Tile], bytes], size: int) -> Self:
        """The edge of the first `size` leaves, from whoever has the nodes and the tiles."""
        edge, level = cls(Frontier.of(nodes, size)), 0
        while size >> level * HEIGHT:
            here = width(level, size)
            number = size >> (level + 1) * HEIGHT
            edge.partial.append(bytearray(tile(Tile(level, number, here)) if here else b""))
            level += 1
        return edge

    @property
    def size(self) -> int:
        """How many leaves there are."""
        return self.frontier.size

    @property
    def root(self) -> bytes:
        """The root over them."""
        return self.frontier.root

    def append(self, leaf: bytes) -> list[FullTile]:
        """Append a leaf's hash; return the tiles that it made full, the lowest level first."""
        full: list[FullTile] = []
        for (height, number), found in self.frontier.append(leaf):
            level, between = divmod(height, HEIGHT)
            if between:
                continue
            if level:
                # The root of a tile is a hash of the level above, so the tile below is full.
                data = bytes(self.partial[level - 1])
                full.append(FullTile(level - 1, number, found, data))
                self.partial[level - 1].clear()
            if level == len(self.partial):
                self.partial.append(bytearray())
            self.partial[level] += found
        return full
