"""Large copies: made by the worker, kept sealed for a day, fetched once, then gone."""

from __future__ import annotations

import io
import json
import secrets
import tracemalloc
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.keys import WrongSeal
from domain.ledger.sequencer import Sequencer
from domain.rights import access, archives, erasure, exports, requests
from domain.rights.errors import NoExport, NotVerified
from domain.rights.exports import ExportState
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest, ExportArchive, ExportPart
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON
from tests.support.faults import nobody

DAY = timedelta(days=1)
# What does not compress, so that something is stored while the page is made.
NOISE = secrets.token_hex(30_000)
MINUTE = timedelta(minutes=1)


def page(document: Mapping[str, Any]) -> Generator[str, None, None]:
    """A page in pieces, which reads the records as the real one does."""
    for holding in document["holdings"]:
        for record in holding["records"]:
            yield f"{record}\n"


class Clock:
    """A time that the test moves on."""

    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small copy has many."""
    monkeypatch.setattr(exports, "PART_BYTES", 500)


@pytest.fixture
def who(database: Database) -> UUID:
    """Kari, who chose a few times; all of it is in the published log."""
    with database.transaction() as session:
        publish(session)
        account = opened(session, KARI)
        accounts.confirm_address(session, account.subject_id, at=NOON)
        decide(session, account.subject_id, marketing=True)
        decide(session, account.subject_id, at=NOON + MINUTE, analytics=True)
    Sequencer(database, lambda: NOON, nobody).run()
    return account.subject_id


@pytest.fixture
def asked(database: Database, who: UUID) -> UUID:
    """Her verified request, whose copy waits to be made; the copy's id."""
    return ask(database, who)


def ask(database: Database, who: UUID) -> UUID:
    with database.transaction() as session:
        request = requests.receive(session, who, RequestKind.ACCESS, channel="account", at=NOON)
        requests.verify(session, request, channel="account", at=NOON)
        return exports.begin(session, request, locale="nb", at=NOON).id


def make(database: Database, clock: Clock, **more: Any) -> bool:
    return exports.make_next(database, page, clock=clock, **more)


def row(database: Database, archive: UUID) -> ExportArchive | None:
    with database.reading() as session:
        return session.get(ExportArchive, archive)


def state(database: Database, archive: UUID) -> str:
    found = row(database, archive)
    return found.state if found else "none"


def parts(database: Database) -> int:
    with database.reading() as session:
        return len(session.scalars(select(ExportPart.number)).all())


def mails(database: Database) -> list[str]:
    with database.reading() as session:
        return sorted(session.scalars(select(OutboxMessage.kind)))


def told(database: Database, who: UUID) -> list[str]:
    with database.reading() as session:
        return [entry.type for entry in subjects.entries(session, who)]


@pytest.mark.requirement(56)
def test_a_large_copy_is_made_once_and_fetched_once(
    database: Database, clock: Clock, who: UUID, asked: UUID, small_parts: None
) -> None:
    """Whole and readable; the ledger says so once, when it is there; the parts go when it was
    read, and the row with its day."""
    with database.reading() as session:
        assert exports.needs_worker(session, who, most=3)
        assert not exports.needs_worker(session, who, most=500)
    assert "request.fulfilled" not in told(database, who)
    assert make(database, clock)
    assert not make(database, clock)
    found = row(database, asked)
    assert found is not None
    assert (found.state, found.done) == ("ready", found.total)
    assert found.expires_at == NOON + DAY
    assert told(database, who).count("request.fulfilled") == 1
    assert mails(database) == ["mail.export_ready"]
    content = b"".join(exports.fetch(database, asked, clock=clock))
    assert len(content) == found.size
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        assert file.namelist()[:2] == ["index.html", "data.json"]
        assert len(file.namelist()) == 2 + 5, "a receipt for each entry that has its place"
        document = json.loads(file.read("data.json"))
        assert KARI.name in file.read("index.html").decode()
    holdings = {one["name"]: one["records"] for one in document["holdings"]}
    assert holdings["account"][0]["name"] == KARI.name
    assert holdings["exports"][0]["state"] == "making"
    assert (state(database, asked), parts(database)) == ("gone", 0)
    assert mails(database) == ["mail.access_done", "mail.export_ready"]
    with pytest.raises(NoExport):
        exports.fetch(database, asked, clock=clock)
    clock.at += DAY
    make(database, clock)
    assert row(database, asked) is None


