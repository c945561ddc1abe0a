"""The tree of RFC 6962: published vectors, every small size as it is defined, and forgeries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import pytest

from domain.ledger.errors import ProofError
from domain.ledger.merkle import (
    EMPTY_ROOT,
    MAX_PROOF,
    MAX_SIZE,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from tests.domain.trees import Defined, leaf, sides, turns

LARGEST = 130
ALL_KINDS_UP_TO = 20
TREE = Defined([leaf(number) for number in range(LARGEST)])

# The test tree of Certificate Transparency's own implementations.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
CT_LEAVES += ["606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
_H01 = CT_ROOTS[2]
_H03 = CT_ROOTS[4]
_L0 = CT_ROOTS[1]
_L1 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_H23 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_L4 = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_H45 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
_H67 = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_H47 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
CT = Defined([leaf_hash(bytes.fromhex(one)) for one in CT_LEAVES])


def unhex(*texts: str) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    try:
        verify_inclusion(leaf, index, size, proof, root)
    except ProofError:
        return False
    return True


def consistent(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    try:
        verify_consistency(old, old_root, new, new_root, proof)
    except ProofError:
        return False
    return True


def changed(proof: list[bytes], turn: int) -> Iterator[list[bytes]]:
    """Every proof that is one change away: a bit, a hash less, twice, elsewhere, or more."""
    for at, one in enumerate(proof):
        bit = (turn + at) % 256
        flipped = bytearray(one)
        flipped[bit // 8] ^= 1 << bit % 8
        yield [*proof[:at], bytes(flipped), *proof[at + 1 :]]
        yield [*proof[:at], *proof[at + 1 :]]
        yield [*proof[: at + 1], *proof[at:]]
        yield [*proof[:at], one[:-1], *proof[at + 1 :]]
        yield [*proof[:at], one + b"\0", *proof[at + 1 :]]
        if at and one != proof[at - 1]:
            yield [*proof[: at - 1], one, proof[at - 1], *proof[at + 1 :]]
    yield [*proof, b""]
    yield [*proof, bytes(32)]
    yield [bytes(32), *proof]
    yield [*proof, *[bytes(32)] * MAX_PROOF]


def some(size: int, turn: int, of: Iterator[list[bytes]]) -> list[list[bytes]]:
    """All changes for a small tree, and one for a larger, another one each time."""
    every = list(of)
    return every if size <= ALL_KINDS_UP_TO else [every[turn % len(every)]]


def test_leaves_and_nodes_are_hashed_with_their_prefix() -> None:
    """A node never passes for a leaf (RFC 6962, 2.1)."""
    assert leaf_hash(b"a") == hashlib.sha256(b"\x00a").digest()
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) == hashlib.sha256(b"\x01" + left + right).digest()
    assert leaf_hash(left + right) != node_hash(left, right)
    assert EMPTY_ROOT == bytes.fromhex(CT_ROOTS[0])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_that_were_published(size: int) -> None:
    """The tree of eight leaves that other people's programs are tested with."""
    grown = Frontier()
    for one in CT_LEAVES[:size]:
        grown.append(leaf_hash(bytes.fromhex(one)))
    assert grown.root == root(CT.nodes, size) == bytes.fromhex(CT_ROOTS[size])


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        (0, 1, []),
        (0, 8, [_L1, _H23, _H47]),
        (5, 8, [_L4, _H67, _H03]),
        (2, 3, [_H01]),
        (1, 5, [_L0, _H23, _L4]),
    ],
)
def test_inclusion_proofs_are_those_that_were_published(
    index: int, size: int, proof: list[str]
) -> None:
    """From the leaf's sibling to the root's child."""
    assert inclusion_proof(CT.nodes, index, size) == unhex(*proof)
    [expected] = unhex(CT_ROOTS[size])
    verify_inclusion(CT.leaves[index], index, size, unhex(*proof), expected)


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        (1, 1, []),
        (1, 8, [_L1, _H23, _H47]),
        (6, 8, [_H45, _H67, _H03]),
        (2, 5, [_H23, _L4]),
    ],
)
def test_consistency_proofs_are_those_that_were_published(
    old: int, new: int, proof: list[str]
) -> None:
    """A complete older tree is not in its own proof."""
    assert consistency_proof(CT.nodes, old, new) == unhex(*proof)
    before, after = unhex(CT_ROOTS[old], CT_ROOTS[new])
    verify_consistency(old, before, new, after, unhex(*proof))


def test_every_small_tree_has_the_root_of_the_definition() -> None:
    """Grown leaf by leaf, or read from nodes, for every size up to 130."""
    grown = Frontier()
    for size in range(LARGEST + 1):
        assert grown.root == root(TREE.nodes, size) == TREE.root(0, size)
        assert grown == Frontier.of(TREE.nodes, size)
        if size < LARGEST:
            completed = grown.append(TREE.leaves[size])
            assert [found for _, found in completed] == TREE.nodes([node for node, _ in completed])
            assert len(completed) == (size + 1 & -(size + 1)).bit_length()


def test_every_small_inclusion_proof_is_that_of_the_definition_and_no_other_is_taken() -> None:
    """Every leaf of every size: the proof verifies, and changed in one place it does not."""
    for size in range(1, LARGEST + 1):
        whole = TREE.root(0, size)
        for index in range(size):
            one, turn = TREE.leaves[index], index * LARGEST + size
            proof = inclusion_proof(TREE.nodes, index, size)
            assert proof == TREE.path(index, 0, size)
            assert included(one, index, size, proof, whole)
            for forged in some(size, turn, changed(proof, turn)):
                assert not included(one, index, size, forged, whole), (index, size)
            other = TREE.leaves[index - 1] if size > 1 else leaf(1)
            assert not included(other, index, size, proof, whole)
            assert not included(one, index, size, proof, TREE.root(0, size - 1))
            assert not included(one, size, size, proof, whole)


