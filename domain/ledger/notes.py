"""Signed notes (C2SP signed-note): a text, and lines of signatures over it. No storage.

The keys here are Ed25519 keys of two types: a log's own (01) and a witness's (04), which signs
a checkpoint together with the time (C2SP tlog-cosignature).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from domain.ledger.errors import MalformedKey, MalformedNote, WrongSignature

# Far above the 16 signatures that must be accepted, post-quantum ones of 5 kB among them.
MAX_NOTE_BYTES = 512 * 1024
MAX_SIGNATURES = 64
_KEY_BYTES = 32
_TIME_BYTES = 8
# Longer ones would not fit their column; every key has 54 letters behind its name.
MAX_KEY = 255
# Up to the end of year 9999, so that every time is a datetime. The format itself ends at 2^63.
MAX_TIME = 253_402_300_799
# No white space of any kind (of Unicode too) and no plus: they end a name where it is written.
# Half a surrogate pair is no character; it stands for a byte that was not UTF-8.
_NAME = re.compile(r"[^\s+\x00-\x1f\ud800-\udfff]+")
_CONTROL = re.compile(rb"[\x00-\x09\x0b-\x1f]")
_LINE = re.compile(r"— (?P<name>\S+) (?P<signature>[A-Za-z0-9+/]+={0,2})")


class KeyType(IntEnum):
    """What a key signs, as the first byte of its encoding says."""

    LOG = 0x01
    WITNESS = 0x04


_TYPES = {bytes([type]) for type in KeyType}
# The field of Ed25519, and the y of the points whose order is 1, 2, 4 or 8.
_PRIME = 2**255 - 19
_SMALL_ORDER = {
    0,
    1,
    _PRIME - 1,
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
}


@dataclass(frozen=True)
class VerifierKey:
    """What a signature is checked with: `name+hex(key id)+base64(type ‖ public key)`."""

    name: str
    type: KeyType
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that, with the name, tell keys apart: they are no proof of anything."""
        return _key_id(self.name, self.type, self.public)

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self.type]) + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key. Raises MalformedKey."""
        key = cls(*_key_parts(text))
        if str(key) != text:
            raise MalformedKey("the key id is not that of the key")
        _check_point(key.public)
        return key

    def verify(self, text: bytes, signature: bytes) -> int | None:
        """Check the signature of a note's text; return the time a witness saw it, in POSIX
        seconds, None for a log's. Raises WrongSignature."""
        seen: int | None = None
        signed = text
        if self.type is KeyType.WITNESS:
            seen = int.from_bytes(signature[:_TIME_BYTES], "big")
            if seen > MAX_TIME:
                raise WrongSignature(self.name)
            signed, signature = _cosigned(text, seen), signature[_TIME_BYTES:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, signed)
        except InvalidSignature:
            raise WrongSignature(self.name) from None
        return seen


@dataclass(frozen=True)
class SignerKey:
    """What signs: `PRIVATE+KEY+name+hex(key id)+base64(type ‖ seed)`, a secret."""

    name: str
    type: KeyType
    seed: bytes = field(repr=False)

    @classmethod
    def make(cls, name: str, type: KeyType = KeyType.LOG) -> Self:
        """A new key. Raises MalformedKey for a name that no key can have."""
        if not is_name(name):
            raise MalformedKey("a key's name has no white space and no plus")
        made = cls(name, type, Ed25519PrivateKey.generate().private_bytes_raw())
        return cls.parse(made.encode())

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `encode` wrote. Raises MalformedKey, without the key."""
        prefix = "PRIVATE+KEY+"
        if not text.startswith(prefix):
            raise MalformedKey(f"a signer key begins with {prefix}")
        key = cls(*_key_parts(text.removeprefix(prefix)))
        if key.encode() != text:
            raise MalformedKey("the key id is not that of the key")
        return key

    def encode(self) -> str:
        """The key as text, to be kept secret."""
        encoded = base64.b64encode(bytes([self.type]) + self.seed).decode()
        return f"PRIVATE+KEY+{self.name}+{self.verifier.id.hex()}+{encoded}"

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        return VerifierKey(self.name, self.type, private.public_key().public_bytes_raw())

    def sign(self, text: bytes, *, seen: int | None = None) -> str:
        """The signature line over a note's text. A witness also says when it saw it, in POSIX
        seconds. Ed25519 is deterministic: the same text gives the same line."""
        private = Ed25519PrivateKey.from_private_bytes(self.seed)
        if self.type is KeyType.WITNESS:
            if seen is None or not 0 <= seen <= MAX_TIME:
                raise ValueError("a witness signs a time too")
            signature = seen.to_bytes(_TIME_BYTES, "big") + private.sign(_cosigned(text, seen))
        else:
            signature = private.sign(text)
        encoded = base64.b64encode(self.verifier.id + signature).decode()
        return f"— {self.name} {encoded}\n"


@dataclass(frozen=True)
class Signature:
    """One line: who says to have signed, with which key, and the bytes."""

    name: str
    key_id: bytes
    bytes: bytes

    @property
    def line(self) -> str:
        """The line as it stands in the note, with its LF."""
        return f"— {self.name} {base64.b64encode(self.key_id + self.bytes).decode()}\n"


@dataclass(frozen=True)
class Signed:
    """A signature that was checked. `seen` is a witness's time, in POSIX seconds."""

    key: VerifierKey
    seen: int | None
    line: str


