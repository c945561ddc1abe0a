"""Checkpoints, byte for byte (C2SP tlog-checkpoint), and who is believed about them."""

from __future__ import annotations

import pytest

from domain.ledger.checkpoints import Checkpoint, Trusted, trusted
from domain.ledger.errors import (
    MalformedCheckpoint,
    MalformedNote,
    UntrustedCheckpoint,
    WrongSignature,
)
from domain.ledger.merkle import EMPTY_ROOT, MAX_SIZE
from domain.ledger.notes import KeyType, SignerKey, VerifierKey, sign
from tests.domain.signing import (
    BAD_NAMES,
    CHECKPOINT,
    LOG,
    LOG_LINE,
    LOG_SIGNER,
    NOTE,
    PETER,
    SEEN,
    SPECIFIED,
    WITNESS,
    WITNESS_LINE,
    WITNESS_SIGNER,
)

ROOT = bytes.fromhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328")
LOG_KEY, WITNESS_KEY = VerifierKey.parse(LOG), VerifierKey.parse(WITNESS)
SIGNER, WITNESS_KEEPS = SignerKey.parse(LOG_SIGNER), SignerKey.parse(WITNESS_SIGNER)
SIGNED = CHECKPOINT + b"\n" + LOG_LINE.encode()
COSIGNED = SIGNED + WITNESS_LINE.encode()


def test_a_checkpoint_is_these_bytes() -> None:
    """Origin, size and root, a line each; the note is signed by the log."""
    checkpoint = Checkpoint("example.com/log", 8, ROOT)
    assert checkpoint.text == CHECKPOINT
    assert Checkpoint.parse(CHECKPOINT) == checkpoint
    assert checkpoint.signed([SIGNER]) == SIGNED


def test_the_checkpoint_of_the_specification_is_read() -> None:
    """Of a log with twenty million entries."""
    text = SPECIFIED[1].partition("\n\n")[0] + "\n"
    found = Checkpoint.parse(text.encode())
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text == text.encode()


@pytest.mark.parametrize(
    ("size", "root"), [(0, EMPTY_ROOT), (1, ROOT), (10**18, ROOT), (MAX_SIZE, ROOT)]
)
def test_every_size_comes_back(size: int, root: bytes) -> None:
    """From the empty log, whose root is known, to the largest."""
    checkpoint = Checkpoint("a", size, root)
    assert Checkpoint.parse(checkpoint.text) == checkpoint


def swap(old: bytes, new: bytes) -> bytes:
    assert old in CHECKPOINT
    return CHECKPOINT.replace(old, new, 1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n\n\n",
        CHECKPOINT[:-1],
        CHECKPOINT + b"\n",
        CHECKPOINT + b"an extension line\n",
        CHECKPOINT + b"no end",
        b"\n" + CHECKPOINT,
        CHECKPOINT.replace(b"\n", b"\r\n"),
        swap(b"\n8\n", b"\n\n8\n"),
        swap(b"\n8\n", b"\n"),
        *(swap(b"example.com/log", name.encode()) for name in BAD_NAMES),
        swap(b"example.com/log", b"\xff"),
        swap(b"\n8\n", b"\n\n"),
        swap(b"\n8\n", b"\n08\n"),
        swap(b"\n8\n", b"\n00\n"),
        swap(b"\n8\n", b"\n+8\n"),
        swap(b"\n8\n", b"\n-8\n"),
        swap(b"\n8\n", b"\n 8\n"),
        swap(b"\n8\n", b"\n8 \n"),
        swap(b"\n8\n", b"\n8_0\n"),
        swap(b"\n8\n", b"\n8.0\n"),
        swap(b"\n8\n", b"\n0x8\n"),
        swap(b"\n8\n", "\n\u0668\n".encode()),
        swap(b"\n8\n", b"\n9223372036854775808\n"),
        swap(b"\n8\n", b"\n18446744073709551616\n"),
        swap(b"\n8\n", b"\n" + b"9" * 100_000 + b"\n"),
        swap(b"\n8\n", b"\n0\n"),
        swap(b"Qyg=", b"Qyg"),
        swap(b"Qyg=", b"Qyh="),
        swap(b"Qyg=", b"Qyg=="),
        swap(b"Qyg=", b"Qyg= "),
        swap(b"Qyg=", b"Qyg=\t"),
        swap(b"Qyg=", b"Qw=="),
        swap(b"Qyg=", b"QygA"),
        swap(b"+Nw7/", b"-Nw7_"),
        swap(b"XcnaeacGWamtVZy3Ad7ZoqudgjqtL0lgz+Nw7/RgQyg=", b""),
    ],
    ids=lambda text: repr(text[:40]),
)
def test_no_other_text_is_a_checkpoint(text: bytes) -> None:
    """One spelling, and no extension lines: nobody could audit them."""
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.parse(text)


