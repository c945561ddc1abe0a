"""What was asked for before there was an account counts for the account, and never against it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import permission
from domain.consent.permission import Permission
from domain.identity import accounts, correspondents
from domain.identity.models import Account
from domain.rights import access, cases, erasure, holds, intake, joining
from domain.rights.models import DataSubjectRequest, LegalHold, RequestText
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.asking import letters, told, verified
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
QUESTION = {"email": KARI.email, "locale": "nn", "words": "Kven er Bulbasaur?"}


@pytest.fixture
def case(session: Session) -> DataSubjectRequest:
    """A question from an address without an account."""
    publish(session)
    return intake.take_enquiry(session, QUESTION, NOON)


@pytest.fixture
def writer(case: DataSubjectRequest) -> UUID:
    """Who wrote it."""
    assert case.subject_id is not None
    return case.subject_id


def confirmed(session: Session, account: Account) -> UUID:
    """Confirm the address a day later, as the site does."""
    accounts.confirm_address(session, account.subject_id, at=NOON + DAY)
    joining.join(session, account.subject_id, at=NOON + DAY)
    return account.subject_id


def hold(session: Session, who: UUID) -> LegalHold:
    """What they wrote must be kept for now."""
    until = date(2027, 6, 1)
    return holds.place(session, who, "legal_claim", "sak", ["case_texts"], until, at=NOON)


def ask(session: Session, kind: RequestKind, about: str | None = None) -> DataSubjectRequest:
    """Ask by the address, and follow the link."""
    subject_id = intake.known(session, KARI.email)
    assert subject_id is not None
    request = verified(session, subject_id, kind, at=NOON + HOUR, channel="link", about=about)
    cases.execute(session, request, at=NOON + HOUR)
    return request


@pytest.mark.requirement(60)
@pytest.mark.parametrize(
    ("yes_at", "held", "stands"),
    [
        (NOON, False, False),
        (NOON, True, False),
        (NOON + 2 * HOUR, False, True),
    ],
)
def test_an_objection_by_the_address_ends_the_yes_that_was_there(
    session: Session, writer: UUID, yes_at: datetime, held: bool, stands: bool
) -> None:
    """Also while a hold keeps the two apart, and then once; a yes that came later stands."""
    account = opened(session)
    who = account.subject_id
    held_back = hold(session, writer) if held else None
    if yes_at == NOON:
        decide(session, who, marketing=True)
    ask(session, RequestKind.OBJECTION, "marketing")
    if yes_at > NOON:
        decide(session, who, at=yes_at, marketing=True)
    confirmed(session, account)
    found = permission.permitted(session, who, "marketing", at=NOON + DAY)
    assert bool(found) is stands, found
    objected = told(session, who).count("objection.made")
    assert objected == (0 if stands else 1)
    if held_back:
        holds.release(session, held_back, at=NOON + DAY)
        assert told(session, who).count("objection.made") == 1


@pytest.mark.requirement(60)
def test_a_restriction_by_the_address_holds_for_the_account(session: Session, writer: UUID) -> None:
    """Until it is lifted there."""
    ask(session, RequestKind.RESTRICTION)
    account = opened(session)
    decide(session, account.subject_id, marketing=True)
    who = confirmed(session, account)
    assert subjects.get(session, who).restricted_at == NOON + DAY
    found = permission.permitted(session, who, "marketing", at=NOON + DAY)
    assert found is Permission.RESTRICTED


def test_a_restriction_that_was_lifted_stays_so_when_a_hold_ends(
    session: Session, writer: UUID
) -> None:
    """It is carried over once."""
    held_back = hold(session, writer)
    ask(session, RequestKind.RESTRICTION)
    who = confirmed(session, opened(session))
    assert subjects.lift_restriction(session, who, at=NOON + DAY)
    holds.release(session, held_back, at=NOON + DAY)
    assert subjects.get(session, who).restricted_at is None


@pytest.mark.requirement(59)
def test_an_erasure_that_waits_never_becomes_one_of_the_account(
    session: Session, writer: UUID, case: DataSubjectRequest
) -> None:
    """What was written goes when the account comes; the account and its choices stay."""
    request = verified(session, writer, RequestKind.ERASURE, channel="link")
    erasure.wait(session, request, until=NOON + 2 * DAY, at=NOON)
    account = opened(session, at=NOON + HOUR)
    decide(session, account.subject_id, at=NOON + HOUR, marketing=True)
    who = confirmed(session, account)
    assert (request.state, case.state, case.subject_id) == ("fulfilled", "cancelled", None)
    assert correspondents.find(session, KARI.email) is None
    assert len(letters(session, "mail.erasure_done")) == 1
    assert erasure.run_due(session, at=NOON + 2 * DAY) == 0
    assert subjects.get(session, who).erasing_at is None
    assert permission.permitted(session, who, "marketing", at=NOON + 2 * DAY)


@pytest.mark.requirement(56, 59)
@pytest.mark.parametrize("ends", ["released", "its day"])
def test_what_a_hold_kept_apart_is_joined_when_it_ends(
    session: Session, writer: UUID, case: DataSubjectRequest, ends: str
) -> None:
    """So that the account's erasure reaches it."""
    held_back = hold(session, writer)
    who = confirmed(session, opened(session))
    assert case.subject_id == writer
    if ends == "released":
        holds.release(session, held_back, at=NOON + DAY)
    else:
        held_back.review_on = date(2026, 11, 24)
        assert holds.end_due(session, at=NOON + 2 * DAY) == 1
    assert case.subject_id == who
    assert [one.words for one in cases.texts(session, case)] == [QUESTION["words"]]
    assert correspondents.find(session, KARI.email) is None


@pytest.mark.requirement(56, 59)
@pytest.mark.parametrize("imported", [False, True])
def test_by_the_address_both_are_reached(session: Session, writer: UUID, imported: bool) -> None:
    """What was written, and a registration that nobody confirmed: the copy has both, and after the
    erasure neither is left."""
    if imported:
        account = accounts.bring(session, KARI, locale="nb", declared_age=20, at=NOON)
    else:
        account = opened(session)
    who = account.subject_id
    request = ask(session, RequestKind.ACCESS)
    assert request.subject_id == writer
    document = access.collect(session, writer, request, "nb", at=NOON)
    records = {one["name"]: one["records"] for one in document["holdings"]}
    assert records["case_texts"][0]["words"] == QUESTION["words"]
    assert records["account"][0]["name"] == KARI.name
    request = ask(session, RequestKind.ERASURE)
    erasure.fulfil(session, request, at=NOON + DAY)
    assert accounts.find(session, KARI.email) is None
    assert accounts.of_subject(session, who) is None
    assert correspondents.find(session, KARI.email) is None
    assert len(letters(session, "mail.erasure_done")) == 1


@pytest.mark.requirement(59)
def test_the_accounts_erasure_reaches_what_a_hold_keeps_apart(
    session: Session, writer: UUID
) -> None:
    """It goes when the hold ends, and is found by nobody until then."""
    held_back = hold(session, writer)
    who = confirmed(session, opened(session))
    erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON + DAY)
    assert correspondents.find(session, KARI.email) is None
    assert subjects.get(session, writer).erasing_at == NOON + DAY
    assert session.scalars(select(RequestText.subject_id)).all() == [writer]
    holds.release(session, held_back, at=NOON + 2 * DAY)
    assert session.scalars(select(RequestText.subject_id)).all() == []
    assert correspondents.email_of(session, writer) is None
