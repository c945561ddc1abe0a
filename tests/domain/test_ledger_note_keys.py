"""Keys of logs and of witnesses, as text (C2SP signed-note)."""

from __future__ import annotations

import hashlib

import pytest

from domain.ledger.errors import MalformedKey
from domain.ledger.notes import KeyType, SignerKey, VerifierKey, decode_base64
from tests.domain.signing import (
    BAD_NAMES,
    ENOCH,
    PETER,
    PETER_LINE,
    PETER_SIGNER,
    TEXT,
    WITNESS,
)


@pytest.mark.parametrize(
    ("text", "name", "type"),
    [
        (
            "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
            "example.com/foo",
            KeyType.LOG,
        ),
        (str(ENOCH), "EnochRoot", KeyType.LOG),
        (WITNESS, "witness.example/w1", KeyType.WITNESS),
    ],
)
def test_a_verifier_key_is_read(text: str, name: str, type: KeyType) -> None:
    """Those of the specification, of Go's own tests, and of a witness."""
    key = VerifierKey.parse(text)
    assert (key.name, key.type, str(key)) == (name, type, text)
    assert text.split("+")[1] == key.id.hex()


def test_a_key_id_is_four_bytes_of_a_hash() -> None:
    """SHA-256(name ‖ 0A ‖ type ‖ public key): the type tells two uses of one key apart."""
    public = ENOCH.public
    assert ENOCH.id == hashlib.sha256(b"EnochRoot\n\x01" + public).digest()[:4]
    beside = VerifierKey("EnochRoot", KeyType.WITNESS, public)
    assert beside.id == hashlib.sha256(b"EnochRoot\n\x04" + public).digest()[:4]


def test_a_signer_key_is_read_and_hidden() -> None:
    """Go's key signs what Go signed; the seed is in no representation of it."""
    signer = SignerKey.parse(PETER_SIGNER)
    assert signer.encode() == PETER_SIGNER
    assert signer.verifier == PETER
    assert signer.sign(TEXT) == PETER_LINE
    assert repr(signer) == f"SignerKey(name='PeterNeumann', type={KeyType.LOG!r})"
    assert SignerKey("EnochRoot", KeyType.LOG, bytes(32)).verifier == ENOCH


def test_a_made_key_is_new_and_comes_back() -> None:
    """Random, of either type, and written so that it is read again."""
    made = [SignerKey.make("example.com/log", type) for type in KeyType for _ in range(2)]
    assert len({one.seed for one in made}) == 4
    for one in made:
        assert SignerKey.parse(one.encode()) == one
        assert VerifierKey.parse(str(one.verifier)) == one.verifier


@pytest.mark.parametrize("name", [*BAD_NAMES, "\ud800", "a\udc85", "x" * 202], ids=ascii)
def test_no_key_has_such_a_name(name: str) -> None:
    """White space of any alphabet, a plus, control characters, broken text; or too long a one."""
    with pytest.raises(MalformedKey):
        SignerKey.make(name)
    if name.isprintable():
        with pytest.raises(MalformedKey):
            VerifierKey.parse(str(VerifierKey(name, KeyType.LOG, PETER.public)))
    with pytest.raises(MalformedKey):
        VerifierKey.parse(f"{name}+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    with pytest.raises(MalformedKey):
        SignerKey.parse(PETER_SIGNER.replace("PeterNeumann", name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "++",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+AR",
        "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+0c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann++ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq_LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW=",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
        " PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peterneumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+Bhpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "x" * 1_000_000 + "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "x+c74f20a3+" + "A" * 1_000_000,
        PETER_SIGNER,
    ],
    ids=lambda text: ascii(text[:60]),
)
def test_no_other_text_is_a_verifier_key(text: str) -> None:
    """The id is that of the key, in one spelling, and of a type that is known here."""
    with pytest.raises(MalformedKey):
        VerifierKey.parse(text)


def test_a_secret_is_in_no_message() -> None:
    """Whatever is wrong with it: settings show messages, and logs keep them."""
    secret = PETER_SIGNER.rpartition("+")[2]
    for text in (PETER_SIGNER[:-1], PETER_SIGNER + "=", PETER_SIGNER.replace("+AY", "+AZ"), secret):
        with pytest.raises(MalformedKey) as caught:
            SignerKey.parse(text)
        assert secret[:8] not in str(caught.value)
        assert caught.value.__cause__ is None


ORDER = 2**255 - 19
WEAK = [0, 1, ORDER - 1]
# The y with d·y⁴ + 2y² = 1: the points that are nothing when added to themselves eight times.
WEAK += [
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
]
NOT_ONE_SPELLING = [ORDER, ORDER + 1, ORDER + 5, 2**255 - 1]


@pytest.mark.parametrize("sign", [0, 1 << 255])
@pytest.mark.parametrize("y", [*WEAK, *NOT_ONE_SPELLING])
def test_a_key_that_anybody_can_sign_with_is_refused(y: int, sign: int) -> None:
    """Points of small order, and second spellings of a point."""
    public = (y | sign).to_bytes(32, "little")
    with pytest.raises(MalformedKey, match="point"):
        VerifierKey.parse(str(VerifierKey("a", KeyType.LOG, public)))


def test_openssl_would_take_such_a_key() -> None:
    """With the neutral element as key, one signature is right for every text: hence the check."""
    neutral = (1).to_bytes(32, "little")
    key = VerifierKey("a", KeyType.LOG, neutral)
    assert key.verify(b"anything\n", neutral + bytes(32)) is None


@pytest.mark.parametrize(
    "text",
    ["A", "AA", "AAA", "AA=", "AB==", "AAB=", "AAAA=", "=", "A A=", "AA==\n", "AA-_", "\uff21"],
)
def test_base64_has_one_spelling(text: str) -> None:
    """The standard alphabet with padding, and nothing in the spare bits (RFC 4648, 3.5)."""
    assert decode_base64(text) is None
    assert (decode_base64(""), decode_base64("AA=="), decode_base64("+/8=")) == (
        b"",
        b"\0",
        b"\xfb\xff",
    )