@pytest.mark.requirement(56)
def test_it_is_the_same_copy_as_one_made_at_once(
    database: Database, clock: Clock, who: UUID, asked: UUID
) -> None:
    """Streamed or not, the same is in it, but for the copy that is being made."""
    make(database, clock)
    with zipfile.ZipFile(io.BytesIO(b"".join(exports.fetch(database, asked, clock=clock)))) as file:
        large = json.loads(file.read("data.json"))
    with database.reading() as session:
        request = session.scalars(select(DataSubjectRequest)).one()
        small = json.loads(json.dumps(access.collect(session, who, request, "nb", at=NOON)))
    moving = {"exports", "requests", "entries", "messages", "links"}
    for one, other in zip(large.pop("holdings"), small.pop("holdings"), strict=True):
        if one["name"] not in moving:
            assert one == other
    assert large == small


def test_a_download_that_breaks_off_may_be_begun_again(
    database: Database, clock: Clock, asked: UUID, small_parts: None
) -> None:
    """Until one was read whole; the person is told of the first only."""
    make(database, clock)
    broken = exports.fetch(database, asked, clock=clock)
    next(broken)
    broken.close()  # type: ignore[attr-defined]
    assert (state(database, asked), parts(database) > 1) == ("fetching", True)
    whole = b"".join(exports.fetch(database, asked, clock=clock))
    assert zipfile.ZipFile(io.BytesIO(whole)).testzip() is None
    assert mails(database).count("mail.access_done") == 1


def test_what_nobody_fetches_goes_after_a_day(
    database: Database, clock: Clock, asked: UUID
) -> None:
    """On the minute, even where no worker has been by."""
    make(database, clock)
    clock.at = NOON + DAY
    with pytest.raises(NoExport):
        exports.fetch(database, asked, clock=clock)
    make(database, clock)
    assert (row(database, asked), parts(database)) == (None, 0)


def test_parts_are_sealed_and_stand_in_their_places(
    database: Database, clock: Clock, asked: UUID, small_parts: None
) -> None:
    """Nothing of the ZIP lies open, and two parts that were swapped do not open."""
    make(database, clock)
    with database.transaction() as session:
        first, second = (session.get_one(ExportPart, (asked, number)) for number in (0, 1))
        assert not first.sealed.startswith(b"PK")
        first.sealed, second.sealed = second.sealed, first.sealed
    with pytest.raises(WrongSeal):
        list(exports.fetch(database, asked, clock=clock))


def test_asking_again_is_the_same_copy(database: Database, who: UUID, asked: UUID) -> None:
    """And nobody gets one whose request is not verified."""
    assert ask(database, who) == asked
    with database.transaction() as session:
        other = opened(session, replace(KARI, email="ola@firma.example")).subject_id
        request = requests.receive(session, other, RequestKind.ACCESS, channel="link", at=NOON)
        with pytest.raises(NotVerified):
            exports.begin(session, request, locale="nb", at=NOON)


Stop = Callable[[Database, UUID], None]


