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
from domain.ledger.verify import Check, stream


def _presentations(session: Session) -> Iterator[str]:
    for digest, content in stream(session, select(Presentation.hash, Presentation.bytes)):
        if hashlib.sha256(content).hexdigest() != digest:
            yield f"presentation {digest}"


def _shown(session: Session) -> Iterator[str]:
    known = set(session.scalars(select(Presentation.hash)))
    for entry_id, raw in stream(session, select(LedgerEntry.id, LedgerEntry.bytes)):
        digest = decode(raw).data.get("presentation")
        if digest is not None and digest not in known:
            yield f"entry {entry_id}: presentation {digest}"


def _notices(session: Session) -> Iterator[str]:
    """Both ways: what is stored was published so, and what was published is stored."""
    said = dict(_published(session))
    for notice in session.scalars(select(NoticeVersion)):
        name = f"{notice.kind} notice of {notice.effective_on} ({notice.locale})"
        key = (notice.entry_id, notice.kind, notice.effective_on.isoformat(), notice.locale)
        if hashlib.sha256(notice.content).hexdigest() != notice.hash:
            yield name
        elif said.pop(key, None) != notice.hash:
            yield f"{name}: the ledger has another hash"
    for entry_id, kind, day, locale in said:
        yield f"entry {entry_id}: the {kind} notice of {day} ({locale}) is gone"


def _published(session: Session) -> Iterator[tuple[tuple[str, str, str, str], str]]:
    """The hash of every published document, by entry, kind, date and language."""
    for (raw,) in stream(session, select(LedgerEntry.bytes)):
        entry = decode(raw)
        if entry.type == "notice.published":
            data = entry.data
            for locale, digest in data["hashes"].items():
                yield (entry.id, data["kind"], data["effective_on"], locale), digest


CHECKS = (
    Check(10, "the projection of current decisions equals a replay", differences),
    Check(11, "every presentation hashes to its name", _presentations),
    Check(12, "the presentation of every decision is kept", _shown),
    Check(13, "every notice is what the ledger says was published", _notices),
)