@dataclass(frozen=True)
class Note:
    """A text with its final LF, and its signatures. Nothing in it is to be believed before
    `verified` named a key that one trusts."""

    text: bytes
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a note. Raises MalformedNote."""
        if len(content) > MAX_NOTE_BYTES:
            raise MalformedNote("longer than any note")
        if _CONTROL.search(content):
            raise MalformedNote("a control character")
        try:
            decoded = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise MalformedNote("not UTF-8") from error
        text, separator, lines = decoded.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise MalformedNote("no text, an empty line and signature lines")
        if lines.count("\n") > MAX_SIGNATURES:
            raise MalformedNote("too many signatures")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
        return cls(f"{text}\n".encode(), signatures)

    def encode(self) -> bytes:
        """The note as it is stored and sent."""
        return self.text + b"\n" + "".join(one.line for one in self.signatures).encode()

    def verified(self, keys: Iterable[VerifierKey]) -> list[Signed]:
        """The signatures by these keys, in the note's order, each key once. Signatures by others
        are passed over. Raises WrongSignature where one of these keys did not sign what it says:
        such a note is to be rejected whole."""
        known: dict[tuple[str, bytes], list[VerifierKey]] = {}
        for key in keys:
            known.setdefault((key.name, key.id), []).append(key)
        found: dict[VerifierKey, Signed] = {}
        for one in self.signatures:
            called = known.get((one.name, one.key_id))
            if called:
                signed = _verified(self.text, one, called)
                found.setdefault(signed.key, signed)
        return list(found.values())


def sign(text: bytes, signers: Iterable[SignerKey]) -> bytes:
    """A note over a text that ends in LF. Raises MalformedNote where nobody could read it, or
    where what they would read is another text."""
    note = text + b"\n" + "".join(signer.sign(text) for signer in signers).encode()
    if Note.parse(note).text != text:
        raise MalformedNote("the text ends in LF")
    return note


def is_name(text: str) -> bool:
    """Whether a key may be called this: no white space and no plus."""
    return _NAME.fullmatch(text) is not None


def _verified(text: bytes, signature: Signature, called: list[VerifierKey]) -> Signed:
    """The signature by one of the keys that are called so: mostly there is one. Four bytes tell
    keys apart, and another key with the same four is found in minutes: it must not shut out the
    one whose signature this is."""
    for key in called:
        with suppress(WrongSignature):
            return Signed(key, key.verify(text, signature.bytes), signature.line)
    raise WrongSignature(signature.name)


def _signature(line: str) -> Signature:
    found = _LINE.fullmatch(line)
    if found is None or not is_name(found["name"]):
        raise MalformedNote("not a signature line")
    decoded = decode_base64(found["signature"])
    if decoded is None or len(decoded) <= 4:
        raise MalformedNote("not a signature in base64")
    return Signature(found["name"], decoded[:4], decoded[4:])


def decode_base64(text: str) -> bytes | None:
    """The bytes, or None unless this is the one standard spelling of them (RFC 4648, 4)."""
    try:
        decoded = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == text else None


def _cosigned(text: bytes, seen: int) -> bytes:
    return f"cosignature/v1\ntime {seen}\n".encode() + text


def _key_id(name: str, type: KeyType, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([type]) + public).digest()[:4]


def _key_parts(text: str) -> tuple[str, KeyType, bytes]:
    """The name, the type and the 32 bytes of a key. The key id is not looked at."""
    if len(text) > MAX_KEY:
        raise MalformedKey("longer than any key")
    parts = text.split("+", 2)  # base64 may hold a plus, a name may not
    if len(parts) != 3 or not is_name(parts[0]):
        raise MalformedKey("not name+id+key")
    decoded = decode_base64(parts[2])
    if decoded is None:
        raise MalformedKey("the key is not base64")
    if decoded[:1] not in _TYPES:
        raise MalformedKey("not a type of key that is known here")
    if len(decoded) != 1 + _KEY_BYTES:
        raise MalformedKey(f"an Ed25519 key has {_KEY_BYTES} bytes")
    return parts[0], KeyType(decoded[0]), decoded[1:]


def _check_point(public: bytes) -> None:
    """Refuse a public key that is not one point's one spelling, and the eight points with which
    anybody can sign anything: OpenSSL would verify with both."""
    y = int.from_bytes(public, "little") & (1 << 255) - 1
    if y >= _PRIME or y in _SMALL_ORDER:
        raise MalformedKey("not the point of an Ed25519 key")
