"""Consent's part of `flask ledger verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent.models import NoticeVersion, Presentation
from domain.consent.projection import differences
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.ledger.verify import Check

_BATCH = 1000


def _presentations(session: Session) -> Iterator[str]:
    rows = session.execute(
        select(Presentation.hash, Presentation.bytes).execution_options(yield_per=_BATCH)
    )
    for digest, content in rows:
        if hashlib.sha256(content).hexdigest() != digest:
            yield f"presentation {digest}"


def _shown(session: Session) -> Iterator[str]:
    known = set(session.scalars(select(Presentation.hash)))
    rows = session.execute(
        select(LedgerEntry.id, LedgerEntry.bytes).execution_options(yield_per=_BATCH)
    )
    for entry_id, raw in rows:
        digest = decode(raw).data.get("presentation")
        if digest is not None and digest not in known:
            yield f"entry {entry_id}: presentation {digest}"


def _notices(session: Session) -> Iterator[str]:
    for notice in session.scalars(select(NoticeVersion)):
        name = f"{notice.kind} notice of {notice.effective_on} ({notice.locale})"
        if hashlib.sha256(notice.content).hexdigest() != notice.hash:
            yield name
            continue
        raw = session.scalar(select(LedgerEntry.bytes).where(LedgerEntry.id == notice.entry_id))
        data = decode(raw).data if raw else {}
        if data.get("hashes", {}).get(notice.locale) != notice.hash:
            yield f"{name}: the ledger has another hash"


CHECKS = (
    Check(10, "the projection of current decisions equals a replay", differences),
    Check(11, "every presentation hashes to its name", _presentations),
    Check(12, "the presentation of every decision is kept", _shown),
    Check(13, "every notice is what the ledger says was published", _notices),
)
