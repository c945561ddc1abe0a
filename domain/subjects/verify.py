"""Subjects' part of `flask ledger verify`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.keys import SecretError
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.ledger.verify import Check, stream
from domain.subjects.models import EntryLink, Subject
from domain.subjects.service import unwrap
from domain.subjects.tags import tag


def _links(session: Session) -> Iterator[str]:
    """Outer joins, from both sides: a link may have lost its entry, its subject, or both."""
    rows = stream(
        session,
        select(
            EntryLink.entry_id,
            EntryLink.subject_id,
            Subject.id.label("found"),
            Subject.wrapped_key,
            LedgerEntry.bytes,
        )
        .outerjoin(Subject, Subject.id == EntryLink.subject_id)
        .outerjoin(LedgerEntry, LedgerEntry.id == EntryLink.entry_id)
        .order_by(EntryLink.subject_id, EntryLink.ordinal),
    )
    for _, links in groupby(rows, key=attrgetter("subject_id")):
        yield from _links_of_one(session, links)


def _links_of_one(session: Session, links: Iterator[Any]) -> Iterator[str]:
    key: bytes | None = None
    for link in links:
        if link.found is None:
            yield f"entry {link.entry_id}: linked to a subject that does not exist"
            continue
        if key is None:
            try:
                key = unwrap(session, link.found, link.wrapped_key)
            except SecretError as error:
                yield f"entry {link.entry_id}: the subject's key does not open: {error}"
                return
        if link.bytes is None:
            yield f"entry {link.entry_id}: linked and does not exist"
        elif decode(link.bytes).tag != tag(key, link.entry_id):
            yield f"entry {link.entry_id}: not tagged with the key of the subject it is linked to"


def _ordinals(session: Session) -> Iterator[str]:
    rows = stream(
        session,
        select(Subject.id, Subject.linked, EntryLink.ordinal, EntryLink.entry_id)
        .outerjoin(EntryLink, EntryLink.subject_id == Subject.id)
        .order_by(Subject.id, EntryLink.ordinal),
    )
    for subject_id, links in groupby(rows, key=attrgetter("id")):
        last = linked = 0
        for link in links:
            linked = link.linked
            if link.ordinal is None:
                break
            if link.ordinal != last + 1:
                yield f"entry {link.entry_id}: number {link.ordinal} of its subject, after {last}"
            last = link.ordinal
        if last != linked:
            yield f"subject {subject_id}: {linked} entries were linked, the last is number {last}"


CHECKS = (
    Check(9, "every link's entry exists and its tag matches the subject's key", _links),
    Check(16, "the entries of a person are numbered without a gap", _ordinals),
)