@pytest.mark.parametrize(
    ("origin", "size", "root"),
    [
        *((name, 8, ROOT) for name in [*BAD_NAMES, "\ud800"]),
        ("a", -1, ROOT),
        ("a", MAX_SIZE + 1, ROOT),
        ("a", 8, ROOT[:-1]),
        ("a", 8, b""),
        ("a", 0, ROOT),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_is_no_checkpoint_is_not_made(origin: str, size: int, root: bytes) -> None:
    """So none is ever signed: what a log signed it cannot take back."""
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(origin, size, root)


def test_a_log_signs_under_its_own_name_only() -> None:
    """A key of another name, or of a witness, is an error before anything is written."""
    checkpoint = Checkpoint.parse(CHECKPOINT)
    same_name = SignerKey("example.com/log", KeyType.WITNESS, bytes(32))
    for signers in ([SignerKey.make("example.com/logs")], [SIGNER, same_name]):
        with pytest.raises(ValueError, match="named after the log"):
            checkpoint.signed(signers)
    with pytest.raises(MalformedNote):
        checkpoint.signed([])


def test_the_log_is_believed_and_witnesses_are_counted_beside_it() -> None:
    """Those that are trusted; others are passed over."""
    found = trusted(COSIGNED, [LOG_KEY], [WITNESS_KEY])
    assert found.checkpoint == Checkpoint.parse(CHECKPOINT)
    assert [(one.key, one.seen, one.line) for one in found.by] == [(LOG_KEY, None, LOG_LINE)]
    seen = [(one.key, one.seen, one.line) for one in found.witnesses]
    assert seen == [(WITNESS_KEY, SEEN, WITNESS_LINE)]
    assert trusted(COSIGNED, [PETER, LOG_KEY]) == Trusted(found.checkpoint, found.by, ())
    assert trusted(SIGNED, [LOG_KEY], [WITNESS_KEY]).witnesses == ()
    other = SignerKey.make("example.com/other")
    beside = SIGNED + other.sign(CHECKPOINT).encode()
    assert trusted(beside, [LOG_KEY], [other.verifier]).witnesses == ()


def test_two_keys_of_a_log_both_count() -> None:
    """While one follows the other, both sign."""
    follower = SignerKey.make("example.com/log")
    content = Checkpoint.parse(CHECKPOINT).signed([SIGNER, follower])
    found = trusted(content, [follower.verifier, LOG_KEY])
    assert [one.key for one in found.by] == [LOG_KEY, follower.verifier]
    assert [one.key for one in trusted(content, [follower.verifier]).by] == [follower.verifier]


def test_a_witness_never_vouches_for_the_log() -> None:
    """Somebody shows it a tree under the log's name, signed with a key of their own: it was
    seen, and it is not the log's."""
    attacker = SignerKey.make("example.com/log")
    forged = Checkpoint("example.com/log", 9, ROOT)
    content = forged.signed([attacker]) + WITNESS_KEEPS.sign(forged.text, seen=SEEN).encode()
    for log_keys in ([LOG_KEY], [], [WITNESS_KEY], [LOG_KEY, WITNESS_KEY]):
        with pytest.raises(UntrustedCheckpoint):
            trusted(content, log_keys, [WITNESS_KEY])


def test_a_key_vouches_for_the_log_of_its_name_only() -> None:
    """Another trusted log's signature, and a witness that has the log's name, say nothing."""
    other = SignerKey.make("example.com/other")
    with pytest.raises(UntrustedCheckpoint):
        trusted(sign(CHECKPOINT, [other]), [other.verifier, LOG_KEY])
    namesake = SignerKey("example.com/log", KeyType.WITNESS, SIGNER.seed)
    content = CHECKPOINT + b"\n" + namesake.sign(CHECKPOINT, seen=SEEN).encode()
    for log_keys in ([LOG_KEY], [namesake.verifier]):
        with pytest.raises(UntrustedCheckpoint):
            trusted(content, log_keys, [namesake.verifier])
    with pytest.raises(UntrustedCheckpoint):
        trusted(SIGNED, [], [LOG_KEY])


def test_a_wrong_signature_of_a_trusted_key_rejects_the_checkpoint() -> None:
    """The log's, though a second line of it is right, and a witness's too."""
    spoilt = CHECKPOINT.replace(b"\n8\n", b"\n9\n")
    for content in (
        spoilt + b"\n" + LOG_LINE.encode(),
        COSIGNED.replace(b"d1kDQ==\n", b"d1kDg==\n"),
        SIGNED + SIGNER.sign(spoilt).encode(),
        CHECKPOINT + b"\n" + (SIGNER.sign(spoilt) + LOG_LINE).encode(),
        SIGNED + WITNESS_KEEPS.sign(spoilt, seen=SEEN).encode(),
    ):
        with pytest.raises(WrongSignature):
            trusted(content, [LOG_KEY], [WITNESS_KEY])


def test_a_witness_with_the_log_s_four_bytes_shuts_nobody_out() -> None:
    """A witness may choose its key so that it has the name and the id of the log's key."""
    log = SignerKey("example.com/log", KeyType.LOG, (21170).to_bytes(32, "big"))
    twin = SignerKey("example.com/log", KeyType.WITNESS, (7693).to_bytes(32, "big"))
    assert log.verifier.id == twin.verifier.id == bytes.fromhex("a99d6484")
    signed = Checkpoint.parse(CHECKPOINT).signed([log])
    cosigned = signed + twin.sign(CHECKPOINT, seen=SEEN).encode()
    found = trusted(cosigned, [log.verifier], [twin.verifier])
    assert [one.key for one in found.by] == [log.verifier]
    assert [one.key for one in found.witnesses] == [twin.verifier]
    assert trusted(signed, [log.verifier], [twin.verifier]).witnesses == ()


@pytest.mark.parametrize("content", [b"", CHECKPOINT, CHECKPOINT + b"\n", SIGNED[:-1]])
def test_what_is_no_note_is_not_trusted(content: bytes) -> None:
    """An unsigned checkpoint is none."""
    with pytest.raises(MalformedNote):
        trusted(content, [LOG_KEY])


def test_a_signed_note_need_not_be_a_checkpoint() -> None:
    """Whoever signed it."""
    with pytest.raises(MalformedCheckpoint):
        trusted(NOTE, [PETER])
    with pytest.raises(MalformedCheckpoint):
        trusted(sign(CHECKPOINT + b"extension\n", [SIGNER]), [LOG_KEY])
