"""Whatever comes in: a value or a FormatError, and what is accepted is written as it was read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ledger import entry
from domain.ledger.checkpoints import Checkpoint, trusted
from domain.ledger.errors import FormatError, LedgerError, MalformedEntry, ProofError
from domain.ledger.merkle import (
    MAX_PROOF,
    MAX_SIZE,
    consistency_proof,
    inclusion_proof,
    verify_consistency,
    verify_inclusion,
)
from domain.ledger.notes import Note, SignerKey, VerifierKey
from domain.ledger.proofs import Proof
from domain.ledger.tiles import Tile, exists
from tests.domain.signing import (
    CHECKPOINT,
    LOG,
    LOG_LINE,
    LOG_SIGNER,
    NOTE,
    PETER,
    SPECIFIED,
    WITNESS,
    WITNESS_LINE,
)
from tests.domain.trees import Defined, leaf

COSIGNED = CHECKPOINT + b"\n" + (LOG_LINE + WITNESS_LINE).encode()
ENTRY = (
    b'{"at":"2026-11-22T12:00:00.000Z","data":{"n":[1,true,null,"a"]},'
    b'"id":"00112233445566778899aabbccddeeff",'
    b'"tag":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",'
    b'"type":"consent.expired","v":1}'
)
PROOF = Proof(5, (leaf(1), leaf(2), leaf(3)), COSIGNED, b"extra").encode()
PATHS = ["0/000", "1/000.p/17", "0/x001/x234/067", "7/000.p/127", "0/999.p/255"]
VALID: dict[str, list[bytes]] = {
    "verifier key": [LOG.encode(), WITNESS.encode(), str(PETER).encode()],
    "signer key": [LOG_SIGNER.encode()],
    "note": [NOTE, COSIGNED, *(text.encode() for text in SPECIFIED)],
    "checkpoint": [CHECKPOINT, b"a\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"],
    "proof": [PROOF, Proof(0, (), CHECKPOINT).encode()],
    "tile": [path.encode() for path in PATHS],
    "entry": [ENTRY],
}


def text(content: bytes) -> str:
    """As settings and addresses give it: with halves of surrogate pairs for what is no UTF-8."""
    return content.decode("utf-8", "surrogateescape")


def back(read: str) -> bytes:
    return read.encode("utf-8", "surrogateescape")


# Reads bytes and writes them again.
ROUND: dict[str, Callable[[bytes], bytes]] = {
    "verifier key": lambda content: back(str(VerifierKey.parse(text(content)))),
    "signer key": lambda content: back(SignerKey.parse(text(content)).encode()),
    "note": lambda content: Note.parse(content).encode(),
    "checkpoint": lambda content: Checkpoint.parse(content).text,
    "proof": lambda content: Proof.parse(content).encode(),
    "tile": lambda content: back(Tile.at(text(content)).path),
    "entry": lambda content: entry.decode(content).encode(),
}
# What hides in other spellings: numbers, white space, padding, ends of lines, and much of one.
PIECES = [b"\n", b"\n\n", b"\r", b" ", b"\t", b"\x00", b"=", b"+", b"0", b"-1", b"A", b"9" * 5000]
PIECES += [
    piece.encode() for piece in ("—", "\x85", "\xa0", "\u2028", "\ufeff", "\u0661", "\u200b")
]
PIECES += [b"\xff", b"\xed\xa0\x80", b"x001/", b".p/1", b"index 0\n", b"extra AA==\n", b"[" * 2000]
PIECES += ["— a AAAAAAA=\n".encode(), b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"]

bounded = settings(
    max_examples=100,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


def taken(kind: str, content: bytes) -> bool:
    """Whether the bytes were accepted: then they are the one spelling of what was read."""
    try:
        written = ROUND[kind](content)
    except (FormatError, MalformedEntry):
        return False
    assert written == content
    return True


@st.composite
def mutated(draw: st.DrawFn, documents: list[bytes]) -> bytes:
    """A valid document with up to three places cut, repeated, moved or written over."""
    content = draw(st.sampled_from(documents))
    for _ in range(draw(st.integers(1, 3))):
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
        part = content[first:last]
        short = st.binary(max_size=3)
        put = st.one_of(st.sampled_from(PIECES), short, st.sampled_from([b"", part, part * 2]))
        keep = draw(st.sampled_from([first, min(first + 1, len(content)), last]))
        content = content[:first] + draw(put) + content[keep:]
    return content


@pytest.mark.parametrize("kind", VALID)
def test_what_is_valid_is_taken(kind: str) -> None:
    """So that the tests below mutate something."""
    assert all(taken(kind, content) for content in VALID[kind])


@pytest.mark.parametrize("kind", VALID)
def test_a_changed_document_is_refused_or_written_as_it_was_read(kind: str) -> None:
    """No two spellings of one thing, and no error but those that say what is wrong."""

    @bounded
    @given(mutated(VALID[kind]))
    def fuzz(content: bytes) -> None:
        taken(kind, content)

    fuzz()


@pytest.mark.parametrize("kind", VALID)
def test_every_single_byte_counts(kind: str) -> None:
    """One byte less, or another one, at every place of a valid document."""
    content = min(VALID[kind], key=len)
    for at in range(len(content)):
        taken(kind, content[:at] + content[at + 1 :])
        taken(kind, content[:at] + bytes([content[at] ^ 0x01]) + content[at + 1 :])
        taken(kind, content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :])
        taken(kind, content[:at] + b"\n" + content[at:])
        taken(kind, content[:at] + b"\x00" + content[at:])


@pytest.mark.parametrize("kind", VALID)
def test_any_bytes_are_read_or_refused(kind: str) -> None:
    """Nothing that a stranger sends is more than malformed."""

    @bounded
    @given(st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode)))
    def fuzz(content: bytes) -> None:
        taken(kind, content)

    fuzz()


@pytest.mark.parametrize(
    "written",
    [
        lambda text: str(VerifierKey.parse(text)),
        lambda text: SignerKey.parse(text).encode(),
        lambda text: Tile.at(text).path,
    ],
    ids=["verifier key", "signer key", "tile"],
)
def test_any_text_is_read_or_refused(written: Callable[[str], str]) -> None:
    """Text may hold what bytes cannot: halves of surrogate pairs."""

    @bounded
    @given(st.text(st.characters(), max_size=60), st.sampled_from([LOG, LOG_SIGNER, "0/000"]))
    def fuzz(put: str, valid: str) -> None:
        for content in (put, put + valid, valid + put, valid.replace("example", put)):
            with suppress(FormatError):
                assert written(content) == content

    fuzz()


@bounded
@given(mutated([COSIGNED]))
def test_a_changed_checkpoint_is_trusted_only_as_it_was_signed(content: bytes) -> None:
    """Whatever else is in the note, what is believed is what the log signed."""
    keys = [VerifierKey.parse(LOG)], [VerifierKey.parse(WITNESS)]
    try:
        found = trusted(content, *keys)
    except LedgerError:
        return
    assert found.checkpoint.text == CHECKPOINT
    assert [one.line for one in found.by] == [LOG_LINE]
    assert {one.line for one in found.witnesses} <= {WITNESS_LINE}


@bounded
@given(st.integers(0, 7), st.integers(0, 2**70), st.integers(1, 256))
def test_a_tile_comes_back_if_a_tree_can_have_it(level: int, number: int, width: int) -> None:
    """And is refused if none can, so that no number from an address overflows a column."""
    tile = Tile(level, number, width)
    assert taken("tile", tile.path.encode()) == exists(tile, MAX_SIZE)


sizes = st.one_of(
    st.integers(-2, 70), st.integers(), st.sampled_from([MAX_SIZE, MAX_SIZE + 1, 1 << 200_000])
)
some_hashes = st.one_of(st.binary(min_size=32, max_size=32), st.binary(max_size=40))
proofs = st.lists(some_hashes, max_size=MAX_PROOF + 2)


@bounded
@given(sizes, sizes, proofs, some_hashes, some_hashes)
def test_any_proof_is_refused_and_never_more(
    one: int, other: int, proof: list[bytes], first: bytes, second: bytes
) -> None:
    """Nobody guesses a proof, and no number or length is anything but refused. But the only leaf
    of a tree is its root, and a tree is consistent with itself, whatever they are."""
    if not (first == second and len(first) == 32):
        with pytest.raises(ProofError):
            verify_inclusion(first, one, other, proof, second)
        with pytest.raises(ProofError):
            verify_consistency(one, first, other, second, proof)


TREE = Defined([leaf(number) for number in range(70)])


@bounded
@given(st.data(), st.integers(1, 70))
def test_a_proof_with_anything_changed_is_refused(data: st.DataObject, size: int) -> None:
    """Any bytes in any place of it."""
    index = data.draw(st.integers(0, size - 1))
    inclusion = inclusion_proof(TREE.nodes, index, size)
    consistency = consistency_proof(TREE.nodes, index + 1, size)
    for genuine in (inclusion, consistency):
        at = data.draw(st.integers(0, len(genuine)))
        last = data.draw(st.integers(at, len(genuine)))
        changed = [*genuine[:at], *data.draw(st.lists(some_hashes, max_size=3)), *genuine[last:]]
        if changed == genuine:
            continue
        with pytest.raises(ProofError):
            if genuine is inclusion:
                verify_inclusion(TREE.leaves[index], index, size, changed, TREE.root(0, size))
            else:
                before, after = TREE.root(0, index + 1), TREE.root(0, size)
                verify_consistency(index + 1, before, size, after, changed)
