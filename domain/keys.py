"""Secrets that live outside the database, and the small envelope they seal with.

A sealed value is `epoch (2 bytes, big-endian) ‖ nonce (12) ‖ AES-256-GCM ciphertext`. The
context (which table, column and row it belongs to) is associated data, so a sealed value that
is moved to another place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.orm import Session

KEY_BYTES = 32
_NONCE_BYTES = 12


class SecretError(Exception):
    """Base of this module's errors."""


class UnknownEpoch(SecretError):
    """The value was sealed under a key that is not in the keyring any more."""

    def __init__(self, epoch: int):
        super().__init__(f"no key-encryption key of epoch {epoch}")
        self.epoch = epoch


class WrongSeal(SecretError):
    """The value was changed, moved from its place, or sealed with another key."""


def seal(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    """Encrypt; the result is bound to `context`."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """Decrypt what `seal` made; raise WrongSeal for anything else."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError) as error:
        raise WrongSeal("the sealed value does not open here") from error


@dataclass(frozen=True)
class Keyring:
    """The site's secrets.

    `epochs` are the key-encryption keys (32 bytes each) by epoch; new values are sealed under
    the highest. `lookup_key` makes keyed hashes for finding a row without storing what it is
    found by. `signing_key` signs links and presentation tokens.
    """

    epochs: Mapping[int, bytes] = field(repr=False)
    lookup_key: bytes = field(repr=False)
    signing_key: str = field(repr=False)

    def seal(self, plaintext: bytes, context: bytes) -> bytes:
        """Seal under the newest key-encryption key."""
        epoch = max(self.epochs)
        return epoch.to_bytes(2, "big") + seal(self.epochs[epoch], plaintext, context)

    def unseal(self, sealed: bytes, context: bytes) -> bytes:
        """Open what `seal` made. Raises UnknownEpoch or WrongSeal."""
        epoch = int.from_bytes(sealed[:2], "big")
        if epoch not in self.epochs:
            raise UnknownEpoch(epoch)
        return unseal(self.epochs[epoch], sealed[2:], context)

    def lookup(self, use: str, value: str) -> bytes:
        """A keyed hash (32 bytes) to find `value` by, different for each use."""
        message = f"{use}\n{value}".encode()
        return hmac.new(self.lookup_key, message, hashlib.sha256).digest()


def keyring(session: Session) -> Keyring:
    """The keyring that this session's database was opened with."""
    found: Keyring = session.info["keyring"]
    return found
