"""Telling people, by mail and before it applies, that a notice changes in something material.

It is no marketing, so it rests on no consent, and a restriction does not stop it. Whoever opened an
account after the version was published has read it there, so a fresh installation tells nobody.

`notice_telling` says how far the telling of a version has come. People are told in the order of
their ids, some at a time; their mails and the cursor are one transaction, so a kill leaves out
nobody and tells nobody twice.
"""

from __future__ import annotations

from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from database import Database, inserting, table_of
from domain.apart import apart
from domain.consent import notices
from domain.consent.changes import Change, changes
from domain.consent.models import NoticeTelling
from domain.delivery import outbox
from domain.identity import accounts
from domain.identity.models import Account
from domain.locales import DEFAULT
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject

LETTER = "mail.notice_changed"


def tell(database: Database, at: datetime, *, limit: int) -> int | None:
    """Tell the next few of the oldest version that is not told to the end; how many were, None when
    there is none. Whether there is one is looked for without holding anybody up."""
    with database.reading() as session:
        change = next((one for one in changes(session) if _untold(session, one)), None)
    if change is None:
        return None
    with database.transaction() as session:
        return _tell_some(session, change, at, limit)


def _untold(session: Session, change: Change) -> bool:
    """Whether the version is published, and somebody may be left to be told of it."""
    if _published_at(session, change) is None:
        return False
    telling = session.get(NoticeTelling, (change.kind, change.date))
    return telling is None or telling.finished_at is None


def _published_at(session: Session, change: Change) -> datetime | None:
    published = notices.get(session, change.kind, change.date, DEFAULT)
    return None if published is None else published.published_at


def _tell_some(session: Session, change: Change, at: datetime, limit: int) -> int:
    telling, published = _held(session, change, at), _published_at(session, change)
    # Another worker may have come to the end meanwhile.
    if telling.finished_at is not None or published is None:
        return 0
    people = _people(published).limit(limit)
    if telling.cursor is not None:
        people = people.where(Account.subject_id > telling.cursor)
    found = session.scalars(people).all()
    told = sum(
        apart(session, "notices", partial(_tell, session, change, published, subject_id, at))
        for subject_id in found
    )
    telling.cursor = found[-1] if found else None
    telling.finished_at = None if found else at
    return told


def _held(session: Session, change: Change, at: datetime) -> NoticeTelling:
    """How far the telling has come, held until the transaction ends; begun where it was not."""
    begun = {"kind": change.kind, "effective_on": change.date, "begun_at": at}
    begin = inserting(session, table_of(NoticeTelling)).values(begun)
    session.execute(begin.on_conflict_do_nothing())
    version = (change.kind, change.date)
    return session.get_one(NoticeTelling, version, with_for_update=True, populate_existing=True)


def _people(published_at: datetime) -> Select[Any]:
    """Who is to be told of what was published then, in the order of their ids."""
    return (
        select(Account.subject_id)
        .join(Subject, Subject.id == Account.subject_id)
        .where(
            Account.opened_at < published_at,
            Account.undeliverable_at.is_(None),
            Subject.confirmed_at.is_not(None),
            Subject.erasing_at.is_(None),
        )
        .order_by(Account.subject_id)
    )


def _tell(
    session: Session, change: Change, published_at: datetime, subject_id: UUID, at: datetime
) -> bool:
    try:
        subjects.lock(session, subject_id)
    except UnknownSubject:  # erased since we looked
        return False
    # Between the query and the lock their address may have failed, or their erasure begun.
    mine = _people(published_at).where(Account.subject_id == subject_id)
    account = accounts.of_subject(session, subject_id)
    if account is None or session.scalar(mine) is None:
        return False
    letter = {
        **accounts.addressed(session, account),
        "notice": change.kind,
        "effective_on": change.date,
        "new": change.new[account.locale],
    }
    outbox.post(session, LETTER, letter, at=at, about=subject_id)
    return True
