"""Data subjects: keys, tags, links, and being forgotten."""

from __future__ import annotations

import hashlib
import hmac
import threading
from dataclasses import replace
from datetime import datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database
from domain.keys import WrongSeal, keyring
from domain.ledger.entry import decode
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.subjects import service, verify
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import EntryLink, Subject
from domain.subjects.recording import Known
from domain.subjects.tags import tag

TYPE = "consent.expired"
VECTOR = "75ce4cbc9e187da2fd10bb659f865ba4c28025fbc230d1156704784904688c35"


def data(version: int = 1) -> dict[str, object]:
    return {"purpose": "marketing", "purpose_version": version}


def record(session: Session, subject_id: UUID, at: datetime, version: int = 1) -> str:
    return service.record(session, subject_id, TYPE, data(version), at=at)


def test_a_tag_is_this_hmac() -> None:
    """HMAC-SHA256 over the id's 16 bytes. Computed with:
    printf 00112233445566778899aabbccddeeff | xxd -r -p | openssl dgst -sha256 -mac HMAC
    -macopt hexkey:<64 zeros>"""
    assert tag(bytes(32), "00112233445566778899aabbccddeeff") == VECTOR


def test_an_entry_is_tagged_and_linked(session: Session, NOON: datetime) -> None:
    """The link says whose it is, the tag proves it with the key, the bytes say nothing."""
    subject = service.open_subject(session, at=NOON, declared_age=15)
    entry_id = record(session, subject.id, NOON)
    link = session.scalars(select(EntryLink)).one()
    assert (link.entry_id, link.subject_id, link.ordinal) == (entry_id, subject.id, 1)
    content = session.scalars(select(LedgerEntry.bytes)).one()
    key = service.subject_key(session, subject)
    expected = hmac.new(key, bytes.fromhex(entry_id), hashlib.sha256).hexdigest()
    assert decode(content).tag == expected
    assert subject.id.hex.encode() not in content
    assert str(subject.id).encode() not in content


def test_entries_come_in_the_order_of_what_happened(session: Session, NOON: datetime) -> None:
    """Whatever the clock said: here it says the same each time."""
    subject, other = (service.open_subject(session, at=NOON) for _ in range(2))
    for version in range(1, 6):
        record(session, subject.id, NOON, version)
        record(session, other.id, NOON, 99)
    found = [entry.data["purpose_version"] for entry in service.entries(session, subject.id)]
    assert found == [1, 2, 3, 4, 5]


def test_changes_in_the_same_transaction_survive_recording(
    session: Session, NOON: datetime
) -> None:
    """Locking reads the subject again without losing what was just set on it."""
    subject = service.open_subject(session, at=NOON)
    subject.confirmed_at = NOON
    record(session, subject.id, NOON)
    assert service.lock(session, subject.id).confirmed_at == NOON
    assert subject.linked == 1


def test_a_person_who_does_not_exist_has_no_entries(session: Session, NOON: datetime) -> None:
    """Nothing is recorded about an erased person, not even by mistake."""
    with pytest.raises(UnknownSubject):
        record(session, uuid4(), NOON)
    with pytest.raises(UnknownSubject):
        service.lock(session, uuid4())
    with pytest.raises(UnknownSubject):
        service.forget(session, uuid4())
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


def test_many_at_once_get_numbers_without_a_gap(database: Database, NOON: datetime) -> None:
    """What happens to one person happens in one order; nobody's update is lost."""
    with database.transaction() as session:
        subject_id = service.open_subject(session, at=NOON).id
    failures: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(10):
                with database.transaction() as session:
                    record(session, subject_id, NOON)
        except BaseException as error:  # the thread's own end would hide it
            failures.append(error)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with database.reading() as session:
        ordinals = session.scalars(select(EntryLink.ordinal).order_by(EntryLink.ordinal)).all()
        assert ordinals == list(range(1, 41))
        assert first_violation(session, verify.CHECKS) is None


