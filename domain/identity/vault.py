"""The vault: fields about a person, sealed one by one under a key of that person alone.

The field key comes from the subject's key, so erasing a subject's key leaves nothing but noise
where a field may still lie (a backup, a free page). The context names table, row and column: a
sealed field that is copied into another row or column does not open.
"""

from __future__ import annotations

from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.orm import Session

from domain.keys import KEY_BYTES, seal, unseal
from domain.subjects import service as subjects

_INFO = b"samtykke vault v1"


def field_key(subject_key: bytes) -> bytes:
    """The key of one person's fields: HKDF-SHA256 of the subject's key, which itself only
    makes tags in the ledger."""
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=_INFO).derive(subject_key)


def key_of(session: Session, subject_id: UUID) -> bytes:
    """The key of a person's fields. Raises UnknownSubject, UnknownEpoch or WrongSeal."""
    return field_key(subjects.subject_key(session, subjects.get(session, subject_id)))


def seal_field(
    key: bytes, row: UUID, field: str, text: str | None, *, table: str = "account"
) -> bytes | None:
    """Seal one field; an empty one is None, so that no row tells empty from absent."""
    return seal_bytes(key, table, row, field, text.encode()) if text else None


def open_field(
    key: bytes, row: UUID, field: str, sealed: bytes | None, *, table: str = "account"
) -> str | None:
    """Open what `seal_field` made for the same table, row and field; else raise WrongSeal."""
    return None if sealed is None else open_bytes(key, table, row, field, sealed).decode()


def seal_bytes(key: bytes, table: str, row: UUID, field: str, content: bytes) -> bytes:
    """Seal bytes, bound to where they stand; `field` may carry more than a column's name."""
    return seal(key, content, _context(table, row, field))


def open_bytes(key: bytes, table: str, row: UUID, field: str, sealed: bytes) -> bytes:
    """Open what `seal_bytes` made for the same place; else raise WrongSeal."""
    return unseal(key, sealed, _context(table, row, field))


def _context(table: str, row: UUID, field: str) -> bytes:
    return f"{table}:{row}:{field}".encode()
