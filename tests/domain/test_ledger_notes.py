"""Signed notes, byte for byte (C2SP signed-note, tlog-cosignature)."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.ledger.errors import MalformedNote, WrongSignature
from domain.ledger.notes import (
    MAX_NOTE_BYTES,
    MAX_SIGNATURES,
    MAX_TIME,
    KeyType,
    Note,
    SignerKey,
    VerifierKey,
    sign,
)
from tests.domain.signing import (
    BAD_NAMES,
    CHECKPOINT,
    ENOCH,
    ENOCH_LINE,
    NOTE,
    PETER,
    PETER_LINE,
    PETER_SIGNER,
    SEEN,
    SPECIFIED,
    TEXT,
    WITNESS,
    WITNESS_LINE,
    WITNESS_SIGNER,
)


def test_a_note_is_these_bytes() -> None:
    """What Go signed is read, verified, and written again as it was."""
    note = Note.parse(NOTE)
    assert note.encode() == NOTE
    assert note.text == TEXT
    assert [one.line for one in note.signatures] == [PETER_LINE, ENOCH_LINE]
    found = note.verified([ENOCH, PETER])
    assert [(one.key, one.seen, one.line) for one in found] == [
        (PETER, None, PETER_LINE),
        (ENOCH, None, ENOCH_LINE),
    ]
    signers = [SignerKey.parse(PETER_SIGNER), SignerKey("EnochRoot", KeyType.LOG, bytes(32))]
    assert sign(TEXT, signers) == NOTE


@pytest.mark.parametrize("text", SPECIFIED, ids=["poem", "checkpoint"])
def test_the_notes_of_the_specifications_are_read(text: str) -> None:
    """A text may have empty lines; nobody's signatures are passed over."""
    note = Note.parse(text.encode())
    assert note.encode() == text.encode()
    assert note.text.decode() == text.rpartition("\n\n")[0] + "\n"
    assert note.verified([PETER, ENOCH]) == []


@pytest.mark.parametrize("text", [b"\n", b"a\n\n", b"\n\n\n", b"a\n\n" + PETER_LINE.encode()])
def test_the_last_empty_line_ends_the_text(text: bytes) -> None:
    """Also where the text has empty lines, or what looks like a signature."""
    signer = SignerKey.parse(PETER_SIGNER)
    content = sign(text, [signer])
    assert Note.parse(content).text == text
    assert [one.key for one in Note.parse(content).verified([PETER])] == [PETER]


def swap(old: str, new: str) -> bytes:
    assert old in NOTE.decode()
    return NOTE.decode().replace(old, new, 1).encode()


ENOUGH = base64.b64encode(bytes(5)).decode()
FULL = TEXT + b"\n" + f"— a {ENOUGH}\n".encode() * MAX_SIGNATURES


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"\n\n",
        TEXT,
        TEXT + b"\n",
        b"\n" + PETER_LINE.encode(),
        TEXT + PETER_LINE.encode(),
        NOTE[:-1],
        NOTE + b"\n",
        NOTE + b"x",
        NOTE.replace(b"\n", b"\r\n"),
        swap("—", "-"),
        swap("—", "\u2013"),
        swap("— ", "—"),
        swap("— ", "—  "),
        swap("— ", "—\xa0"),
        swap("— ", " — "),
        swap("PeterNeumann x08", "PeterNeumann  x08"),
        swap("PeterNeumann x08", "PeterNeumann\tx08"),
        swap("PeterNeumann x08", "PeterNeumann x08 "),
        swap("PeterNeumann ", ""),
        swap("nAM=\n", "nAM= \n"),
        swap("nAM=\n", "nAM\n"),
        swap("nAM=\n", "nAN=\n"),  # the same bytes, with other spare bits
        swap("nAM=\n", "nAM==\n"),
        swap("nAM=\n", "nAM=\u2028\n"),
        swap("nAM=\n", "nAM=\n— a\n"),
        swap("nAM=\n", "nAM=\n— a \n"),
        swap("nAM=\n", "nAM=\n— a ====\n"),
        swap("nAM=\n", "nAM=\n— a AAAA\n"),
        swap("nAM=\n", "nAM=\n— a AAAAAA==\n"),  # a key id and an empty signature
        swap("nAM=\n", "nAM=\n— a AAA-AAA_\n"),
        *(swap("PeterNeumann", name) for name in BAD_NAMES if "\n" not in name),
        swap("If you", "If\ryou"),
        swap("If you", "If\tyou"),
        swap("If you", "If\x00you"),
        swap("If you", "If\x1byou"),
        NOTE.replace(b"If you", b"If \xff"),
        NOTE.replace(b"If you", b"If \xed\xa0\x80"),
        NOTE.replace(b"If you", b"If \xc0\xa0"),
        b"x" * MAX_NOTE_BYTES + NOTE,
        FULL + f"— a {ENOUGH}\n".encode(),
    ],
    ids=lambda content: repr(content[-50:]),
)
def test_no_other_bytes_are_a_note(content: bytes) -> None:
    """One spelling for each note: what was signed is what is read, by whoever reads it."""
    with pytest.raises(MalformedNote):
        Note.parse(content)


