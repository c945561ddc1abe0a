"""The token of a newsletter's unsubscribe link: whose newsletter it was, and when it was made.

It is sealed under a key that is used for nothing else, so it tells nobody anything, cannot be made
elsewhere, and opens nothing but `/unsubscribe/<token>`. No row stands behind it: it works as long
as the mail that carries it is kept, and as the site keeps its SIGNING_KEY.
"""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime
from functools import cache
from typing import NamedTuple
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.keys import KEY_BYTES, Keyring, WrongSeal, seal, unseal
from domain.marketing.errors import BadToken

# 12 bytes of nonce, 16 of the person, 4 of the minute and 16 of the seal: 48 bytes, so base64 has
# neither padding nor spare bits, and each token has one spelling.
PATTERN = r"[A-Za-z0-9_-]{64}"
_PATTERN = re.compile(PATTERN)
_INFO = b"samtykke unsubscribe v1"
_MINUTE = 60


class Unsubscribing(NamedTuple):
    """What a token says. `made_at` is exact to the minute."""

    subject_id: UUID
    made_at: datetime


def make(ring: Keyring, subject_id: UUID, at: datetime) -> str:
    """A token for a newsletter to this person that is made at this time: 64 characters."""
    told = subject_id.bytes + (int(at.timestamp()) // _MINUTE).to_bytes(4, "big")
    return base64.urlsafe_b64encode(seal(_key(ring.signing_key), told, _INFO)).decode()


def read(ring: Keyring, token: str) -> Unsubscribing:
    """What `make` put into the token. Raises BadToken for anything else."""
    if not _PATTERN.fullmatch(token):
        raise BadToken
    try:
        told = unseal(_key(ring.signing_key), base64.urlsafe_b64decode(token), _INFO)
    except WrongSeal:
        raise BadToken from None
    minutes = int.from_bytes(told[16:], "big")
    return Unsubscribing(UUID(bytes=told[:16]), datetime.fromtimestamp(minutes * _MINUTE, UTC))


@cache
def _key(signing_key: str) -> bytes:
    """HKDF-SHA256 of the signing key, made once: 100,000 newsletters take the same."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_INFO).derive(
        signing_key.encode()
    )
