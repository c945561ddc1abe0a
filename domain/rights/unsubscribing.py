"""Ending the newsletter by its own link (RFC 8058): as easy as a yes, and without signing in.

It stands here and not beside the token (domain/marketing/tokens.py), because the person is told of
the change, as of any other.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from database import Database
from domain.consent import decisions, presentations
from domain.consent.presentations import Shown
from domain.identity import accounts
from domain.locales import DEFAULT
from domain.marketing import handing
from domain.marketing.tokens import Unsubscribing
from domain.rights import erasure, telling
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

SURFACE = "unsubscribe"


def unsubscribe(
    database: Database, asked: Unsubscribing, locale: str | None, *, at: datetime
) -> bool:
    """Record the no of whoever the token was made for, in the language that they were shown, or
    in that of their mails. It is committed when this returns.

    Whoever has said no already, or is erased, changes nothing by it. Returns whether no newsletter
    is on its way to them any more: the one that was just being handed over is waited for, but not
    for ever.
    """
    with database.transaction() as session:
        _record(session, asked, locale, at=at)
    return handing.wait(database, asked.subject_id, at=at)


def _record(session: Session, asked: Unsubscribing, locale: str | None, *, at: datetime) -> None:
    subject_id: UUID = asked.subject_id
    try:
        subject = subjects.lock(session, subject_id)
    except UnknownSubject:
        return
    if erasure.begun(session, subject_id):
        return  # a legal hold keeps what is left of them, and it lies still
    account = accounts.of_subject(session, subject_id)
    language = locale or (account.locale if account else DEFAULT)
    document = presentations.current(session, SURFACE, language, at=at)
    # Nothing that happened since the mail was made makes this no a stale one.
    shown = Shown(document, served_at=min(asked.made_at, at), seen=subject.linked)
    entries = decisions.record(session, subject_id, {}, shown, at=at)
    telling.changed(session, subject_id, entries, at=at)
