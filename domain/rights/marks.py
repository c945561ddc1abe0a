"""A person's mark in the erasure journal, and when it is written: right before the commit.

In this order, so that nobody is told too early and nobody comes back:

1. the transaction erases, and queues the last mail;
2. the journal has the mark, on the disk;
3. the commit; from here on the mail can leave, and the page can say that it is done.

A crash before 2 leaves everything as it was. Between 2 and 3 the person is still in the database
and marked: the next start erases them (journal.py), and nobody was told that it had been done.
After 3 it is done. A journal that cannot be written (the disk is full) raises before 3, so the
transaction is rolled back. Where the commit fails and we live to see it, the journal is told that
nothing came of it: whoever stays a customer must not be erased some day by what nobody remembers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction

from domain.dates import local_day
from domain.keys import Keyring, keyring
from domain.rights import journal_file
from domain.rights.errors import JournalDamaged
from domain.rights.journal_file import Line, Word
from domain.subjects.models import Subject

_NOTES = "erased_in_this_transaction"

log = structlog.get_logger()


@dataclass(frozen=True)
class _Note:
    subject_id: UUID
    word: Word
    into: UUID | None
    at: datetime
    # The savepoint in which it was done; what undoes that undoes this.
    within: SessionTransaction | None


@dataclass
class _Notes:
    """What this transaction erased: still to be written, and written before a commit that may
    fail."""

    pending: list[_Note] = field(default_factory=list)
    written: list[_Note] = field(default_factory=list)


def mark(ring: Keyring, subject_id: UUID) -> bytes:
    """What stands in the journal for a person: a keyed hash of their id, 32 bytes."""
    return ring.lookup("erasure.journal", subject_id.hex)


def note(
    session: Session, subject_id: UUID, word: Word, *, at: datetime, into: UUID | None = None
) -> None:
    """Have the mark of a person who is being erased written when this transaction commits. The
    last word about somebody counts.

    Where `session.info` names no journal nothing is written: in tests of the domain alone.
    """
    if session.info.get("journal") is None:
        return
    notes: _Notes | None = session.info.get(_NOTES)
    if notes is None:
        notes = session.info[_NOTES] = _Notes()
        event.listen(session, "before_commit", _write)
        event.listen(session, "after_soft_rollback", _take_back)
    within = session.get_nested_transaction()
    notes.pending.append(_Note(subject_id, word, into, at, within))


def _write(session: Session) -> None:
    """One sync for all that a transaction erases, and after its last statement: what the database
    refuses was not erased."""
    notes: _Notes = session.info[_NOTES]
    if session.in_nested_transaction():
        return  # the end of a savepoint is no commit
    notes.written = []
    if not notes.pending:
        return
    session.flush()
    newest = {one.subject_id: one for one in notes.pending}
    _append(session, list(newest.values()))
    notes.pending, notes.written = [], list(newest.values())


def _append(session: Session, notes: list[_Note], *, undone: bool = False) -> None:
    ring = keyring(session)
    lines = [
        Line(mark(ring, one.subject_id), Word.UNDONE)
        if undone
        else Line(mark(ring, one.subject_id), one.word, mark(ring, one.into) if one.into else None)
        for one in notes
    ]
    day = local_day(max(one.at for one in notes))
    journal_file.append(session.info["journal"], lines, day)


def _take_back(session: Session, ended: SessionTransaction) -> None:
    """What a savepoint undid is not written; what was written before a commit that failed is
    undone in the journal."""
    notes: _Notes = session.info[_NOTES]
    if ended.nested:
        notes.pending = [one for one in notes.pending if not _inside(one.within, ended)]
    elif ended.parent is None:
        written, notes.pending, notes.written = notes.written, [], []
        if written:
            _undo(session, written)


def _inside(transaction: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while transaction is not None and transaction is not outer:
        transaction = transaction.parent
    return transaction is outer


def _undo(session: Session, written: list[_Note]) -> None:
    """Say of those who are still there that nothing came of it. A commit that is said to have
    failed may have been stored, so it is looked up, where nobody can be half-way; where that is
    not possible the mark stays, and the erasure is finished at the next start."""
    noted = {one.subject_id: one for one in written}
    query = select(Subject.id, Subject.erasing_at).where(Subject.id.in_(list(noted)))
    try:
        with session.get_bind().engine.connect() as connection:
            there = connection.execute(query.with_for_update()).all()
            undone = [
                noted[one]
                for one, erasing_at in there
                if erasing_at is None or noted[one].word is not Word.HELD
            ]
            if undone:
                _append(session, undone, undone=True)
    except (SQLAlchemyError, OSError, JournalDamaged) as error:
        log.error("journal_not_undone", error=type(error).__name__)
