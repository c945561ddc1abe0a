"""Secrets that live outside the database, and the small envelope they seal with.

A sealed value is `epoch (2 bytes, big-endian) ‖ body`. Under a key that we hold, the body is
`nonce (12) ‖ AES-256-GCM ciphertext`; a key that somebody else holds makes its own (domain/kms.py).
The context (which table, column and row it belongs to) is associated data, so a sealed value that
is moved to another place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session

KEY_BYTES = 32
_NONCE_BYTES = 12
_EPOCH_BYTES = 2


class SecretError(Exception):
    """Base of this module's errors. No message holds a key, or anything about a person."""


class DoesNotOpen(SecretError):
    """Base: as things are, nobody opens the value any more."""


class UnknownEpoch(DoesNotOpen):
    """The value was sealed under a key that is not in the keyring any more."""

    def __init__(self, epoch: int):
        super().__init__(
            f"no key-encryption key of epoch {epoch}: it was retired, or was left out of"
            " VAULT_KEY_FILE or KEY_ENCRYPTION_KEYS"
        )
        self.epoch = epoch


class WrongSeal(DoesNotOpen):
    """The value was changed, moved from its place, or sealed with another key."""

    def __init__(self) -> None:
        super().__init__("the sealed value does not open here")


class MalformedKeys(SecretError):
    """This is no list of key-encryption keys. The message never quotes one."""


class KeyServiceError(SecretError):
    """Base: whoever holds the key did not use it for us. The value may be all right."""


class KeyRefused(KeyServiceError):
    """They will not, until the operator does something: a right, a disabled key, a setting."""


class KeyServiceAway(KeyServiceError):
    """They could not just now: too many questions, no answer, no network. Try again."""


class Sealer(Protocol):
    """A key-encryption key that somebody else holds."""

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Encrypt; the result is bound to `context`. Raises KeyServiceError."""

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made. Raises WrongSeal or KeyServiceError."""


# A key-encryption key: 32 bytes of our own, or one that is asked to do its work.
Key = bytes | Sealer


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt; the result is bound to `context`."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made; raise WrongSeal for anything else."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise WrongSeal from error


def prefix(epoch: int) -> bytes:
    """What every value begins with that is sealed under this epoch. Compared as bytes, values
    come in the order of their epochs."""
    return epoch.to_bytes(_EPOCH_BYTES, "big")


def epoch_of(sealed: bytes) -> int:
    """The epoch that a value is sealed under. Raises WrongSeal."""
    if len(sealed) < _EPOCH_BYTES:
        raise WrongSeal
    return int.from_bytes(sealed[:_EPOCH_BYTES], "big")


@dataclass(frozen=True)
class Keyring:
    """The site's secrets.

    `epochs` are the key-encryption keys by epoch; new values are sealed under the highest. Where
    they stand in a file (domain/epochs.py), it is looked at each time. `lookup_key` makes keyed
    hashes for finding a row without storing what it is found by. `signing_key` signs links and
    presentation tokens.
    """

    epochs: Mapping[int, Key] = field(repr=False)
    lookup_key: bytes = field(repr=False)
    signing_key: str = field(repr=False)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal under the newest key-encryption key. Raises KeyServiceError."""
        epoch = max(self.epochs)
        key = self.epochs[epoch]
        if isinstance(key, bytes):
            return prefix(epoch) + seal(key, plaintext, context)
        return prefix(epoch) + key.seal(plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made. Raises UnknownEpoch, WrongSeal or KeyServiceError."""
        epoch = epoch_of(sealed)
        key = self.epochs.get(epoch)
        if key is None:
            raise UnknownEpoch(epoch)
        if isinstance(key, bytes):
            return unseal(key, sealed[_EPOCH_BYTES:], context)
        return key.unseal(sealed[_EPOCH_BYTES:], context)

    def lookup(self, use: str, value: str) -> bytes:
        """A keyed hash (32 bytes) to find `value` by, different for each use."""
        message = f"{use}\n{value}".encode()
        return hmac.new(self.lookup_key, message, hashlib.sha256).digest()


def keyring(session: Session) -> Keyring:
    """The keyring that this session's database was opened with."""
    found: Keyring = session.info["keyring"]
    return found
