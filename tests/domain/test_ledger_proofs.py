"""Proof files, byte for byte (C2SP tlog-proof)."""

from __future__ import annotations

import base64

import pytest

from domain.ledger.errors import MalformedProof
from domain.ledger.merkle import MAX_PROOF, MAX_SIZE
from domain.ledger.proofs import Proof

ONE = bytes(range(32))
# Put together by hand, with a checkpoint that is not looked into.
CHECKPOINT = b"example.com/fancylog\n109482\n...\n\n\xe2\x80\x94 x y\n"
VECTOR = (
    b"c2sp.org/tlog-proof@v1\n"
    b"extra ZXh0cmE=\n"
    b"index 73894\n"
    b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
    b"gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
    b"\n" + CHECKPOINT
)
PROOF = Proof(
    index=73894,
    hashes=(
        ONE,
        bytes.fromhex("8122b25e861952067a8ddb9662b9033804629ce30626f7978e032405371d3e54"),
    ),
    checkpoint=CHECKPOINT,
    extra=b"extra",
)


def test_a_proof_is_these_bytes() -> None:
    """Extra data, index, hashes, an empty line, and the checkpoint as it was."""
    assert PROOF.encode() == VECTOR
    assert Proof.parse(VECTOR) == PROOF


@pytest.mark.parametrize(
    "proof",
    [
        Proof(0, (), CHECKPOINT),
        Proof(0, (), b""),
        Proof(0, (), b"\n\n\n"),
        Proof(1, (ONE,), b"\xff\x00"),
        Proof(MAX_SIZE - 1, (ONE,) * MAX_PROOF, CHECKPOINT, extra=b"\x00"),
    ],
    ids=range(5),
)
def test_a_proof_comes_back(proof: Proof) -> None:
    """The only leaf of a tree needs no hash; no checkpoint is touched, not even a wrong one."""
    assert Proof.parse(proof.encode()) == proof


def swap(old: bytes, new: bytes) -> bytes:
    assert old in VECTOR
    return VECTOR.replace(old, new, 1)


HASH = base64.b64encode(ONE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n",
        b"\n\n" + CHECKPOINT,
        b"c2sp.org/tlog-proof@v1",
        b"c2sp.org/tlog-proof@v1\n\n" + CHECKPOINT,
        b"c2sp.org/tlog-proof@v1\nextra ZXh0cmE=\n\n" + CHECKPOINT,
        b"\xef\xbb\xbf" + VECTOR,
        b" " + VECTOR,
        b"\n" + VECTOR,
        VECTOR.replace(b"\n", b"\r\n"),
        VECTOR[: VECTOR.index(b"\n\n") + 1],
        swap(b"@v1", b"@v2"),
        swap(b"@v1", b"@v1 "),
        swap(b"extra ZXh0cmE=", b"extra "),
        swap(b"extra ZXh0cmE=", b"extra"),
        swap(b"extra ZXh0cmE=", b"Extra ZXh0cmE="),
        swap(b"extra ZXh0cmE=", b"extra  ZXh0cmE="),
        swap(b"extra ZXh0cmE=", b"extra ZXh0cmE"),
        swap(b"extra ZXh0cmE=", b"extra ZXh0cmF="),  # the same bytes, with other spare bits
        swap(b"extra ZXh0cmE=", b"extra ZXh0cmE=="),
        swap(b"extra ZXh0cmE=", b"extra ZXh0cmE= "),
        swap(b"extra ZXh0cmE=", b"extra ZXh0cmE=\nextra ZXh0cmE="),
        swap(b"extra ZXh0cmE=\nindex 73894", b"index 73894\nextra ZXh0cmE="),
        swap(b"index 73894", b"index 73894\nindex 73894"),
        swap(b"index 73894\n", b""),
        swap(b"73894", b""),
        swap(b"73894", b"073894"),
        swap(b"73894", b"00"),
        swap(b"73894", b"+73894"),
        swap(b"73894", b"-1"),
        swap(b"73894", b"73_894"),
        swap(b"73894", b"73894 "),
        swap(b"73894", b"0x1"),
        swap(b"73894", "\u0663".encode()),
        swap(b"73894", str(MAX_SIZE).encode()),
        swap(b"73894", b"9" * 19),
        swap(b"73894", b"9" * 100_000),
        swap(HASH, HASH[:-1]),
        swap(HASH, HASH + b"="),
        swap(HASH, HASH + b" "),
        swap(HASH, b" " + HASH),
        swap(HASH, b"\t" + HASH),
        swap(HASH, HASH[:8] + b"\r" + HASH[8:]),
        swap(HASH, HASH.replace(b"Hh8=", b"Hh9=")),
        swap(HASH, base64.b64encode(bytes(31))),
        swap(HASH, base64.b64encode(bytes(33))),
        swap(HASH, base64.urlsafe_b64encode(b"\xff" * 32)),
        swap(HASH, HASH.decode().replace("A", "\uff21", 1).encode()),
        swap(HASH, b"\n".join([HASH] * MAX_PROOF)),
        VECTOR + b"\n" * 2_000_000,
    ],
    ids=lambda content: repr(content[22:70]),
)
def test_no_other_bytes_are_a_proof(content: bytes) -> None:
    """One spelling: white space, order, padding, leading zeros, all of it."""
    with pytest.raises(MalformedProof):
        Proof.parse(content)


@pytest.mark.parametrize(
    ("index", "hashes", "extra"),
    [
        (-1, (), None),
        (MAX_SIZE, (), None),
        (0, (b"",), None),
        (0, (bytes(33),), None),
        (0, (ONE,) * (MAX_PROOF + 1), None),
        (0, (), b""),
    ],
    ids=range(6),
)
def test_what_is_no_proof_is_not_made(
    index: int, hashes: tuple[bytes, ...], extra: bytes | None
) -> None:
    """What could be written but not read again never leaves."""
    with pytest.raises(MalformedProof):
        Proof(index, hashes, CHECKPOINT, extra)
