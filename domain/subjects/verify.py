"""Subjects' part of `flask ledger verify`."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from domain.keys import SecretError
from domain.ledger.invariants import Invariant, Part, Tell, Violation, Walk, stream
from domain.ledger.models import LedgerEntry
from domain.subjects import walk
from domain.subjects.models import EntryLink, Subject
from domain.subjects.service import unwrap
from domain.subjects.tags import tag

LINKED = Invariant(9, "every link's entry exists and its tag matches the subject's key")
NUMBERED = Invariant(16, "the entries of a person are numbered without a gap")


def faults(session: Session, part: Part) -> Iterator[Violation]:
    """What is wrong with the links and the numbers of these subjects, and where. Slow."""
    for where in _links(session, part):
        yield LINKED.broken(where)
    for where in _ordinals(session, part):
        yield NUMBERED.broken(where)


def _links(session: Session, part: Part) -> Iterator[str]:
    """Outer joins, from both sides: a link may have lost its entry, its subject, or both."""
    link = select(EntryLink).where(EntryLink.subject_id.between(*walk.bounds(part))).subquery()
    rows = stream(
        session,
        select(link.c.subject_id, link.c.entry_id, Subject.wrapped_key, LedgerEntry.bytes)
        .outerjoin(Subject, Subject.id == link.c.subject_id)
        .outerjoin(LedgerEntry, LedgerEntry.id == link.c.entry_id)
        .order_by(link.c.subject_id, link.c.ordinal),
    )
    for subject_id, found in groupby(rows, key=itemgetter(0)):
        yield from _links_of_one(session, subject_id, found)


def _links_of_one(session: Session, subject_id: UUID, links: Iterator[Any]) -> Iterator[str]:
    key: bytes | None = None
    for _, entry_id, wrapped_key, content in links:
        if wrapped_key is None:
            yield f"entry {entry_id}: linked to a subject that does not exist"
            continue
        if key is None:
            try:
                key = unwrap(session, subject_id, wrapped_key)
            except SecretError as error:
                yield f"entry {entry_id}: the subject's key does not open: {error}"
                return
        if content is None:
            yield f"entry {entry_id}: linked and does not exist"
            continue
        # Entries are canonical (invariant 15): in those, this stands before the tag only.
        begin = content.rfind(walk.TAG) + len(walk.TAG)
        if content[begin : begin + 64] != tag(key, entry_id).encode("ascii"):
            yield f"entry {entry_id}: not tagged with the key of the subject it is linked to"


def _ordinals(session: Session, part: Part) -> Iterator[str]:
    """The database counts; whose numbers do not come out even, is looked at more closely."""
    ordinal = EntryLink.ordinal
    counts = (func.count(ordinal.distinct()), func.count(ordinal), func.max(ordinal))
    uneven = (
        select(Subject.id, Subject.linked)
        .outerjoin(EntryLink, EntryLink.subject_id == Subject.id)
        .where(Subject.id.between(*walk.bounds(part)))
        .group_by(Subject.id, Subject.linked)
        .having(
            or_(
                *(func.coalesce(count, 0) != Subject.linked for count in counts),
                func.min(ordinal) != 1,
            )
        )
        .order_by(Subject.id)
    )
    for subject_id, linked in session.execute(uneven).all():
        yield from _ordinals_of_one(session, subject_id, linked)


def _ordinals_of_one(session: Session, subject_id: UUID, linked: int) -> Iterator[str]:
    columns = (EntryLink.ordinal, EntryLink.entry_id)
    query = select(*columns).where(EntryLink.subject_id == subject_id)
    last = 0
    for ordinal, entry_id in session.execute(query.order_by(EntryLink.ordinal)):
        if ordinal != last + 1:
            yield f"entry {entry_id}: number {ordinal} of its subject, after {last}"
        last = ordinal
    if last != linked:
        yield f"subject {subject_id}: {linked} entries were linked, the last is number {last}"


def _run(session: Session, part: Part, tell: Tell) -> Iterator[Violation]:
    if not walk.sound(session, part, lambda subject_id, contents: True):
        yield from faults(session, part)
    tell(part.rows)


CHECKS = (Walk((LINKED, NUMBERED), walk.parts, _run),)
