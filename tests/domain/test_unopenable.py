"""A person whose key does not open any more is erased as anybody else, and stops nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from structlog.testing import capture_logs

from commands.ledger import CHECKS
from database import Database
from domain.consent import decisions
from domain.delivery.models import OutboxMessage
from domain.ledger.entry import decode
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, holds, journal, journal_file, marks, requests
from domain.rights.journal_file import Line
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import EntryLink, Subject
from tests.domain import lapsing
from tests.domain.consenting import decide, publish, somebody
from tests.domain.identity_people import KARI, OLA, opened
from tests.domain.leaving import CANARIES, cells, plant
from tests.support import NOON

pytestmark = pytest.mark.requirement(59)

DAY = timedelta(days=1)
# Of an epoch that is there, and of one that is not.
BROKEN = (b"\0\1" + b"x" * 60, b"\0\7" + b"x" * 60)


def spoil(database: Database, who: UUID, sealed: bytes = BROKEN[0]) -> None:
    """Let a key be something that does not open."""
    with database.transaction() as session:
        session.execute(update(Subject).where(Subject.id == who).values(wrapped_key=sealed))


def there(database: Database) -> set[UUID]:
    """Who is in the database."""
    with database.reading() as session:
        return set(session.scalars(select(Subject.id)))


def two(database: Database) -> list[UUID]:
    """Kari and Ola; whoever is looked at first comes first."""
    with database.transaction() as session:
        publish(session)
        return sorted(opened(session, one).subject_id for one in (KARI, OLA))


def asks(session: Session, who: UUID, until: datetime | None = None) -> None:
    """A verified request for erasure, carried out now or then."""
    request = requests.receive(session, who, RequestKind.ERASURE, channel="account", at=NOON)
    requests.verify(session, request, channel="account", at=NOON)
    if until is None:
        erasure.fulfil(session, request, at=NOON)
    else:
        erasure.wait(session, request, until=until, at=NOON)


def waits(database: Database) -> list[UUID]:
    """Two whose time of grace is over."""
    people = two(database)
    with database.transaction() as session:
        for who in people:
            asks(session, who, NOON + DAY)
    return people


def held(database: Database) -> list[UUID]:
    """Two of whom a hold keeps something whose day has come."""
    people = two(database)
    with database.transaction() as session:
        for who in people:
            until = date(2026, 11, 23)
            holds.place(session, who, "legal_claim", "Krav", ["account"], until, at=NOON)
            asks(session, who)
    return people


def lapsed(database: Database) -> list[UUID]:
    """Two whose subscription ended long ago."""
    with database.transaction() as session:
        publish(session)
        ended = {"began": date(2020, 1, 1), "ended": date(2020, 3, 1)}
        return sorted(lapsing.customer(session, name, **ended) for name in ("kari", "ola"))  # type: ignore[arg-type]


def run_due(database: Database) -> None:
    """What the worker does each minute."""
    with database.transaction() as session:
        assert erasure.run_due(session, at=NOON + 2 * DAY, limit=1) == 1
        assert erasure.run_due(session, at=NOON + 2 * DAY, limit=1) == 1


def end_due(database: Database) -> None:
    """What the worker does each minute."""
    with database.transaction() as session:
        assert holds.end_due(session, at=NOON + 2 * DAY) == 2


def retain(database: Database) -> None:
    """What the worker does each day."""
    lapsing.run(database, NOON)


@pytest.mark.parametrize("sealed", BROKEN, ids=["wrong seal", "unknown epoch"])
@pytest.mark.parametrize(
    ("begin", "carry_out"), [(waits, run_due), (held, end_due), (lapsed, retain)]
)
def test_they_are_erased_like_others(
    database: Database,
    begin: Callable[[Database], list[UUID]],
    carry_out: Callable[[Database], None],
    sealed: bytes,
) -> None:
    """By what waits for a day, by the end of a hold, by retention."""
    bad, _ = begin(database)
    spoil(database, bad, sealed)
    carry_out(database)
    assert there(database) == set()
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None


def test_nothing_of_them_is_left(session: Session) -> None:
    """Whatever was kept; the ledger says that somebody was erased, about nobody."""
    who, request = plant(session)
    session.execute(update(Subject).where(Subject.id == who).values(wrapped_key=BROKEN[0]))
    session.expire_all()
    erasure.fulfil(session, request, at=NOON)
    session.flush()
    assert request.state == "fulfilled"
    with pytest.raises(UnknownSubject):
        subjects.get(session, who)
    entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    (executed,) = [one for one in entries if one.type == "erasure.executed"]
    assert executed.data["cause"] == "request"
    assert "account" in executed.data["holdings"]
    assert session.scalars(select(EntryLink)).all() == []
    # But for mails that are sealed under no key of a person, which go by themselves.
    left = {table.name for table, _, text in cells(session) if any(c in text for c in CANARIES)}
    assert left <= {OutboxMessage.__tablename__}


@pytest.mark.requirement(82)
def test_the_site_starts(database: Database, tmp_path: Path) -> None:
    """Whoever the journal has goes, and so they do."""
    path = tmp_path / "erasure-journal"
    database.info["journal"] = path
    bad, good = two(database)
    spoil(database, bad)
    ring = database.info["keyring"]
    journal_file.append(path, [Line(marks.mark(ring, one)) for one in (bad, good)], NOON.date())
    assert journal.reapply(database, at=NOON) == 2
    assert there(database) == set()


@pytest.mark.parametrize(
    ("begin", "carry_out"), [(waits, erasure.run_due), (held, holds.end_due), (lapsed, None)]
)
def test_a_failure_with_one_stops_nobody_else(
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    begin: Callable[[Database], list[UUID]],
    carry_out: Callable[..., int] | None,
) -> None:
    """It is undone, logged by its class alone, and tried again; the other has a mark, and the one
    who stays has none."""
    path = tmp_path / "erasure-journal"
    bad, good = begin(database)
    database.info["journal"] = path
    real = erasure._erase

    def broken(session: Session, subject_id: UUID, *values: object, **named: object) -> str:
        entry_id = real(session, subject_id, *values, **named)  # type: ignore[arg-type]
        if subject_id == bad:
            raise LookupError(f"something about {bad}")
        return entry_id

    with monkeypatch.context() as patch, capture_logs() as logged:
        patch.setattr(erasure, "_erase", broken)
        if carry_out is None:
            retain(database)
        else:
            with database.transaction() as session:
                assert carry_out(session, at=NOON + 2 * DAY, limit=1)
    assert there(database) == {bad}
    assert {one["error"] for one in logged if one["event"] == "person_passed_over"} == {
        "LookupError"
    }
    assert str(bad) not in str(logged)
    assert set(journal_file.read(path)) == {marks.mark(database.info["keyring"], good)}


def test_consents_of_others_expire(database: Database) -> None:
    """And nothing happens any more to those of somebody whose rest a hold keeps."""
    later = NOON + 900 * DAY
    with database.transaction() as session:
        publish(session)
        bad, good, leaving = sorted(somebody(session) for _ in range(3))
        for who in (bad, good, leaving):
            decide(session, who, marketing=True)
        subjects.freeze(session, leaving, at=NOON)
    spoil(database, bad)
    with database.transaction() as session:
        assert list(decisions.expire_due(session, at=later, limit=1)) == [good]
        assert decisions.expire_due(session, at=later) == {}
