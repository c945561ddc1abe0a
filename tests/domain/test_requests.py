"""Requests: received, verified, answered, each with a day by which it must be."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.orm import Session

from domain.identity import signed_links
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.rights import requests, unverified
from domain.rights.errors import NotVerified
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from domain.rights.unverified import UNVERIFIED_FOR
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from tests.domain.consenting import somebody
from tests.domain.identity_people import opened
from tests.support import NOON

ACCESS, ERASURE = RequestKind.ACCESS, RequestKind.ERASURE
HOUR = timedelta(minutes=60)


def receive(
    session: Session, who: UUID, kind: RequestKind = ACCESS, *, at: datetime = NOON
) -> DataSubjectRequest:
    """A request by link."""
    return requests.receive(session, who, kind, channel="link", at=at)


def told(session: Session, who: UUID) -> list[str]:
    """The types of what the ledger says about them."""
    return [entry.type for entry in subjects.entries(session, who)]


@pytest.mark.requirement(54)
@pytest.mark.parametrize(
    ("received", "due"),
    [
        (datetime(2026, 11, 22, 12, tzinfo=UTC), date(2026, 12, 22)),
        (datetime(2027, 1, 31, 12, tzinfo=UTC), date(2027, 2, 28)),
        (datetime(2028, 1, 31, 12, tzinfo=UTC), date(2028, 2, 29)),
        (datetime(2027, 8, 31, 12, tzinfo=UTC), date(2027, 9, 30)),
        (datetime(2027, 12, 31, 12, tzinfo=UTC), date(2028, 1, 31)),
        # Half past midnight in Norway it is the next day already.
        (datetime(2027, 1, 30, 23, 30, tzinfo=UTC), date(2027, 2, 28)),
        (datetime(2027, 2, 28, 22, 30, tzinfo=UTC), date(2027, 3, 28)),
        (datetime(2027, 2, 28, 23, 30, tzinfo=UTC), date(2027, 4, 1)),
    ],
)
def test_a_request_is_due_in_one_month_by_the_norwegian_calendar(
    session: Session, received: datetime, due: date
) -> None:
    """Ends of months, leap years and midnight."""
    request = receive(session, somebody(session), at=received)
    assert request.due_on == due
    entry = next(subjects.entries(session, request.subject_id or uuid4()))
    assert entry.data["due_on"] == request.due_on.isoformat()


@pytest.mark.requirement(54, 66)
def test_asking_again_is_the_same_request(session: Session) -> None:
    """It keeps its reference and its day until it is answered, also when it was verified and
    then left lying; the other kind, and the next one after an answer, are new ones."""
    who = somebody(session)
    first = receive(session, who)
    again = receive(session, who, at=NOON + timedelta(days=6))
    assert (again.id, again.due_on) == (first.id, first.due_on)
    assert receive(session, who, ERASURE).id != first.id
    requests.verify(session, first, channel="link", at=NOON)
    assert receive(session, who, at=NOON + timedelta(days=20)).id == first.id
    requests.fulfil(session, first, at=NOON)
    assert receive(session, who).id != first.id
    assert told(session, who).count("request.received") == 3


def test_it_goes_one_way_and_each_step_is_told_once(session: Session) -> None:
    """Received, verified, fulfilled; a step a second time changes and tells nothing."""
    who = somebody(session)
    request = receive(session, who)
    with pytest.raises(NotVerified):
        requests.fulfil(session, request, at=NOON)
    for minutes in (1, 2):
        at = NOON + timedelta(minutes=minutes)
        requests.verify(session, request, channel="link", at=at)
    assert request.verified_at == NOON + timedelta(minutes=1)
    assert requests.fulfil(session, request, at=NOON) is True
    assert requests.fulfil(session, request, at=NOON + timedelta(days=1)) is False
    assert request.closed_at == NOON
    assert told(session, who) == ["request.received", "request.verified", "request.fulfilled"]


def test_what_nobody_verified_in_a_week_is_closed(session: Session) -> None:
    """Not a moment earlier, once, and never what was verified; then one may ask anew."""
    who, other = somebody(session), somebody(session)
    request, verified = receive(session, who), receive(session, other)
    requests.verify(session, verified, channel="link", at=NOON)
    moment = timedelta(milliseconds=1)
    assert unverified.refuse(session, at=NOON + UNVERIFIED_FOR - moment) == 0
    assert unverified.refuse(session, at=NOON + UNVERIFIED_FOR) == 1
    assert unverified.refuse(session, at=NOON + UNVERIFIED_FOR) == 0
    assert (request.state, verified.state) == ("refused", "verified")
    entry = list(subjects.entries(session, who))[-1]
    assert (entry.type, entry.data["reason"]) == ("request.refused", "unverified")
    with pytest.raises(NotVerified):
        requests.fulfil(session, request, at=NOON)
    assert receive(session, who).id != request.id


@pytest.mark.requirement(66)
def test_a_request_stays_open_while_its_link_works(session: Session) -> None:
    """Asked for again on the last day: the link of that hour must not lead to a closed door."""
    account: Account = opened(session)
    request = receive(session, account.subject_id)
    asked = NOON + UNVERIFIED_FOR - timedelta(minutes=10)
    signed_links.issue(
        session,
        LinkKind.ACCESS,
        account.subject_id,
        stamp=account.stamp,
        lifetime=HOUR,
        at=asked,
        request_id=request.id,
    )
    assert unverified.refuse(session, at=NOON + UNVERIFIED_FOR) == 0
    assert unverified.refuse(session, at=asked + HOUR) == 1


def test_references_can_be_said_on_the_telephone_and_not_guessed(session: Session) -> None:
    """Two groups of four without vowels or lookalikes, each another one."""
    who = somebody(session)
    references = set()
    for _ in range(30):
        request = receive(session, who)
        requests.verify(session, request, channel="account", at=NOON)
        requests.fulfil(session, request, at=NOON)
        references.add(request.reference)
    assert len(references) == 30
    pattern = re.compile(r"[2-9BCDFGHJKMNPQRSTVWXZ]{4}-[2-9BCDFGHJKMNPQRSTVWXZ]{4}")
    assert all(pattern.fullmatch(one) for one in references)


def test_a_request_is_found_by_its_reference_and_listed_newest_first(session: Session) -> None:
    """And only one's own are listed."""
    who, other = somebody(session), somebody(session)
    first = receive(session, who)
    second = receive(session, who, ERASURE, at=NOON + timedelta(hours=1))
    receive(session, other)
    assert requests.of_subject(session, who) == [second, first]
    assert requests.by_reference(session, first.reference) == first
    assert requests.by_reference(session, first.reference.lower()) is None
    assert requests.get(session, second.id) == second
    assert requests.take(session, uuid4()) is None


def test_nobody_asks_for_somebody_who_is_not_there(session: Session) -> None:
    """Erased meanwhile, or never there."""
    with pytest.raises(UnknownSubject):
        receive(session, uuid4())
