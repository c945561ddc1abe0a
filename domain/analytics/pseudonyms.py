"""Pseudonyms: whose an event is, as long as two keys are there.

`HMAC-SHA256(key of the member or browser, key of the month)`. The first dies with the withdrawal,
the second with the events of its month; without either nobody can make the pseudonym again. The
month is that of the week's Monday, so that within a week nobody counts twice.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import date, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import inserting, table_of
from domain.analytics.models import UsageKey, UsageMonth
from domain.keys import KEY_BYTES, DoesNotOpen, Keyring, keyring
from domain.sealed import Sealed

log = structlog.get_logger()

# Opened once in a process: the key service, where there is one, may be far away. By the row's id,
# which is random, so what stands here is never another's.
_opened: dict[UUID, bytes] = {}


def monday(day: date) -> date:
    """The first day of a day's week."""
    return day - timedelta(days=day.weekday())


def month_of(day: date) -> str:
    """The month whose key a day's pseudonyms are made with."""
    return f"{monday(day):%Y-%m}"


def pseudonym(key: bytes, month_key: bytes) -> bytes:
    """Who did something, as it stands with the event."""
    return hmac.new(key, month_key, hashlib.sha256).digest()


def make_month(session: Session, month: str) -> None:
    """The random key of this month, where there is none. Of two that make it at once the second
    waits for the first, and leaves what it made. Raises KeyServiceError."""
    made = uuid4()
    sealed = keyring(session).seal(secrets.token_bytes(KEY_BYTES), _context(made))
    new = inserting(session, _MONTH).values(id=made, month=month, key=sealed)
    session.execute(new.on_conflict_do_nothing())


def opened(ring: Keyring, row: UUID, sealed: bytes) -> bytes:
    """The key of a month. Raises DoesNotOpen, KeyServiceError."""
    key = _opened.get(row)
    if key is None:
        key = _opened[row] = ring.unseal(bytes(sealed), _context(row))
    return key


def month_keys(session: Session) -> Mapping[str, bytes]:
    """Every month's. One that does not open any more is told of and left out: its events lead to
    nobody, and must not keep a person from leaving. Raises KeyServiceError."""
    rows = session.execute(select(_MONTH.c.id, _MONTH.c.month, _MONTH.c.key)).all()
    for gone in set(_opened) - {row.id for row in rows}:
        _opened.pop(gone, None)
    found = {}
    for row in rows:
        try:
            found[row.month] = opened(keyring(session), row.id, row.key)
        except DoesNotOpen as error:
            log.error("usage_month_shut", month=row.month, error=type(error).__name__)
    return found


def of_member(session: Session, subject_id: UUID) -> list[bytes]:
    """Every pseudonym of a member that something can stand under; none where they are not
    counted. Raises KeyServiceError."""
    key = session.scalar(select(UsageKey.key).where(UsageKey.subject_id == subject_id))
    return [] if key is None else [pseudonym(key, month) for month in month_keys(session).values()]


def _context(row: UUID) -> bytes:
    return b"usage-month:" + row.bytes


_MONTH = table_of(UsageMonth)
SEALED = Sealed("keys of months", _MONTH.c.key, _context)
