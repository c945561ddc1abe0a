"""Nobody comes back from a backup: who is in the erasure journal and in the database is erased
again, before anything is served or delivered.

That is who a restored copy brought back, and whose erasure was cut off between the journal and
the commit. Restartable at every line: each transaction erases some of them whole, and whoever is
left is found anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.apart import apart
from domain.keys import Keyring
from domain.marketing import handing
from domain.rights import erasure, held, joining, journal_file, marks, recipients
from domain.rights.journal_file import Line, Word
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject

# What the journal says, by the mark.
Said = Mapping[bytes, Line]
# Ids that are compared at once, and people who are erased in one transaction.
_PAGE, _BATCH = 5_000, 50

log = structlog.get_logger()


def reapply(database: Database, *, at: datetime) -> int:
    """Erase again whoever the journal says was erased; return how many were.

    Nobody is told: the person was when it was done, and so were the recipients. What a legal hold
    of this copy keeps back stays, but for somebody of whom nothing was kept in the end. Who cannot
    be erased is logged, and tried again the next day. Raises JournalDamaged, OSError and
    KeyServiceError.
    """
    path: Path | None = database.info.get("journal")
    if path is None:
        return 0
    if journal_file.begin(path):
        log.info("erasure_journal_begun")  # where there was one, it was lost: put it back
        return 0
    said = journal_file.read(path)
    if not said:
        return 0
    joined: list[UUID] = []
    people = 0
    for batch in _brought_back(database, said):
        joined += [one for one, line in batch if _lives_on(line, said)]
        people += _each(database, [one for one in batch if one[0] not in joined], _forget, at)
    # Last, so that nobody is joined to somebody who goes too.
    _each(database, [(one, None) for one in joined], _join, at)
    if people:
        log.warning("erased_again", people=people)
        if not database.scrub():
            log.warning("scrub_gave_up")  # the worker tries again
    return people


def _lives_on(line: Line, said: Said) -> bool:
    """Whether they were joined to somebody who was not erased: then nobody was."""
    return line.word is Word.JOINED and line.into not in said


def _brought_back(database: Database, said: Said) -> Iterator[list[tuple[UUID, Line]]]:
    """The subjects that the journal has, some at a time. Ids alone are read, in pages, so that a
    hundred thousand take a second and no memory."""
    ring: Keyring = database.info["keyring"]
    after = UUID(int=0)
    while page := _ids(database, after):
        found = [(one, said[mark]) for one in page if (mark := marks.mark(ring, one)) in said]
        for begin in range(0, len(found), _BATCH):
            yield found[begin : begin + _BATCH]
        after = page[-1]


def _ids(database: Database, after: UUID) -> Sequence[UUID]:
    with database.reading() as session:
        ids = select(Subject.id).where(Subject.id > after).order_by(Subject.id).limit(_PAGE)
        return session.scalars(ids).all()


def _each(
    database: Database,
    people: Sequence[tuple[UUID, Line | None]],
    work: Callable[[Session, UUID, Line | None, datetime], bool],
    at: datetime,
) -> int:
    """Do this for each, in one transaction; for how many it was done."""
    done = 0
    if people:
        with database.transaction() as session:
            for subject_id, line in people:
                doing = partial(work, session, subject_id, line, at)
                done += apart(session, "erasing_again", doing)
    return done


def _forget(session: Session, subject_id: UUID, line: Line | None, at: datetime) -> bool:
    try:
        subjects.lock(session, subject_id)
    except UnknownSubject:  # another process that starts now was faster
        return False
    if line is None or line.word is not Word.HELD:
        held.end_all(session, subject_id, at=at)
    elif held.kept_back(session, subject_id) and erasure.begun(session, subject_id):
        return False  # what could go has gone
    recipients.let_go(session, subject_id)
    handing.give_up(session, subject_id, at=at)  # it is handed over by nobody: the copy is older
    erasure.forget(session, subject_id, "restored", at=at, but=("recipients",))
    return True


def _join(session: Session, writer: UUID, line: Line | None, at: datetime) -> bool:
    """Whoever wrote is a customer, and the copy knows that or does not yet: then they stay as they
    were, and are joined when the address is confirmed."""
    try:
        subjects.lock(session, writer)
    except UnknownSubject:
        return False
    return joining.after_hold(session, writer, at=at)
