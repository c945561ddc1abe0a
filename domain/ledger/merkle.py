"""The Merkle tree of RFC 6962, section 2: hashes, proofs and what verifies them. No storage.

A tree over n leaves splits at the largest power of two below n. A *node* is the root of a
complete subtree, named by its height and number: node (h, i) stands over the leaves
i·2^h up to (i+1)·2^h. A node never changes once its leaves are there, so whoever can read nodes
can make every proof about every size the tree ever had.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from domain.ledger.errors import ProofError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
# A position is a BIGINT of the database, and 63 bits in other people's programs.
MAX_SIZE = 2**63 - 1
# C2SP tlog-witness: 63 hashes prove consistency between any two trees that can exist.
MAX_PROOF = 63

Node = tuple[int, int]
# Gives the hashes of nodes, in their order.
Nodes = Callable[[Sequence[Node]], list[bytes]]


def leaf_hash(content: bytes) -> bytes:
    """SHA-256(00 ‖ content). The prefix keeps a leaf from passing for a node (RFC 6962, 2.1)."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, the largest first.

    Enough to append and to know the root; at most 63 hashes for any size.
    """

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, nodes: Nodes, size: int) -> Self:
        """The right edge of the first `size` leaves. Raises ProofError for no possible size."""
        if not 0 <= size <= MAX_SIZE:
            raise ProofError("no tree has this size")
        return cls(size, nodes(list(_complete(0, size))))

    def append(self, leaf: bytes) -> list[tuple[Node, bytes]]:
        """Append a leaf's hash; return every node that it completes, the leaf itself first."""
        position, height, top = self.size, 0, leaf
        completed = [((0, position), leaf)]
        while position >> height & 1:
            top = node_hash(self.hashes.pop(), top)
            height += 1
            completed.append(((height, position >> height), top))
        self.hashes.append(top)
        self.size += 1
        return completed

    @property
    def root(self) -> bytes:
        """The root of the whole tree."""
        return _join(self.hashes) if self.hashes else EMPTY_ROOT


def root(nodes: Nodes, size: int) -> bytes:
    """The root of the first `size` leaves. Raises ProofError for no possible size."""
    return Frontier.of(nodes, size).root


def inclusion_proof(nodes: Nodes, index: int, size: int) -> list[bytes]:
    """The audit path of RFC 6962, 2.1.1: from the leaf's sibling to the root's child.

    Raises ProofError unless 0 <= index < size <= MAX_SIZE.
    """
    _check_index(index, size)
    return _resolve(nodes, list(_siblings(index, 0, size)))


def consistency_proof(nodes: Nodes, old: int, new: int) -> list[bytes]:
    """The proof of RFC 6962, 2.1.2, that the tree of `new` leaves begins with that of `old`.

    Raises ProofError unless 0 < old <= new <= MAX_SIZE: everything is consistent with nothing.
    """
    _check_sizes(old, new)
    return _resolve(nodes, list(_changed(old, 0, new, whole=True)))


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], expected_root: bytes
) -> None:
    """Raise ProofError unless the leaf hash stands at `index` of the tree with this root.

    RFC 9162, 2.1.3.2: takes exactly the proof that `inclusion_proof` makes, no longer one and
    no shorter one.
    """
    _check_index(index, size)
    _check_hashes(leaf, expected_root, proof)
    node, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            # On the right edge a node without a sibling is its own parent.
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    if found != expected_root:
        raise ProofError("the leaf is not in the tree of this root")


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofError unless the tree of `new` leaves begins with that of `old` (RFC 9162,
    2.1.4.2). A proof from size 0 is refused: it would prove nothing."""
    _check_sizes(old, new)
    _check_hashes(old_root, new_root, proof)
    if old == new:
        if proof:
            raise ProofError("the proof is too long")
        if old_root != new_root:
            raise ProofError("two roots for one size")
        return
    # A complete old tree is a node of the new one: its root is not in the proof but given.
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        raise ProofError("the proof is too short")
    before, after = _both_roots(old, new, path)
    if before != old_root:
        raise ProofError("the proof is not about the older tree")
    if after != new_root:
        raise ProofError("the newer tree does not begin with the older one")


def _both_roots(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofError("the proof is too long")
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise ProofError("the proof is too short")
    return before, after


# Sizes are bounded before anything is counted down from them, and never quoted: a number of a
# million digits would cost minutes, and cannot even be written into a message.
def _check_index(index: int, size: int) -> None:
    if not 0 <= index < size <= MAX_SIZE:
        raise ProofError("no such leaf in a tree of this size")


def _check_sizes(old: int, new: int) -> None:
    if not 0 < old <= new <= MAX_SIZE:
        raise ProofError("no proof between trees of these sizes")


def _check_hashes(first: bytes, second: bytes, proof: Sequence[bytes]) -> None:
    if len(proof) > MAX_PROOF:
        raise ProofError("the proof is too long")
    if any(len(one) != HASH_BYTES for one in (first, second, *proof)):
        raise ProofError(f"a hash has {HASH_BYTES} bytes")


def _split(size: int) -> int:
    """The largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _complete(begin: int, size: int) -> Iterator[Node]:
    """The complete subtrees of `size` leaves from `begin`, from left to right: one for each bit.
    `begin` is a multiple of every power of two in `size`, as it is in a tree."""
    while size:
        height = size.bit_length() - 1
        yield height, begin >> height
        begin, size = begin + (1 << height), size - (1 << height)


def _join(hashes: Sequence[bytes]) -> bytes:
    """The root over complete subtrees that stand side by side, the largest first."""
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = node_hash(left, joined)
    return joined


# A range of leaves (begin, size), whose root is a hash of a proof.
_Range = tuple[int, int]


def _siblings(index: int, begin: int, size: int) -> Iterator[_Range]:
    """PATH(m, D[n]) of RFC 6962, 2.1.1, as ranges, from the leaf up."""
    if size == 1:
        return
    left = _split(size)
    if index < left:
        yield from _siblings(index, begin, left)
        yield begin + left, size - left
    else:
        yield from _siblings(index - left, begin + left, size - left)
        yield begin, left


def _changed(old: int, begin: int, size: int, *, whole: bool) -> Iterator[_Range]:
    """SUBPROOF(m, D[n], b) of RFC 6962, 2.1.2, as ranges."""
    if old == size:
        if not whole:
            yield begin, size
        return
    left = _split(size)
    if old <= left:
        yield from _changed(old, begin, left, whole=whole)
        yield begin + left, size - left
    else:
        yield from _changed(old - left, begin + left, size - left, whole=False)
        yield begin, left


def _resolve(nodes: Nodes, ranges: Sequence[_Range]) -> list[bytes]:
    """The root of each range. All nodes are asked for at once: storage reads them together."""
    parts = [list(_complete(begin, size)) for begin, size in ranges]
    hashes = iter(nodes([node for part in parts for node in part]))
    return [_join([next(hashes) for _ in part]) for part in parts]
