"""The quick look at people, against the slow one: what the quick accepts, the slow accepts."""

from __future__ import annotations

import hmac
from collections.abc import Iterator
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from database import Database
from domain.consent import people_walk
from domain.consent.models import CurrentDecision
from domain.ledger import spelling
from domain.ledger.entry import Entry, decode
from domain.ledger.invariants import Violation, untold
from domain.ledger.schemas import SCHEMAS
from domain.subjects import service, walk
from domain.subjects.models import Subject
from domain.subjects.tags import Tagger, tag
from tests.attack.ledgers import unguarded
from tests.domain.consenting import decide, publish, somebody
from tests.domain.test_ledger_spelling import DATA, H
from tests.support import NOON

TERMS = {"terms": "2026-11-22", "locale": "nb", "declared_age": 18}


@given(key=st.binary(max_size=200), entry_id=st.binary(min_size=16, max_size=16))
def test_tags_are_made_as_one_by_one(key: bytes, entry_id: bytes) -> None:
    """RFC 2104, also for keys that are longer than a block, and more than one tag of a key."""
    tagger = Tagger(key)
    for one in (entry_id.hex(), "f" * 32):
        assert tagger(one) == tag(key, one)
    assert tagger(entry_id.hex()) == hmac.new(key, entry_id, "sha256").hexdigest()


@pytest.mark.parametrize("type", sorted(DATA))
def test_the_tag_and_the_type_are_where_they_are_looked_for(type: str) -> None:
    """Every type that people's entries have, also where data would say the same words."""
    content = Entry(id="f" * 32, at=NOON, type=type, tag=H, data=DATA[type]).encode()
    begin = content.rfind(walk.TAG) + len(walk.TAG)
    assert content[begin : begin + 64].decode() == decode(content).tag
    said = people_walk.is_decision(content)
    assert said is type.startswith("consent.")
    if said:
        assert people_walk.purpose_of(content).decode() == DATA[type]["purpose"]


def test_every_decision_can_be_told_by_its_spelling() -> None:
    """So that of the newest ones none takes the long way."""
    assert all(spelling.spelled(_entry(type)) for type in SCHEMAS if type.startswith("consent."))


def _entry(type: str) -> bytes:
    return Entry(id="f" * 32, at=NOON, type=type, tag=H, data=DATA[type]).encode()


@pytest.fixture
def people(database: Database) -> list[UUID]:
    """Somebody with four entries, somebody with three, somebody with none."""
    with database.transaction() as session:
        publish(session)
        who = [somebody(session) for _ in range(2)]
        for one in who:
            decide(session, one, marketing=True)
        decide(session, who[0], marketing=False)
        service.record(session, who[0], "account.opened", TERMS, at=NOON)
        nobody = service.open_subject(session, at=NOON).id
    return [*who, nobody]


def quick(session: Session) -> bool:
    """Whether the quick look finds all sound."""
    return all(people_walk.sound(session, part) for part in walk.parts(session))


def slow(session: Session) -> list[Violation]:
    """What the slow one finds."""
    return list(_slow(session))


def _slow(session: Session) -> Iterator[Violation]:
    for part in walk.parts(session):
        yield from people_walk.faults(session, part)


def test_people_are_sound(database: Database, people: list[UUID]) -> None:
    """Both say so, with as many parts as one likes."""
    with database.reading() as session:
        assert quick(session)
        assert slow(session) == []


LINK = "entry_id = (SELECT min(entry_id) FROM entry_link)"
HARM = [
    f"UPDATE entry_link SET ordinal = 40 WHERE {LINK}",
    f"DELETE FROM entry_link WHERE {LINK}",
    "DELETE FROM ledger_pending; "
    "DELETE FROM ledger_entry WHERE id NOT IN (SELECT entry_id FROM current_decision)"
    " AND id IN (SELECT entry_id FROM entry_link)",
    "DELETE FROM entry_link",
    "UPDATE subject SET linked = linked + 1 WHERE linked = 0",
    "UPDATE subject SET linked = linked + 1 WHERE linked = 4",
    "UPDATE subject SET wrapped_key = (SELECT wrapped_key FROM subject WHERE linked = 0)",
    "DELETE FROM current_decision; DELETE FROM subject WHERE linked = 2",
    "UPDATE current_decision SET state = 'refused' WHERE state = 'given'",
    "UPDATE current_decision SET purpose_id = 'another' WHERE purpose_id = 'analytics'",
    "UPDATE current_decision SET purpose_version = purpose_version + 1",
    "UPDATE current_decision SET presentation = NULL",
    "UPDATE current_decision SET expires_at = NULL",
    "UPDATE current_decision SET at = '2026-11-22 12:00:00.001000'",
    "UPDATE current_decision SET entry_id = (SELECT min(id) FROM ledger_entry)",
    "DELETE FROM current_decision WHERE purpose_id = 'marketing'",
]


@pytest.mark.parametrize("harm", HARM)
def test_what_the_slow_look_finds_the_quick_one_does_not_accept(
    database: Database, owner: Database, people: list[UUID], harm: str
) -> None:
    """One thing is changed, and every part of it is found by both, and named."""
    with unguarded(owner) as session:
        for statement in harm.split(";"):
            session.execute(text(statement))
    with database.reading() as session:
        assert slow(session)
        assert not quick(session)
        (part,) = walk.parts(session)
        violations = people_walk.WALK.run(session, part, untold)
        assert [str(one) for one in violations] == [str(one) for one in slow(session)]


def test_a_decision_of_nobody_is_found(
    database: Database, owner: Database, people: list[UUID]
) -> None:
    """A yes in the projection of somebody without an entry."""
    with unguarded(owner) as session:
        session.execute(
            update(CurrentDecision)
            .where(CurrentDecision.subject_id == people[0])
            .values(subject_id=people[2])
        )
    with database.reading() as session:
        assert slow(session)
        assert not quick(session)


def test_every_subject_is_in_one_part(
    database: Database, people: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many parts there are, they lie end to end, and the rows add up."""
    monkeypatch.setattr(walk, "_PART", 2)
    with database.reading() as session:
        parts = walk.parts(session)
        assert len(parts) > 2
        assert (parts[0].begin, parts[-1].end) == (0, 2**128)
        assert all(one.end == other.begin for one, other in pairwise(parts))
        assert sum(part.rows for part in parts) == sum(
            session.get_one(Subject, one).linked for one in people
        )
        assert quick(session)
        assert slow(session) == []


def test_nobody_is_sound(database: Database) -> None:
    """Before the first subject."""
    with database.reading() as session:
        assert quick(session)
