"""Copies that are too large to make while somebody waits: made by the worker, kept sealed for a
day, fetched once by the person, then gone (archives.py keeps them).

A request is answered when the copy is there and the person has been told so (GDPR art. 12(3) asks
for the action, art. 15(3) to provide the copy; whether it is fetched is theirs to decide). Who
does not fetch it in its day asks again.

For views: needs_worker → begin → of_request (state, done, total, size, expires_at) → fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from database import Database
from domain.accounting import records
from domain.identity import signed_links
from domain.identity.signed_links import LinkKind
from domain.keys import WrongSeal
from domain.rights import access, archives, requests, telling
from domain.rights.archives import ExportState, Making
from domain.rights.errors import NoExport, NotVerified, Stopped
from domain.rights.models import DataSubjectRequest, ExportArchive
from domain.rights.requests import RequestState
from domain.subjects import service as subjects

__all__ = [
    "ExportState",
    "begin",
    "fetch",
    "is_there",
    "make_next",
    "needs_worker",
    "of_request",
]

# The page for people, in pieces: `render_page(document)`.
RenderPage = Callable[[Mapping[str, Any]], Generator[str, None, None]]
Clock = Callable[[], datetime]

PART_BYTES = 256 * 1024
# So often a page that shows progress has something new to show, and the lease is kept.
_STEPS = 200

log = structlog.get_logger()


def needs_worker(session: Session, subject_id: UUID, most: int) -> bool:
    """Whether the copy has to be made by the worker: the person has more than `most` entries, or
    this process may not read the bookkeeping, and the worker may."""
    return subjects.get(session, subject_id).linked > most or not records.known(session)


def begin(
    session: Session, request: DataSubjectRequest, *, locale: str, at: datetime
) -> ExportArchive:
    """Have the copy made that a verified request asks for; asking again is the same copy.
    Raises NotVerified."""
    if request.subject_id is None:
        raise NotVerified(request.reference)
    subjects.lock(session, request.subject_id)
    known = archives.of_request(session, request.id)
    if known is not None and known.state != ExportState.GONE.value:
        return known
    if request.state != RequestState.VERIFIED.value:
        raise NotVerified(request.reference)
    return archives.new(session, request.id, request.subject_id, locale, at=at)


def of_request(session: Session, request_id: UUID) -> ExportArchive | None:
    """The copy that is being made, is there, or was fetched (GONE); None where its day is over
    too, or the worker had nothing to do with it."""
    return archives.of_request(session, request_id)


def is_there(session: Session, request_id: UUID) -> bool:
    """Whether there is a copy to fetch."""
    kept = archives.of_request(session, request_id)
    return kept is not None and ExportState(kept.state).fetchable


def fetch(database: Database, archive_id: UUID, *, clock: Clock) -> Iterator[bytes]:
    """The ZIP, a part at a time; its length is the row's `size`.

    Each part is read for itself, so a slow reader holds no transaction. Once the last was taken
    the copy is gone: taken means by the server, which is as far as anybody here can see. A
    download that breaks off before may be begun again until then. The person is mailed when the
    first one begins. Raises NoExport at once where there is nothing to fetch, and in the middle
    where it goes (an erasure) while it is read: then the file is visibly not whole.
    """
    at = clock()
    with database.transaction() as session:
        request = _locked(session, archive_id)
        row = archives.fetchable(session, archive_id, at=at)
        size, subject_id = row.size, row.subject_id
        if row.state == ExportState.READY.value:
            row.state = ExportState.FETCHING.value
            telling.tell(session, request, "mail.access_done", at=at)
    return _parts(database, archive_id, subject_id, size)


def _parts(database: Database, archive_id: UUID, subject_id: UUID, size: int) -> Iterator[bytes]:
    number, read = 0, 0
    while read < size:
        with database.reading() as session:
            content = archives.part(session, archive_id, subject_id, number)
        number, read = number + 1, read + len(content)
        if read > size:
            raise WrongSeal
        yield content
    with database.transaction() as session:
        row = session.get(ExportArchive, archive_id, with_for_update=True)
        if row is not None:
            archives.let_go(session, row)


def make_next(
    database: Database,
    render_page: RenderPage,
    *,
    clock: Clock,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Let copies go whose time is over, then make the one that has waited longest; False if
    there was none to make. A database that is away raises."""
    with database.reading() as session:
        if not archives.anything(session, at=clock()):
            return False
    with database.transaction() as session:
        archives.purge(session, at=clock())
        if not records.known(session):
            if archives.waits(session, at=clock()):
                log.error("export_waits", reason="ACCOUNTING_DATABASE_URL is not set here")
            return False
        making = archives.take(session, at=clock())
    if making is None:
        return False
    try:
        _make(database, making, render_page, clock, stopping)
    except Stopped:
        with database.transaction() as session:
            archives.give_back(session, making)
            archives.purge(session, at=clock())
        log.info("export_stopped", archive=str(making.id))
    except SQLAlchemyError:
        raise
    except Exception as error:
        # The lease runs out, and it is tried again. Not its text: it may quote a person.
        log.error("export_failed", archive=str(making.id), error=type(error).__name__)
    return True