def _erase(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        erasure.forget(session, who, "request", at=NOON)


def _freeze(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        subjects.freeze(session, who, at=NOON)


def _cancel(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        (request,) = requests.of_subject(session, who)
        request.state = RequestState.CANCELLED.value


@pytest.mark.requirement(59)
@pytest.mark.parametrize(
    ("stop", "left"), [(_erase, "none"), (_freeze, "waiting"), (_cancel, "none")]
)
def test_what_stops_a_copy_while_it_is_made_leaves_nothing_of_it(
    database: Database,
    clock: Clock,
    who: UUID,
    asked: UUID,
    small_parts: None,
    stop: Stop,
    left: str,
) -> None:
    """An erasure, one in its time of grace, a cancelled request: no part stays, nothing goes out
    and nothing is said to be done. Where the erasure is called off, the copy is made after all."""

    def stopped(document: Mapping[str, Any]) -> Generator[str, None, None]:
        yield NOISE
        assert parts(database) > 0
        stop(database, who)
        yield from page(document)

    exports.make_next(database, stopped, clock=clock)
    assert (state(database, asked), parts(database)) == (left, 0)
    assert "mail.export_ready" not in mails(database)
    if stop is not _erase:
        assert "request.fulfilled" not in told(database, who)
    assert not make(database, clock)
    if stop is _freeze:
        with database.transaction() as session:
            subjects.thaw(session, who)
        assert make(database, clock)
        assert state(database, asked) == "ready"


@pytest.mark.requirement(61)
def test_a_restriction_stops_no_copy(
    database: Database, clock: Clock, who: UUID, asked: UUID
) -> None:
    """The right of access goes on while nothing else is done with the data (GDPR art. 18)."""
    with database.transaction() as session:
        subjects.restrict(session, who, at=NOON)
    assert make(database, clock)
    assert list(exports.fetch(database, asked, clock=clock))


def test_an_erasure_ends_a_download(
    database: Database, clock: Clock, who: UUID, asked: UUID, small_parts: None
) -> None:
    """What is left of it does not come: the file is visibly not whole."""
    make(database, clock)
    reading = exports.fetch(database, asked, clock=clock)
    next(reading)
    _erase(database, who)
    with pytest.raises(NoExport):
        list(reading)


def test_the_worker_that_stops_gives_it_back_and_one_that_was_slow_loses_it(
    database: Database, clock: Clock, asked: UUID, small_parts: None
) -> None:
    """Two never make one: whoever comes after the lease begins anew, and the other finds out."""
    make(database, clock, stopping=lambda: True)
    assert (state(database, asked), parts(database)) == ("waiting", 0)

    def slow(document: Mapping[str, Any]) -> Generator[str, None, None]:
        yield NOISE
        assert not make(database, clock), "somebody has it"
        clock.at += archives.LEASE
        assert make(database, clock)
        yield from page(document)

    exports.make_next(database, slow, clock=clock)
    assert state(database, asked) == "ready"
    assert mails(database) == ["mail.export_ready"]
    assert (
        zipfile.ZipFile(io.BytesIO(b"".join(exports.fetch(database, asked, clock=clock)))).testzip()
        is None
    )


def test_a_copy_that_fails_is_tried_again(
    database: Database, clock: Clock, asked: UUID, who: UUID
) -> None:
    """When the lease has run out; a page that breaks ends no worker."""

    def breaks(document: Mapping[str, Any]) -> Generator[str, None, None]:
        yield "x"
        raise ZeroDivisionError

    assert exports.make_next(database, breaks, clock=clock)
    assert "request.fulfilled" not in told(database, who)
    assert not make(database, clock)
    clock.at += archives.LEASE
    assert make(database, clock)
    assert state(database, asked) == "ready"


@pytest.mark.requirement(56)
def test_who_may_not_read_the_books_makes_no_copy(
    database: Database, clock: Clock, who: UUID, asked: UUID
) -> None:
    """It would not be whole: the worker that may makes it."""
    database.info["accounting"] = None
    with database.reading() as session:
        assert exports.needs_worker(session, who, most=500)
    assert not make(database, clock)
    assert state(database, asked) == ExportState.WAITING


@pytest.mark.parametrize("backend", ["sqlite"])
def test_a_copy_of_any_size_takes_no_more_memory(
    database: Database, clock: Clock, asked: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record and a part at a time: eight megabytes in less than three, page and file."""

    def many(session: Session, subject_id: UUID) -> Iterator[dict[str, Any]]:
        yield from ({"words": secrets.token_hex(1000)} for _ in range(2000))

    large = replace(INVENTORY[0], walk=many)
    monkeypatch.setattr(access, "INVENTORY", (large,))
    tracemalloc.start()
    try:
        assert make(database, clock)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    found = row(database, asked)
    assert found is not None
    assert found.size > 4_000_000
    assert peak < 2_500_000, peak
