"""Appending: an entry is stored in the transaction of what it records, or not at all."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from domain.ledger.entry import Entry, new_id
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.schemas import check


def append(session: Session, entry: Entry) -> None:
    """Store an entry and queue it for its position.

    Takes no lock: requests never wait for each other here, and the order of the log is made
    later, from the queue. Raises SchemaError, MalformedEntry, EntryTooLarge; IntegrityError
    where the id is taken, whatever the bytes.
    """
    check(entry.type, entry.data)
    row = {"id": entry.id, "bytes": entry.encode(), "recorded_at": entry.at}
    session.execute(insert(LedgerEntry).values(row))
    session.execute(insert(LedgerPending).values(entry_id=entry.id))


def append_anonymous(session: Session, type: str, data: dict[str, Any], *, at: datetime) -> str:
    """Append an entry about nobody; return its id.

    Its tag is random, so that it cannot be told from one about a person.
    """
    entry = Entry(id=new_id(), at=at, type=type, tag=secrets.token_hex(32), data=data)
    append(session, entry)
    return entry.id