def _make(
    database: Database,
    making: Making,
    render_page: RenderPage,
    clock: Clock,
    stopping: Callable[[], bool],
) -> None:
    """Read one state of the database from beginning to end, and store what is made of it in
    transactions of their own. Raises Stopped."""
    with database.reading() as session:
        request = requests.get(session, making.request_id)
        if request is None or request.subject_id is None:
            raise Stopped
        who = making.subject_id
        document = access.describe(session, who, request, making.locale, at=clock())
        steps = 1 + len(document["holdings"]) + subjects.get(session, who).linked
        out = _Parts(database, making, steps, clock, stopping)
        proofs = access.each_proof(session, who)
        with closing(render_page(document)) as page:
            access.pack(cast(Any, out), document, page, proofs, out.step)
    with database.transaction() as session:
        taken = requests.take(session, making.request_id)
        row = archives.advance(session, making, steps, steps, bytes(out.rest), at=clock())
        if taken is None:
            raise Stopped
        at = clock()
        archives.finish(session, row, at=at)
        requests.fulfil(session, taken, at=at)
        _announce(session, taken, row, at=at)
    log.info("export_made", archive=str(making.id), parts=making.number)


class _Parts:
    """A file that can only be written to: whenever there is enough of it, a part is stored."""

    def __init__(
        self,
        database: Database,
        making: Making,
        total: int,
        clock: Clock,
        stopping: Callable[[], bool],
    ):
        self.rest = bytearray()
        self._database, self._making, self._clock = database, making, clock
        self._stopping = stopping
        self._done, self._total = 0, total

    def write(self, content: bytes) -> int:
        """Take what the ZIP is made of."""
        if self._stopping():
            raise Stopped
        self.rest += content
        while len(self.rest) >= PART_BYTES:
            self._store(bytes(self.rest[:PART_BYTES]))
            del self.rest[:PART_BYTES]
        return len(content)

    def flush(self) -> None:
        """Nothing: a part is stored when it is large enough."""

    def step(self) -> None:
        """One more of the steps is done."""
        self._done += 1
        if self._done % _STEPS == 0:
            self._store(b"")

    def _store(self, part: bytes) -> None:
        with self._database.transaction() as session:
            archives.advance(session, self._making, self._done, self._total, part, at=self._clock())


def _announce(
    session: Session, request: DataSubjectRequest, row: ExportArchive, *, at: datetime
) -> None:
    """Mail that the copy is there, with a link that leads to it for as long as it is: whoever
    came by a link has none by then that still works."""
    contact = requests.contact(session, row.subject_id)
    if contact is None or row.expires_at is None:
        return
    lifetime = row.expires_at - at
    token = signed_links.issue(
        session,
        LinkKind.COPY,
        row.subject_id,
        stamp=contact.stamp,
        lifetime=lifetime,
        request_id=request.id,
        at=at,
    )
    hours = round(lifetime / timedelta(hours=1))
    telling.tell(session, request, "mail.export_ready", at=at, token=token, hours=hours)


def _locked(session: Session, archive_id: UUID) -> DataSubjectRequest:
    """The request of a copy, with its person locked first, as everywhere. Raises NoExport."""
    row = session.get(ExportArchive, archive_id)
    request = requests.take(session, row.request_id) if row else None
    if request is None or request.subject_id is None:
        raise NoExport
    return request