def test_what_was_read_before_something_happened_records_nothing(
    session: Session, NOON: datetime
) -> None:
    """Another entry, another age, nobody there any more: no entry, no link, nothing counted."""
    subject = service.open_subject(session, at=NOON, declared_age=15)
    known = Known(subject.id, subject.wrapped_key, 15, 0)
    stale = (
        replace(known, linked=1),
        replace(known, declared_age=None),
        replace(known, declared_age=13),
    )
    facts = [(TYPE, data(1)), (TYPE, data(2))]
    entries = service.told(keyring(session), known, facts, at=NOON)
    for one in stale:
        assert not service.record_if_unchanged(session, one, entries)
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0
    assert service.record_if_unchanged(session, known, entries)
    links = session.execute(select(EntryLink.entry_id).order_by(EntryLink.ordinal)).scalars().all()
    queue = session.scalars(select(LedgerPending.entry_id).order_by(LedgerPending.number)).all()
    assert [one.id for one in entries] == links == queue
    assert service.get(session, subject.id).linked == 2
    service.forget(session, subject.id)
    entries = service.told(keyring(session), known, facts, at=NOON)
    assert not service.record_if_unchanged(session, known, entries)


@pytest.mark.requirement(50)
def test_forgetting_leaves_facts_about_nobody(session: Session, NOON: datetime) -> None:
    """Links and key go; the entries stay, byte for byte."""
    subject = service.open_subject(session, at=NOON)
    other = service.open_subject(session, at=NOON)
    record(session, subject.id, NOON)
    kept = record(session, other.id, NOON)
    before = session.execute(select(LedgerEntry.id, LedgerEntry.bytes)).all()
    service.forget(session, subject.id)
    assert session.execute(select(LedgerEntry.id, LedgerEntry.bytes)).all() == before
    assert session.scalars(select(EntryLink.entry_id)).all() == [kept]
    assert session.scalars(select(Subject.id)).all() == [other.id]
    assert list(service.entries(session, subject.id)) == []
    assert first_violation(session, verify.CHECKS) is None


def test_forgetting_is_refused_while_something_points_at_the_person(
    session: Session, NOON: datetime
) -> None:
    """Erasure that would leave something behind does not happen at all."""
    subject = service.open_subject(session, at=NOON)
    session.execute(
        text(
            "INSERT INTO signed_link"
            " (id, kind, token_hash, subject_id, stamp, issued_at, expires_at)"
            " SELECT id, 'access', :hash, id, 1, opened_at, opened_at FROM subject"
        ),
        {"hash": bytes(32)},
    )
    with pytest.raises(IntegrityError), session.begin_nested():
        service.forget(session, subject.id)
    assert session.scalar(select(func.count()).select_from(Subject)) == 1


def test_a_key_opens_only_in_its_own_row(session: Session, NOON: datetime) -> None:
    """A wrapped key that is copied to another person does not open there."""
    one, other = (service.open_subject(session, at=NOON) for _ in range(2))
    assert service.subject_key(session, one) != service.subject_key(session, other)
    one.wrapped_key = other.wrapped_key
    with pytest.raises(WrongSeal):
        service.subject_key(session, one)


def test_the_holding_exports_what_the_ledger_says(session: Session, NOON: datetime) -> None:
    """Access gives every entry with its type, time and content."""
    (holding,) = service.HOLDINGS
    subject = service.open_subject(session, at=NOON)
    entry_id = record(session, subject.id, NOON)
    assert holding.export(session, subject.id) == [
        {"entry": entry_id, "when": "2026-11-22T12:00:00.000Z", "type": TYPE, "data": data()}
    ]
    holding.erase(session, subject.id, NOON)
    assert session.get(Subject, subject.id) is None


def violation(session: Session) -> str:
    return str(first_violation(session, verify.CHECKS))


def test_a_key_that_was_replaced_is_found(session: Session, NOON: datetime) -> None:
    """Invariant 9: the key in the row does not open, or is another one."""
    subject, other = (service.open_subject(session, at=NOON) for _ in range(2))
    entry_id = record(session, subject.id, NOON)
    session.execute(
        update(Subject).where(Subject.id == subject.id).values(wrapped_key=other.wrapped_key)
    )
    assert f"entry {entry_id}: the subject's key does not open" in violation(session)
    sealed = session.info["keyring"].seal(bytes(32), b"subject:" + subject.id.bytes)
    session.execute(update(Subject).where(Subject.id == subject.id).values(wrapped_key=sealed))
    assert f"entry {entry_id}: not tagged" in violation(session)
