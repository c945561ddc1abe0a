"""The audience of a purpose is exactly who is permitted, one by one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice, product
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import audience as audiences
from domain.consent import decisions
from domain.consent.audience import audience
from domain.consent.permission import permitted
from domain.consent.purposes import Basis
from domain.dates import months_later
from domain.subjects import service as subjects
from domain.subjects.models import Subject
from tests.domain.consenting import changed, decide, publish, somebody
from tests.support import NOON

RUN_OUT = months_later(NOON, 24)


def _nothing(session: Session, who: UUID) -> None:
    """Somebody who was never asked."""


def _yes(session: Session, who: UUID) -> None:
    decide(session, who, marketing=True, analytics=True)


def _no(session: Session, who: UUID) -> None:
    decide(session, who)


def _withdrawn(session: Session, who: UUID) -> None:
    _yes(session, who)
    _no(session, who)


def _invalid(session: Session, who: UUID) -> None:
    _yes(session, who)
    for purpose in ("marketing", "analytics"):
        decisions.invalidate(session, who, purpose, "unlawful_wording", at=NOON)


def _again(session: Session, who: UUID) -> None:
    _invalid(session, who)
    _yes(session, who)


def _earlier(session: Session, who: UUID) -> None:
    decide(session, who, at=NOON - timedelta(hours=1), marketing=True, analytics=True)


WAYS = (_nothing, _yes, _no, _withdrawn, _invalid, _again, _earlier)


@pytest.fixture
def people(session: Session) -> list[UUID]:
    """Everything that may be so of a person, in every combination."""
    publish(session)
    made = []
    for way, age, confirmed in product(WAYS, (None, 13, 15, 40), (True, False)):
        who = somebody(session, age=15, confirmed=confirmed)
        way(session, who)
        subjects.get(session, who).declared_age = age
        made.append(who)
    return made


def _variants(session: Session) -> Iterator[str]:
    """The registers that an operator may have by the time somebody is asked about."""
    register = session.info["purposes"]
    yield "as it was"
    changed(session, "marketing", version=2)
    yield "new words for one"
    session.info["purposes"] = replace(register, marketing_age=16)
    yield "a higher age"
    session.info["purposes"] = replace(register, marketing_age=0)
    yield "no age"
    session.info["purposes"] = register
    changed(session, "analytics", confirmed_address=True, age_limited=True)
    yield "more asked for"
    changed(session, "marketing", basis=Basis.CONTRACT)
    yield "another basis"


@pytest.mark.requirement(7, 9, 15, 16, 35, 47)
def test_the_audience_is_everyone_who_is_permitted(session: Session, people: list[UUID]) -> None:
    """Each purpose, each register, before and at the end of a yes, person by person."""
    moments = (NOON, RUN_OUT - timedelta(hours=1), RUN_OUT - timedelta(milliseconds=1), RUN_OUT)
    for variant in _variants(session):
        for purpose, at in product(session.info["purposes"], moments):
            found = list(audience(session, purpose.id, at=at))
            expected = {one for one in people if permitted(session, one, purpose.id, at=at)}
            assert len(found) == len(set(found))
            assert set(found) == expected, (variant, purpose.id, at)


def test_an_undeclared_purpose_is_an_error_at_once(session: Session) -> None:
    """Also where nobody asks for the first person: never an empty audience."""
    with pytest.raises(KeyError):
        audience(session, "profiling", at=NOON)


def _many(session: Session, count: int) -> None:
    row = {"wrapped_key": b"", "opened_at": NOON, "linked": 0}
    rows = [{**row, "id": UUID(int=number)} for number in range(count)]
    session.execute(insert(Subject), rows)


@pytest.mark.parametrize("take", [0, 1, 25, 60])
def test_it__may_be_left_early(
    database: Database, monkeypatch: pytest.MonkeyPatch, take: int
) -> None:
    """The session can be used amid and after, and another audience beside."""
    monkeypatch.setattr(audiences, "_AT_ONCE", 10)
    with database.transaction() as session:
        _many(session, 60)
    with database.reading() as session:
        everyone = audience(session, "account", at=NOON)
        other = audience(session, "account", at=NOON)
        found = list(islice(everyone, take))
        assert len(set(found)) == take
        assert session.scalar(select(func.count()).select_from(Subject)) == 60
        assert len(list(other)) == 60
        everyone.close()  # type: ignore[attr-defined]
        assert session.scalar(select(func.count()).select_from(Subject)) == 60


def test_memory_does_not_grow_with_the_audience(
    database: Database, peak: Callable[[Callable[[], object]], int]
) -> None:
    """Ten times as many people take no more memory."""
    with database.transaction() as session:
        _many(session, 60_000)

    def read(share: int) -> int:
        with database.reading() as session:
            return sum(1 for _ in islice(audience(session, "account", at=NOON), share))

    small = peak(lambda: read(6_000))
    large = peak(lambda: read(60_000))
    assert large < small * 1.5


@pytest.fixture
def peak() -> Callable[[Callable[[], object]], int]:
    """The most memory that something takes."""
    import tracemalloc

    def measured(act: Callable[[], object]) -> int:
        tracemalloc.start()
        try:
            act()
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return measured
