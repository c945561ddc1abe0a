"""The vault: fields about a person, sealed one by one under a key of that person alone.

The field key comes from the subject's key, so erasing a subject's key leaves nothing but noise
where a field may still lie (a backup, a free page). The context names account and column: a
sealed field that is copied into another row or column does not open.
"""

from __future__ import annotations

from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.keys import KEY_BYTES, seal, unseal

_INFO = b"samtykke vault v1"


def field_key(subject_key: bytes) -> bytes:
    """The key of one person's fields: HKDF-SHA256 of the subject's key, which itself only
    makes tags in the ledger."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_INFO).derive(subject_key)


def seal_field(key: bytes, account_id: UUID, field: str, text: str | None) -> bytes | None:
    """Seal one field; an empty one is None, so that no row tells empty from absent."""
    return seal(key, text.encode(), _context(account_id, field)) if text else None


def open_field(key: bytes, account_id: UUID, field: str, sealed: bytes | None) -> str | None:
    """Open what `seal_field` made for the same account and field; else raise WrongSeal."""
    if sealed is None:
        return None
    return unseal(key, sealed, _context(account_id, field)).decode()


def _context(account_id: UUID, field: str) -> bytes:
    return f"account:{account_id}:{field}".encode()