def test_many_signatures_are_accepted_and_passed_over() -> None:
    """A note may have up to 64, of keys and kinds that nobody here knows."""
    assert len(Note.parse(FULL).signatures) == MAX_SIGNATURES >= 16
    note = Note.parse(NOTE + f"— x {base64.b64encode(bytes(4900)).decode()}\n".encode())
    assert [one.key for one in note.verified([PETER])] == [PETER]


def test_a_name_or_an_id_alone_is_another_key() -> None:
    """Only both together are a known key; anything else is nobody's signature."""
    same_name = VerifierKey("PeterNeumann", KeyType.LOG, ENOCH.public)
    assert Note.parse(NOTE).verified([same_name]) == []
    renamed = Note.parse(swap("— PeterNeumann", "— Peterneumann"))
    assert renamed.verified([PETER]) == []


def forged(line: str) -> str:
    """The line with the last byte of its signature changed."""
    begin, _, encoded = line.rstrip("\n").rpartition(" ")
    signature = bytearray(base64.b64decode(encoded))
    signature[-1] ^= 1
    return f"{begin} {base64.b64encode(signature).decode()}\n"


@pytest.mark.parametrize(
    "lines",
    [
        forged(PETER_LINE),
        forged(PETER_LINE) + ENOCH_LINE,
        ENOCH_LINE + forged(PETER_LINE),
        PETER_LINE + forged(PETER_LINE),
        forged(PETER_LINE) + PETER_LINE,
        PETER_LINE + f"— PeterNeumann {base64.b64encode(PETER.id + bytes(1)).decode()}\n",
        PETER_LINE + f"— PeterNeumann {base64.b64encode(PETER.id + bytes(63)).decode()}\n",
        PETER_LINE + f"— PeterNeumann {base64.b64encode(PETER.id + bytes(65)).decode()}\n",
    ],
    ids=range(8),
)
def test_one_wrong_signature_of_a_known_key_rejects_the_note(lines: str) -> None:
    """Beside a right one too, before it or after it, of the same key or of another."""
    note = Note.parse(TEXT + b"\n" + lines.encode())
    with pytest.raises(WrongSignature):
        note.verified([PETER, ENOCH])


def test_a_signature_has_one_spelling_too() -> None:
    """S + L would be the same signature with other bytes (RFC 8032, 5.1.7)."""
    whole = 2**252 + 27742317777372353535851937790883648493
    signature = Note.parse(NOTE).signatures[0].bytes
    larger = int.from_bytes(signature[32:], "little") + whole
    with pytest.raises(WrongSignature):
        PETER.verify(TEXT, signature[:32] + larger.to_bytes(32, "little"))


def test_another_text_is_not_what_was_signed() -> None:
    """Every bit of it counts, its final line feed too."""
    for text in (TEXT[:-1], TEXT + b"\n", TEXT.replace(b"cryptography", b"cryptographY")):
        with pytest.raises(WrongSignature):
            PETER.verify(text, Note.parse(NOTE).signatures[0].bytes)


def test_a_key_is_named_once_however_often_it_signed() -> None:
    """A quorum counts keys and not lines."""
    note = Note.parse(TEXT + b"\n" + PETER_LINE.encode() * 3)
    assert [one.key for one in note.verified([PETER, PETER])] == [PETER]
    witness = SignerKey.parse(WITNESS_SIGNER)
    lines = [witness.sign(TEXT, seen=seen) for seen in (SEEN, SEEN + 1, SEEN - 1)]
    twice = Note.parse(TEXT + b"\n" + "".join(lines).encode())
    assert [one.seen for one in twice.verified([witness.verifier])] == [SEEN]