def test_an_inclusion_proof_holds_for_one_index() -> None:
    """And for one size, as far as a root tells sizes apart: where the way from the leaf to the
    root is the same in both, it is the checkpoint that says the size."""
    for size in range(1, ALL_KINDS_UP_TO + 1):
        for index in range(size):
            proof, whole = TREE.path(index, 0, size), TREE.root(0, size)
            for other in range(-1, size + 2):
                taken = included(TREE.leaves[index], other, size, proof, whole)
                assert taken == (other == index)
            for other in range(2 * size + 2):
                same = other > index and sides(index, other) == sides(index, size)
                assert included(TREE.leaves[index], index, other, proof, whole) == same


def test_every_small_consistency_proof_is_that_of_the_definition_and_no_other_is_taken() -> None:
    """Every two sizes: the proof verifies, and changed in one place it does not."""
    for new in range(1, LARGEST + 1):
        after = TREE.root(0, new)
        for old in range(1, new + 1):
            before, turn = TREE.root(0, old), old * LARGEST + new
            proof = consistency_proof(TREE.nodes, old, new)
            assert proof == TREE.proof(old, new)
            assert consistent(old, before, new, after, proof)
            for forged in some(new, turn, changed(proof, turn)):
                assert not consistent(old, before, new, after, forged), (old, new)
            assert not consistent(old, leaf(LARGEST), new, after, proof)
            assert not consistent(old, before, new, leaf(LARGEST), proof)
            assert old == new or not consistent(old, after, new, before, proof)


def test_a_consistency_proof_holds_for_one_older_size() -> None:
    """And for one newer size, as far as the roots tell: the checkpoints say the sizes."""
    for new in range(1, ALL_KINDS_UP_TO + 1):
        for old in range(1, new + 1):
            proof, before, after = TREE.proof(old, new), TREE.root(0, old), TREE.root(0, new)
            sizes = [(other, new) for other in range(new + 2)]
            sizes += [(old, other) for other in range(2 * new + 2)]
            for first, second in sizes:
                possible = 0 < first <= second
                same = possible and turns(first, second) == turns(old, new)
                assert consistent(first, before, second, after, proof) == same, (first, second)


@pytest.mark.parametrize(
    ("old", "new"),
    [(0, 0), (0, 1), (2, 1), (-1, 1), (1, MAX_SIZE + 1), (10**5000, 10**5000)],
    ids=range(6),  # a number of 5,000 digits cannot be written
)
def test_nothing_is_consistent_with_an_empty_or_a_larger_tree(old: int, new: int) -> None:
    """From size 0 a proof would prove nothing, and no tree shrinks or outgrows 2^63 - 1."""
    with pytest.raises(ProofError):
        consistency_proof(TREE.nodes, old, new)
    with pytest.raises(ProofError):
        verify_consistency(old, EMPTY_ROOT, new, EMPTY_ROOT, [])


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (1, 1), (-1, 1), (0, -1), (0, MAX_SIZE + 1), (0, 1 << 10**6)],
    ids=range(6),
)
def test_no_leaf_is_outside_of_its_tree(index: int, size: int) -> None:
    """Refused at once, however large the number."""
    with pytest.raises(ProofError):
        inclusion_proof(TREE.nodes, index, size)
    with pytest.raises(ProofError):
        verify_inclusion(leaf(0), index, size, [], leaf(0))


@pytest.mark.parametrize("size", [-1, MAX_SIZE + 1])
def test_no_tree_is_smaller_than_empty_or_larger_than_positions(size: int) -> None:
    """A size from outside is never counted down from."""
    with pytest.raises(ProofError):
        root(TREE.nodes, size)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_hash_has_32_bytes(length: int) -> None:
    """Wherever it stands: as leaf, as root, in the proof."""
    odd, [one, other] = bytes(length), TREE.leaves[:2]
    both = node_hash(one, other)
    for arguments in [(odd, [other], both), (one, [odd], both), (one, [other], odd)]:
        with pytest.raises(ProofError, match="32 bytes"):
            verify_inclusion(arguments[0], 0, 2, arguments[1], arguments[2])
    for first, proof, second in [(odd, [other], both), (one, [odd], both), (one, [other], odd)]:
        with pytest.raises(ProofError, match="32 bytes"):
            verify_consistency(1, first, 2, second, proof)


def test_the_largest_tree_has_proofs_of_at_most_63_hashes() -> None:
    """C2SP tlog-witness allows no more, and none needs more."""

    def nodes(wanted: Sequence[tuple[int, int]]) -> list[bytes]:
        return [hashlib.sha256(repr(node).encode()).digest() for node in wanted]

    size = MAX_SIZE
    whole, [first] = root(nodes, size), nodes([(0, 0)])
    proof = inclusion_proof(nodes, 0, size)
    assert len(proof) == len(consistency_proof(nodes, 1, size)) == MAX_PROOF
    # The nodes are made up, so only the length is right: it is walked to its end.
    with pytest.raises(ProofError, match="not in the tree"):
        verify_inclusion(first, 0, size, proof, whole[::-1])
    with pytest.raises(ProofError, match="too long"):
        verify_inclusion(first, 0, size, [*proof, first], whole)
    with pytest.raises(ProofError, match="too short"):
        verify_inclusion(first, 0, size, proof[:-1], whole)
