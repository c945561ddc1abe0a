"""Appending: an entry is stored in the transaction of what it records, or not at all."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from database import table_of
from domain.ledger.entry import Entry, new_id
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.schemas import check

_ENTRY = insert(table_of(LedgerEntry))
# The queue's own number is nobody's business here, so it is not asked for.
_PENDING = insert(table_of(LedgerPending)).inline()


def append(session: Session, *entries: Entry) -> None:
    """Store entries and queue them for their positions, in this order.

    Takes no lock: requests never wait for each other here, and the order of the log is made
    later, from the queue. Raises SchemaError, MalformedEntry, EntryTooLarge; IntegrityError
    where an id is taken, whatever the bytes.
    """
    session.execute(_ENTRY, [row(entry) for entry in entries])
    session.execute(_PENDING, [{"entry_id": entry.id} for entry in entries])


def row(entry: Entry) -> dict[str, Any]:
    """An entry as its table keeps it. Raises SchemaError, MalformedEntry, EntryTooLarge."""
    check(entry.type, entry.data)
    return {"id": entry.id, "bytes": entry.encode(), "recorded_at": entry.at}


def append_anonymous(session: Session, type: str, data: dict[str, Any], *, at: datetime) -> str:
    """Append an entry about nobody; return its id.

    Its tag is random, so that it cannot be told from one about a person.
    """
    entry = _anonymous(type, data, at)
    append(session, entry)
    return entry.id


def pad(session: Session, count: int = 1, *, at: datetime) -> None:
    """Append entries that say nothing, in place of those that another case would have left.

    Everybody sees how the log grows, so what a stranger can set off has to make it grow by the
    same number whoever it is about (docs/decisions/0014).
    """
    append(session, *(_anonymous("log.padded", {}, at) for _ in range(count)))


def _anonymous(type: str, data: dict[str, Any], at: datetime) -> Entry:
    return Entry(id=new_id(), at=at, type=type, tag=secrets.token_hex(32), data=data)
