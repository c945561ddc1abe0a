"""What a mail encloses of the ledger: the entries it is about, with their receipts, and where
the log stands.

Made when the mail is delivered, from the ids in its payload alone: the last mail to an erased
person is made after the links are gone, and a receipt needs none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import receipts
from domain.consent.purposes import purposes
from domain.ledger import tree
from domain.ledger.entry import decode
from domain.ledger.errors import LedgerError
from domain.ledger.models import LedgerEntry

log = structlog.get_logger()


@dataclass(frozen=True)
class Recorded:
    """An entry as a mail tells of it. `about` is the purpose in the reader's language, `reason`
    a word of the ledger's, and `receipt` the file, or None."""

    id: str
    type: str
    at: datetime
    about: str | None
    reason: str | None
    receipt: bytes | None

    @property
    def file_name(self) -> str:
        """What the receipt is called."""
        return f"receipt-{self.id[:8]}.json"


def ready(session: Session, payload: Mapping[str, Any]) -> bool:
    """Whether every entry that the mail is about can be proved."""
    wanted = payload.get("entries", [])
    newest = tree.published(session) if wanted else None
    size = newest.size if newest else 0
    places = (tree.position(session, entry_id) for entry_id in wanted)
    return all(place is not None and place < size for place in places)


def recorded(session: Session, payload: Mapping[str, Any], locale: str) -> list[Recorded]:
    """The entries that the mail is about, in the order it names them: each with its receipt, or
    none with one while one of them cannot be made."""
    wanted: list[str] = payload.get("entries", [])
    if not wanted:
        return []
    found = select(LedgerEntry.bytes).where(LedgerEntry.id.in_(wanted))
    entries = {entry.id: entry for entry in map(decode, session.scalars(found))}
    made = _receipts(session, wanted)
    if made.keys() != entries.keys():
        made = {}
    return [
        Recorded(
            entry.id,
            entry.type,
            entry.at,
            name_of(session, entry.data.get("purpose"), locale),
            entry.data.get("reason"),
            made.get(entry.id),
        )
        for entry in (entries[entry_id] for entry_id in wanted if entry_id in entries)
    ]


def _receipts(session: Session, wanted: list[str]) -> dict[str, bytes]:
    try:
        made = {entry.id: one.encode() for entry, one in receipts.receipts(session, wanted)}
    except LedgerError as error:
        # What is stored is not whole. A link to confirm an address must arrive all the same.
        log.error("receipts_not_made", error=type(error).__name__)
        return {}
    return made


def name_of(session: Session, purpose_id: str | None, locale: str) -> str | None:
    """The purpose by its name; one that is not in the register any more has only its id left."""
    purpose = purposes(session).purposes.get(purpose_id or "")
    return purpose.text[locale].name if purpose else purpose_id
