"""A worker that is killed while it makes a large copy: the next one makes it whole, and the ledger
says once that the request was answered, after it was."""

from __future__ import annotations

import io
import os
import signal
import zipfile
from collections.abc import Callable, Generator, Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from database import Database
from domain.delivery.models import OutboxMessage
from domain.rights import archives, exports, requests
from domain.rights.models import ExportArchive, ExportPart
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.domain.test_exports import Clock
from tests.support import NOON
from tests.support.databases import Urls
from tests.support.faults import die

pytestmark = pytest.mark.requirement(56)


def page(document: Mapping[str, Any]) -> Generator[str, None, None]:
    """Enough to fill some parts: what does not compress."""
    for _ in range(4):
        yield os.urandom(300).hex()
        yield from (f"{record}\n" for one in document["holdings"] for record in one["records"])


# The commits of making a copy: counted, but for the last, which is the one after this was called.
TAKING, FIRST_PART, SECOND_PART, END = 1, 2, 3, 0


def killing(database: Database, number: int, *, after: bool) -> None:
    """From now on the process dies at its so-many-eth commit: before it, or after."""
    real, count, ending = database.engine.dialect.do_commit, 0, False

    def finish(*values: Any, real: Callable[..., None] = archives.finish, **named: Any) -> None:
        nonlocal ending
        ending = True
        real(*values, **named)

    def commit(connection: Any) -> None:
        nonlocal count
        count += 1
        struck = ending if number == END else count == number
        if struck and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        real(connection)
        if struck:
            os.kill(os.getpid(), signal.SIGKILL)

    # It is never undone: the process dies of it.
    patch = pytest.MonkeyPatch()
    patch.setattr(archives, "finish", finish)
    patch.setattr(database.engine.dialect, "do_commit", commit)


def ask(database: Database, who: UUID) -> tuple[UUID, UUID]:
    """A new verified request and its copy, which waits."""
    with database.transaction() as session:
        request = requests.receive(session, who, RequestKind.ACCESS, channel="account", at=NOON)
        requests.verify(session, request, channel="account", at=NOON)
        return request.id, exports.begin(session, request, locale="nb", at=NOON).id


def answered(database: Database, request: UUID) -> int:
    """How often the ledger says that this request was answered."""
    with database.reading() as session:
        asked = requests.get(session, request)
        assert asked is not None
        assert asked.subject_id is not None
        told = subjects.entries(session, asked.subject_id)
        mine = [one.type for one in told if one.data.get("reference") == asked.reference]
        return mine.count("request.fulfilled")


def announced(database: Database) -> int:
    with database.reading() as session:
        mails = select(func.count()).where(OutboxMessage.kind == "mail.export_ready")
        return session.scalar(mails) or 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_copy_is_made_whole_after_a_kill_at_any_commit(
    database: Database,
    urls: Urls,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
) -> None:
    """Taking it, each part, and the end: nothing is half there, and nothing is told early."""
    monkeypatch.setattr(exports, "PART_BYTES", 1500)
    with database.transaction() as session:
        publish(session)
        who = opened(session, KARI).subject_id
    clock = Clock()
    for number in (TAKING, FIRST_PART, SECOND_PART, END):
        request, archive = ask(database, who)
        made = announced(database)
        database.close()

        def work(number: int = number) -> None:
            child = Database(urls.application, info=database.info)
            killing(child, number, after=after)
            exports.make_next(child, page, clock=clock)

        die(work)
        ended = after and number == END
        assert answered(database, request) == announced(database) - made == int(ended)
        clock.at += archives.LEASE
        assert exports.make_next(database, page, clock=clock) is not ended
        assert answered(database, request) == announced(database) - made == 1, number
        content = b"".join(exports.fetch(database, archive, clock=clock))
        assert zipfile.ZipFile(io.BytesIO(content)).testzip() is None


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_while_it_is_fetched_loses_nothing_that_was_not_read(
    database: Database, urls: Urls, after: bool
) -> None:
    """At its beginning and when it was read: it is there still, or read and gone; never half."""
    with database.transaction() as session:
        publish(session)
        who = opened(session, KARI).subject_id
    for number in (1, 2):
        _, archive = ask(database, who)
        exports.make_next(database, page, clock=lambda: NOON)
        database.close()

        def work(number: int = number, archive: UUID = archive) -> None:
            child = Database(urls.application, info=database.info)
            killing(child, number, after=after)
            list(exports.fetch(child, archive, clock=lambda: NOON))

        die(work)
        with database.reading() as session:
            state = session.get_one(ExportArchive, archive).state
            parts = session.scalar(select(func.count()).where(ExportPart.archive_id == archive))
        gone = number == 2 and after
        assert (state == "gone", parts == 0) == (gone, gone)
        if not gone:
            assert list(exports.fetch(database, archive, clock=lambda: NOON))
