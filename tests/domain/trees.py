"""The Merkle tree as RFC 6962, section 2.1, defines it: written from its text, for comparison."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field


def leaf(number: int) -> bytes:
    """The hash of the entry `entry <number>`."""
    return hashlib.sha256(b"\x00entry %d" % number).digest()


@dataclass
class Defined:
    """A list of leaf hashes D, and what the definition says about its parts D[begin:end]."""

    leaves: Sequence[bytes]
    _roots: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def root(self, begin: int, end: int) -> bytes:
        """MTH(D[begin:end])."""
        if (begin, end) not in self._roots:
            self._roots[begin, end] = self._root(begin, end)
        return self._roots[begin, end]

    def _root(self, begin: int, end: int) -> bytes:
        if begin == end:
            return hashlib.sha256(b"").digest()
        if end - begin == 1:
            return self.leaves[begin]
        k = begin + split(end - begin)
        return hashlib.sha256(b"\x01" + self.root(begin, k) + self.root(k, end)).digest()

    def path(self, m: int, begin: int, end: int) -> list[bytes]:
        """PATH(m, D[begin:end]), with m counted from `begin`."""
        if end - begin == 1:
            return []
        k = split(end - begin)
        if m < k:
            return [*self.path(m, begin, begin + k), self.root(begin + k, end)]
        return [*self.path(m - k, begin + k, end), self.root(begin, begin + k)]

    def proof(self, m: int, n: int) -> list[bytes]:
        """PROOF(m, D[0:n])."""
        return self._subproof(m, 0, n, whole=True)

    def _subproof(self, m: int, begin: int, end: int, *, whole: bool) -> list[bytes]:
        if m == end - begin:
            return [] if whole else [self.root(begin, end)]
        k = split(end - begin)
        if m <= k:
            return [*self._subproof(m, begin, begin + k, whole=whole), self.root(begin + k, end)]
        right = self._subproof(m - k, begin + k, end, whole=False)
        return [*right, self.root(begin, begin + k)]

    def nodes(self, wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        """The nodes that proofs are made of, as storage would give them."""
        return [self.root(number << height, number + 1 << height) for height, number in wanted]

    def tile(self, level: int, number: int, width: int) -> bytes:
        """C2SP tlog-tiles: MTH(D[(n * 256 + i) * 256**l : (n * 256 + i + 1) * 256**l]) each."""
        first, below = number * 256, 256**level
        places = range(first, first + width)
        return b"".join(self.root(at * below, (at + 1) * below) for at in places)


def split(size: int) -> int:
    """k, the largest power of two smaller than n."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def sides(m: int, n: int) -> list[str]:
    """On which side each hash of PATH(m, D[n]) is joined."""
    if n == 1:
        return []
    k = split(n)
    return [*sides(m, k), "right"] if m < k else [*sides(m - k, n - k), "left"]


def turns(m: int, n: int, *, whole: bool = True) -> list[str]:
    """What each hash of PROOF(m, D[n]) is: where it begins, and on which side it is joined."""
    if m == n:
        return ["given" if whole else "first"]
    k = split(n)
    if m <= k:
        return [*turns(m, k, whole=whole), "right"]
    return [*turns(m - k, n - k, whole=False), "left"]
