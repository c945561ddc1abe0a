"""A key that mails are signed with, and the record that whoever verifies them asks for."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache

import dkim
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SELECTOR = "s2026"


@dataclass(frozen=True)
class Key:
    """A private key, and what stands in DNS of it."""

    private: RSAPrivateKey

    @property
    def pem(self) -> bytes:
        """As DKIM_KEY_FILE takes it."""
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def verifies(self, mail: bytes, domain: str) -> bool:
        """Whether a mail is as this domain signed it (RFC 6376 6)."""
        der = self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(der)

        def lookup(name: bytes, timeout: int = 5) -> bytes | None:
            return record if name == f"{SELECTOR}._domainkey.{domain}.".encode() else None

        return bool(dkim.verify(mail, dnsfunc=lookup))


@cache
def key(bits: int = 2048) -> Key:
    """A key of so many bits, made once."""
    return Key(generate_private_key(65537, bits))
