"""Who is asked whether a yes shall go on, and who is not."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import purposes, renewing
from domain.consent.models import CurrentDecision, RenewalAsk
from domain.dates import local_day, months_later
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.identity.models import Account
from domain.rights import renewals, upkeep
from domain.subjects.models import Subject
from tests.domain.consenting import CONTENT, decide, publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

ENDS = months_later(NOON, 24)
SOON = ENDS - timedelta(days=7)


def person(
    session: Session, number: int = 0, *, marketing: bool = True, analytics: bool = False
) -> UUID:
    """Somebody with a confirmed account who chose so."""
    account = opened(session, replace(KARI, email=f"kari{number}@firma.example"))
    accounts.confirm_address(session, account.subject_id, at=NOON)
    decide(session, account.subject_id, marketing=marketing, analytics=analytics)
    return account.subject_id


def ask(database: Database) -> int:
    """A whole round."""
    asked = 0
    while (piece := renewals.ask(database, SOON, limit=3)) is not None:
        asked += piece
    return asked


def letters(database: Database) -> int:
    """How many wait to be sent."""
    with database.reading() as session:
        mails = select(func.count()).where(OutboxMessage.kind == renewals.LETTER)
        return session.scalar(mails) or 0


def _unconfirmed(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).confirmed_at = None


def _restricted(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).restricted_at = NOON


def _erasing(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).erasing_at = NOON


def _too_young(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).declared_age = 14


def _undeliverable(session: Session, who: UUID) -> None:
    session.scalars(select(Account).where(Account.subject_id == who)).one().undeliverable_at = NOON


def _withdrawn(session: Session, who: UUID) -> None:
    decide(session, who, at=NOON + timedelta(days=1))


def _later(session: Session, who: UUID) -> None:
    decide(session, who, at=NOON + timedelta(days=1))
    decide(session, who, at=NOON + timedelta(days=60), marketing=True)


NOT_ASKED = (_unconfirmed, _restricted, _erasing, _too_young, _undeliverable, _withdrawn, _later)


@pytest.mark.requirement(15, 33)
def test_only_who_can_answer_is_asked_and_each_once(database: Database) -> None:
    """One mail for all that ends; none to who is restricted, being erased, too young, unconfirmed,
    cannot be reached, said no, or said yes later."""
    left_out: tuple[Callable[[Session, UUID], None], ...] = NOT_ASKED
    with database.transaction() as session:
        publish(session)
        asked = {person(session, number, marketing=True, analytics=True) for number in range(4)}
        for number, change in enumerate(left_out, len(asked)):
            change(session, person(session, number))
    assert ask(database) == len(asked) == letters(database)
    assert ask(database) == 0
    with database.reading() as session:
        noted = session.execute(select(RenewalAsk.subject_id, RenewalAsk.asked_at)).all()
    assert {who for who, _ in noted} == asked
    assert len(noted) == 2 * len(asked)


def test_two_workers_ask_nobody_twice(database: Database) -> None:
    """They find the same people, and the second finds them asked."""
    with database.transaction() as session:
        publish(session)
        people = [person(session, number) for number in range(6)]
    other = Database(str(database.engine.url.render_as_string(False)), info=database.info)
    with ThreadPoolExecutor(2) as pool:
        done = sum(pool.map(ask, (database, other)))
    other.close()
    assert done == len(people) == letters(database)


def test_one_who_cannot_be_asked_does_not_keep_the_others_waiting(
    database: Database, owner: Database
) -> None:
    """Somebody whose details cannot be opened is passed over, and noted as asked by nobody."""
    with database.transaction() as session:
        publish(session)
        people = sorted(person(session, number) for number in range(4))
    with owner.transaction() as session:
        session.scalars(
            select(Account).where(Account.subject_id == people[0])
        ).one().email = b"unreadable"
    assert ask(database) == 3
    with database.reading() as session:
        assert set(session.scalars(select(RenewalAsk.subject_id))) == set(people[1:])


@pytest.mark.requirement(33, 43)
def test_no_mail_asks_for_a_yes_to_marketing_that_does_not_count_any_more(
    database: Database,
) -> None:
    """Without a yes that mail would be marketing (mfl § 15): the page asks, also when the old yes
    ends. What writes to nobody is asked about by mail as before."""
    with database.transaction() as session:
        publish(session)
        who = person(session, analytics=True)
        now = purposes.purposes(session)
    newer = {name: replace(one, version=9) for name, one in now.purposes.items() if one.optional}
    database.info["purposes"] = replace(
        now, purposes={**now.purposes, **newer}, versions={}, ends=date.max
    )
    assert ask(database) == letters(database) == 1
    with database.reading() as session:
        (noted,) = session.scalars(select(RenewalAsk))
        assert renewing.renewable(session, who, at=SOON) == dict.fromkeys(newer, "changed")
        entry = select(CurrentDecision.purpose_id).filter_by(entry_id=noted.entry_id)
        assert session.scalar(entry) == "analytics"


def test_a_worker_that_outlives_midnight_takes_up_the_purposes_of_the_day(
    database: Database,
) -> None:
    """By its chores, however long it runs; and with them those whose yes was for the old words."""
    with database.transaction() as session:
        publish(session)
        who = person(session, analytics=True)
    midnight = NOON + timedelta(hours=35)
    for at, version in ((midnight - timedelta(seconds=1), 1), (midnight, 2)):
        upkeep.everything(database, at=at)
        assert database.info["purposes"].purposes["analytics"].version == version
        assert letters(database) == version - 1
    with database.reading() as session:
        assert renewing.renewable(session, who, at=midnight) == {"analytics": "changed"}
        # A question about the time before still gets the answer of that time.
        assert renewing.renewable(session, who, at=NOON) == {}


@pytest.mark.requirement(1)
def test_the_register_of_a_day_has_the_words_of_that_day() -> None:
    """Whatever day it was loaded for, and wherever it is asked from."""
    for loaded in (NOON, NOON + timedelta(days=2)):
        register = purposes.load(CONTENT, on=local_day(loaded))
        for at, version in ((NOON, 1), (NOON + timedelta(days=2), 2), (NOON, 1)):
            of_day = register.on(local_day(at))
            assert of_day.purposes["analytics"].version == version
            assert of_day is register.on(local_day(at)), "made once"
            (told,) = [one for one in register.told_on(local_day(at)) if one.id == "analytics"]
            assert told.version == version
