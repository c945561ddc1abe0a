"""What is kept about a person at a glance: for the page «Ditt personvern», and for the one that
says what an erasure takes and leaves (GDPR art. 12(1), 13, 15, 17(3))."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from database import Database
from domain.accounting import records
from domain.consent.purposes import Purpose, RetentionRule, purposes
from domain.holding import Holding
from domain.keys import keyring
from domain.rights import held, kept
from domain.rights.inventory import INVENTORY
from domain.subjects import service as subjects

# What may be so much that it has pages of its own; here it is counted, and shown by its newest.
_ELSEWHERE = ("entries", "decisions")
# The rule for what a request leaves.
_CASES = "cases"


@dataclass(frozen=True)
class Glance:
    """A holding as the page shows it: its newest records, of `count`; why it is kept, and until
    when. `held` is until when a legal hold keeps it, whatever else is said."""

    name: str
    source: str
    purposes: tuple[Purpose, ...]
    count: int
    records: tuple[Mapping[str, Any], ...]
    rule: RetentionRule
    until: date | None
    held: date | None


@dataclass(frozen=True)
class Remainder:
    """What an erasure would leave for a time: holdings under a legal hold, and the books; and so
    many months the facts of a case, about nobody. `accounting_known` is false where this process
    may not look into the books."""

    kept: Mapping[str, date]
    accounting_until: date | None
    accounting_known: bool
    case_months: int


def glances(
    session: Session, subject_id: UUID, *, at: datetime, most: int = 10
) -> tuple[list[Glance], list[str]]:
    """What is kept about a person, in the order of the inventory, at most so many records of
    each; and the names of the holdings that have nothing of them. Raises UnknownSubject."""
    ends = {one.holding: one for one in kept.dates(session, subject_id, at=at)}
    back = held.kept_back(session, subject_id)
    found, empty = [], []
    for holding in INVENTORY:
        count, newest = _records(session, subject_id, holding, most)
        if not count:
            empty.append(holding.name)
            continue
        end = ends.get(holding.name)
        rules = purposes(session).retention
        found.append(
            Glance(
                name=holding.name,
                source=holding.source,
                purposes=tuple(purposes(session).purposes[one] for one in holding.purposes),
                count=count,
                records=newest,
                rule=rules[end.rule if end else holding.retention[-1]],
                until=end.until if end else None,
                held=back.get(holding.name),
            )
        )
    return found, empty


def remainder(session: Session, subject_id: UUID) -> Remainder:
    """What an erasure would leave of this person for a time, and until when."""
    books: Database | None = session.info.get("accounting")
    until = records.kept_until(books, keyring(session), subject_id) if books else None
    months = purposes(session).retention[_CASES].months
    return Remainder(held.kept_back(session, subject_id), until, records.known(session), months)


def _records(
    session: Session, subject_id: UUID, holding: Holding, most: int
) -> tuple[int, tuple[Mapping[str, Any], ...]]:
    """How many there are, and the newest."""
    if holding.name in _ELSEWHERE:
        return subjects.get(session, subject_id).linked, ()
    told = holding.export(session, subject_id)
    return len(told), tuple(reversed(told[-most:]))
