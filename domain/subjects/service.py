"""Data subjects: opened, written about in the ledger, and forgotten."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.util import identity_key

from database import table_of
from domain.dates import timestamp
from domain.holding import Holding
from domain.keys import KEY_BYTES, DoesNotOpen, Keyring, keyring
from domain.ledger.append import append_anonymous
from domain.ledger.entry import Entry, decode, new_id
from domain.ledger.models import LedgerEntry
from domain.sealed import Sealed
from domain.subjects import recording
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import EntryLink, Subject
from domain.subjects.recording import Known, Rows
from domain.subjects.tags import tag

# An entry's type and what it says.
Fact = tuple[str, dict[str, Any]]
_SUBJECT = Subject.__table__.c
_KNOWN = (
    select(_SUBJECT.wrapped_key, _SUBJECT.declared_age, _SUBJECT.linked)
    .where(_SUBJECT.id == bindparam("subject"))
    .with_for_update()
)


def open_subject(session: Session, *, at: datetime, declared_age: int | None = None) -> Subject:
    """A new data subject, with a random key that only the key-encryption key opens."""
    subject_id = uuid4()
    sealed = keyring(session).seal(secrets.token_bytes(KEY_BYTES), _context(subject_id))
    subject = Subject(
        id=subject_id, wrapped_key=sealed, opened_at=at, declared_age=declared_age, linked=0
    )
    session.add(subject)
    session.flush()
    return subject


def get(session: Session, subject_id: UUID) -> Subject:
    """The subject. Raises UnknownSubject."""
    subject = session.get(Subject, subject_id)
    if subject is None:
        raise UnknownSubject(subject_id)
    return subject


def ids(session: Session) -> list[UUID]:
    """Everybody's."""
    return list(session.scalars(select(Subject.id)))


def lock(session: Session, subject_id: UUID) -> Subject:
    """The subject as it is now, held until the transaction ends: whoever decides by what
    happened to this person before holds this first. Raises UnknownSubject."""
    session.flush()  # what this transaction changed is not to be overwritten by what was stored
    subject = session.get(Subject, subject_id, with_for_update=True, populate_existing=True)
    if subject is None:
        raise UnknownSubject(subject_id)
    return subject


def record(
    session: Session, subject_id: UUID, type: str, data: dict[str, Any], *, at: datetime
) -> str:
    """Append an entry about this person and link it; return its id.

    Locks the subject until the transaction ends, so the ordinals of one person are dense and
    in the order of what happened. Raises UnknownSubject and what `append` raises.
    """
    known = hold(session, subject_id)
    entries = told(keyring(session), known, [(type, data)], at=at)
    if not record_if_unchanged(session, known, entries):
        raise UnknownSubject(subject_id)  # cannot be: nobody changes what is locked
    return entries[0].id


def record_anyway(
    session: Session, subject_id: UUID, type: str, data: dict[str, Any], *, at: datetime
) -> str:
    """`record`, also of somebody whose key does not open any more: the entry is about nobody then,
    since nobody can make their tag. Raises UnknownSubject and what `append` raises."""
    try:
        return record(session, subject_id, type, data, at=at)
    except DoesNotOpen:
        return append_anonymous(session, type, data, at=at)


def hold(session: Session, subject_id: UUID) -> Known:
    """What entries about this person depend on; they are locked until the transaction ends.
    Raises UnknownSubject."""
    session.flush()
    row = session.execute(_KNOWN, {"subject": subject_id}).one_or_none()
    if row is None:
        raise UnknownSubject(subject_id)
    return Known(subject_id, *row)


def record_if_unchanged(
    session: Session, known: Known, entries: Sequence[Entry], *beside: Rows
) -> bool:
    """Append and link entries about a person, and write what is true only with them.

    False, and nothing is done, if since `known` was read something was recorded about this
    person, their age was corrected, or they are gone. That is looked at while the subject is
    being locked, so who decides by what happened to a person before may read it without a lock
    and decide again, under one, in the rare case. Raises what `append` raises.
    """
    if not recording.write(session.connection(), known, entries, *beside):
        return False
    loaded = session.identity_map.get(identity_key(Subject, known.subject_id))
    if loaded is not None:
        session.expire(loaded, ["linked"])
    return True


