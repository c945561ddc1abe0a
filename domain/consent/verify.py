"""Consent's part of `flask ledger verify`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import people_walk
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger import raw
from domain.ledger.entry import decode
from domain.ledger.invariants import Check, stream

_AT_ONCE = 500


def _presentations(session: Session) -> Iterator[str]:
    for digest, content in stream(session, select(Presentation.hash, Presentation.bytes)):
        if hashlib.sha256(content).hexdigest() != digest:
            yield f"presentation {digest}"


def _shown(session: Session) -> Iterator[str]:
    # Entries are canonical (invariant 15), so this is how each names what was shown.
    shown = raw.following(session, b'"presentation":"', 64)
    while named := dict(
        (digest.decode(), entry_id) for entry_id, digest in islice(shown, _AT_ONCE)
    ):
        known = set(session.scalars(select(Presentation.hash).where(Presentation.hash.in_(named))))
        for digest in sorted(named.keys() - known):
            yield f"entry {named[digest]}: presentation {digest}"


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
    for _, content in raw.containing(session, b'"type":"notice.published"'):
        entry = decode(content)
        for locale, digest in entry.data["hashes"].items():
            yield (entry.id, entry.data["kind"], entry.data["effective_on"], locale), digest


CHECKS = (
    people_walk.WALK,
    Check(11, "every presentation hashes to its name", _presentations),
    Check(12, "the presentation of every decision is kept", _shown),
    Check(13, "every notice is what the ledger says was published", _notices),
)