def test_a_key_with_the_same_four_bytes_shuts_nobody_out() -> None:
    """Ids are short enough to be hit on purpose (these two took five seconds): what counts is
    which key signed."""
    one, twin = (
        SignerKey("example.com/log", KeyType.LOG, number.to_bytes(32, "big"))
        for number in (64063, 139885)
    )
    assert one.verifier.id == twin.verifier.id == bytes.fromhex("3a95b6d3")
    note, alone = Note.parse(sign(TEXT, [one, twin])), Note.parse(sign(TEXT, [one]))
    spoilt = Note.parse(TEXT + b"\n" + forged(one.sign(TEXT)).encode())
    for keys in ([one.verifier, twin.verifier], [twin.verifier, one.verifier]):
        assert [signed.key for signed in note.verified(keys)] == [one.verifier, twin.verifier]
        assert [signed.key for signed in alone.verified(keys)] == [one.verifier]
        with pytest.raises(WrongSignature):
            spoilt.verified(keys)


def test_a_witness_signs_the_time_and_the_whole_text() -> None:
    """Eight bytes of seconds, and Ed25519 over two lines and the text (tlog-cosignature)."""
    signer, key = SignerKey.parse(WITNESS_SIGNER), VerifierKey.parse(WITNESS)
    assert signer.verifier == key
    assert signer.sign(CHECKPOINT, seen=SEEN) == WITNESS_LINE
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    message = b"cosignature/v1\ntime 1795348800\n" + CHECKPOINT
    by_hand = bytes.fromhex("20324abe") + bytes.fromhex("000000006b02d940") + private.sign(message)
    assert WITNESS_LINE == f"— witness.example/w1 {base64.b64encode(by_hand).decode()}\n"
    [found] = Note.parse(CHECKPOINT + b"\n" + WITNESS_LINE.encode()).verified([key])
    assert (found.key, found.seen, found.line) == (key, SEEN, WITNESS_LINE)


@pytest.mark.parametrize("seen", [None, -1, MAX_TIME + 1, 2**63, 2**64])
def test_a_witness_signs_a_time_that_there_is(seen: int | None) -> None:
    """A time past the last that a datetime can hold is none, signed or verified."""
    signer = SignerKey.parse(WITNESS_SIGNER)
    with pytest.raises(ValueError, match="time"):
        signer.sign(TEXT, seen=seen)


@pytest.mark.parametrize("seen", [0, SEEN, MAX_TIME, MAX_TIME + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_cosignature_is_of_a_time_that_there_is(seen: int) -> None:
    """Even where the witness really signed it: nothing further on meets such a number."""
    private = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
    message = b"cosignature/v1\ntime %d\n" % seen + TEXT
    signature = seen.to_bytes(8, "big") + private.sign(message)
    key = VerifierKey.parse(WITNESS)
    if seen <= MAX_TIME:
        assert key.verify(TEXT, signature) == seen
    else:
        with pytest.raises(WrongSignature):
            key.verify(TEXT, signature)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 71, 73])
def test_a_cosignature_of_another_length_is_none(length: int) -> None:
    """Too short for a time, or for a signature."""
    with pytest.raises(WrongSignature):
        VerifierKey.parse(WITNESS).verify(TEXT, bytes(length))


def test_the_kinds_of_signature_do_not_stand_in_for_each_other() -> None:
    """A log's signature is no cosignature of the same key, and the other way about."""
    log = SignerKey("a", KeyType.LOG, bytes(32))
    witness = SignerKey("a", KeyType.WITNESS, bytes(32))
    by_log = Note.parse(sign(TEXT, [log])).signatures[0].bytes
    cosigned = base64.b64decode(witness.sign(TEXT, seen=SEEN).split()[2])[4:]
    for key, signature in [
        (witness.verifier, by_log),
        (witness.verifier, SEEN.to_bytes(8, "big") + by_log),
        (log.verifier, cosigned),
        (log.verifier, cosigned[8:]),
    ]:
        with pytest.raises(WrongSignature):
            key.verify(TEXT, signature)


@pytest.mark.parametrize("text", [b"", b"no end", b"a\n\nb", b"a\rb\n", b"\x00\n", b"\xff\n"])
def test_a_text_that_could_not_be_read_again_is_not_signed(text: bytes) -> None:
    """Nothing is signed that is no note."""
    with pytest.raises(MalformedNote):
        sign(text, [SignerKey.parse(PETER_SIGNER)])


def test_a_note_without_signatures_is_none() -> None:
    """Nor is it written."""
    with pytest.raises(MalformedNote):
        sign(TEXT, [])