def told(ring: Keyring, known: Known, facts: Sequence[Fact], *, at: datetime) -> list[Entry]:
    """The entries that say these facts of a person, for `record_if_unchanged`."""
    key = ring.unseal(known.wrapped_key, _context(known.subject_id))
    entries = []
    for type, data in facts:
        entry_id = new_id()
        entries.append(Entry(id=entry_id, at=at, type=type, tag=tag(key, entry_id), data=data))
    return entries


def entries(session: Session, subject_id: UUID) -> Iterator[Entry]:
    """What the ledger says about this person, in the order it happened."""
    contents = session.scalars(
        select(LedgerEntry.bytes)
        .join(EntryLink, EntryLink.entry_id == LedgerEntry.id)
        .where(EntryLink.subject_id == subject_id)
        .order_by(EntryLink.ordinal)
    )
    for content in contents:
        yield decode(content)


def subject_key(session: Session, subject: Subject) -> bytes:
    """The subject's key. Raises UnknownEpoch or WrongSeal (domain/keys.py)."""
    return unwrap(session, subject.id, subject.wrapped_key)


def unwrap(session: Session, subject_id: UUID, wrapped_key: bytes) -> bytes:
    """`subject_key`, where only columns were read."""
    return keyring(session).unseal(wrapped_key, _context(subject_id))


def restrict(session: Session, subject_id: UUID, *, at: datetime) -> bool:
    """From now on nothing but storing (GDPR art. 18); False if that was so before. Raises
    UnknownSubject."""
    subject = lock(session, subject_id)
    if subject.restricted_at is not None:
        return False
    subject.restricted_at = at
    record(session, subject_id, "restriction.placed", {}, at=at)
    return True


def lift_restriction(session: Session, subject_id: UUID, *, at: datetime) -> bool:
    """Let processing go on; False if nothing held it. Raises UnknownSubject."""
    subject = lock(session, subject_id)
    if subject.restricted_at is None:
        return False
    subject.restricted_at = None
    record(session, subject_id, "restriction.lifted", {}, at=at)
    return True


def freeze(session: Session, subject_id: UUID, *, at: datetime) -> None:
    """Nothing is permitted any more: the person is being erased, and something is waited for.
    Raises UnknownSubject."""
    subject = lock(session, subject_id)
    subject.erasing_at = subject.erasing_at or at
    session.flush()


def thaw(session: Session, subject_id: UUID) -> None:
    """The person is not being erased after all. Raises UnknownSubject."""
    lock(session, subject_id).erasing_at = None
    session.flush()


def forget(session: Session, subject_id: UUID) -> None:
    """Delete the key, and the links with it: what the ledger says stays, about nobody.

    Fails with IntegrityError while a row elsewhere still points at the subject: erasure that
    would leave something behind is refused. Raises UnknownSubject.
    """
    lock(session, subject_id)
    session.execute(delete(Subject).where(Subject.id == subject_id))


def _context(subject_id: UUID) -> bytes:
    return b"subject:" + subject_id.bytes


SEALED = Sealed("subjects' keys", table_of(Subject).c.wrapped_key, _context)


def _walk(session: Session, subject_id: UUID) -> Iterator[dict[str, Any]]:
    for entry in entries(session, subject_id):
        said = {"type": entry.type, "data": entry.data}
        yield {"entry": entry.id, "when": timestamp(entry.at), **said}


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return list(_walk(session, subject_id))


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    forget(session, subject_id)


# Erased last: everything else points at the subject, and its key opens what is kept.
HOLDINGS = (
    Holding(
        name="entries",
        purposes=("account", "rights"),
        source="use",
        retention=("person",),
        columns={
            "subject": (
                "id",
                "wrapped_key",
                "opened_at",
                "confirmed_at",
                "declared_age",
                "restricted_at",
                "erasing_at",
                "linked",
            ),
            "entry_link": ("entry_id", "subject_id", "ordinal"),
        },
        export=_export,
        erase=_erase,
        walk=_walk,
        stays=True,
    ),
)
