"""The projection of current decisions: rebuilt, and compared, by replaying the ledger."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, text
from sqlalchemy.orm import Session

from domain.consent.decisions import Decision
from domain.consent.models import CurrentDecision
from domain.ledger.entry import decode
from domain.ledger.invariants import stream
from domain.ledger.models import LedgerEntry
from domain.subjects.models import EntryLink

_BATCH = 1000
_TYPE, _PURPOSE = b'"type":"consent.', b'"purpose":"'

# The first and the last of the subjects that are looked at.
Range = tuple[UUID, UUID]
EVERYBODY: Range = (UUID(int=0), UUID(int=2**128 - 1))

COLUMNS = (
    "subject_id",
    "purpose_id",
    "state",
    "entry_id",
    "at",
    "purpose_version",
    "presentation",
    "expires_at",
)


def rebuild(session: Session) -> int:
    """Throw the projection away and make it again from ledger and links; return its rows.

    Whoever decides meanwhile waits: SQLite has one writer anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("LOCK TABLE current_decision IN EXCLUSIVE MODE"))
    session.execute(delete(CurrentDecision))
    batch: list[dict[str, Any]] = []
    rows = 0
    for row in replay(session):
        batch.append(row)
        rows += 1
        if len(batch) == _BATCH:
            session.execute(insert(CurrentDecision), batch)
            batch = []
    if batch:
        session.execute(insert(CurrentDecision), batch)
    return rows


def replay(session: Session, subjects: Range = EVERYBODY) -> Iterator[dict[str, Any]]:
    """What the projection must say, a subject at a time: memory does not grow with the log."""
    linked = stream(
        session,
        select(EntryLink.subject_id, LedgerEntry.bytes)
        .join(LedgerEntry, LedgerEntry.id == EntryLink.entry_id)
        .where(EntryLink.subject_id.between(*subjects))
        .order_by(EntryLink.subject_id, EntryLink.ordinal),
    )
    for subject_id, entries in groupby(linked, key=itemgetter(0)):
        # In canonical JSON these stand nowhere else, so only the newest is read wholly.
        newest = {_purpose(raw): raw for _, raw in entries if _TYPE in raw}
        for purpose_id in sorted(newest):
            yield _row(subject_id, Decision.of(decode(newest[purpose_id])))


def _purpose(raw: bytes) -> bytes:
    begin = raw.index(_PURPOSE) + len(_PURPOSE)
    return raw[begin : raw.index(b'"', begin)]


def differences(session: Session, subjects: Range = EVERYBODY) -> Iterator[str]:
    """Where the projection says something else than a replay: entry and purpose of each."""
    columns = [getattr(CurrentDecision, name) for name in COLUMNS]
    of_these = CurrentDecision.subject_id.between(*subjects)
    found = stream(session, select(*columns).where(of_these).order_by(CurrentDecision.subject_id))
    stored = (("stored", dict(zip(COLUMNS, row, strict=True))) for row in found)
    replayed = (("replayed", row) for row in replay(session, subjects))
    # Both come in the order of subjects, and both databases order a UUID as its hex digits do.
    merged = heapq.merge(stored, replayed, key=_subject)
    for _, rows in groupby(merged, key=_subject):
        sides: dict[str, dict[str, dict[str, Any]]] = {"stored": {}, "replayed": {}}
        for side, row in rows:
            sides[side][row["purpose_id"]] = row
        for purpose_id in sorted({*sides["stored"], *sides["replayed"]}):
            have, wanted = sides["stored"].get(purpose_id), sides["replayed"].get(purpose_id)
            if have != wanted:
                yield f"entry {(have or wanted or {})['entry_id']} ({purpose_id})"


def _subject(sided: tuple[str, dict[str, Any]]) -> str:
    subject_id: UUID = sided[1]["subject_id"]
    return subject_id.hex


def _row(subject_id: UUID, decision: Decision) -> dict[str, Any]:
    return {
        "subject_id": subject_id,
        "purpose_id": decision.purpose_id,
        "state": decision.state.value,
        "entry_id": decision.entry_id,
        "at": decision.at,
        "purpose_version": decision.purpose_version,
        "presentation": decision.presentation,
        "expires_at": decision.expires_at,
    }
