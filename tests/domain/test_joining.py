"""What somebody wrote before they had an account is theirs when they have one."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.delivery.models import OutboxMessage
from domain.identity import accounts, correspondents
from domain.rights import cases, erasure, intake, joining, requests
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest, RequestText
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from tests.domain.asking import letters, told, verified
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

DAY = timedelta(days=1)
QUESTION = {"email": KARI.email, "locale": "nn", "words": "Kven er Bulbasaur?"}


@pytest.fixture
def case(session: Session) -> DataSubjectRequest:
    """A question from an address without an account."""
    publish(session)
    return intake.take_enquiry(session, QUESTION, NOON)


@pytest.mark.requirement(56, 59)
def test_what_was_written_is_the_accounts_once_it_is_confirmed(
    session: Session, case: DataSubjectRequest
) -> None:
    """With its reference and its day, in the copy and in the erasure; nobody else is left."""
    writer = case.subject_id
    assert writer is not None
    account = opened(session)
    who = account.subject_id
    assert joining.join(session, who, at=NOON) is False
    assert intake.known(session, KARI.email) == writer
    accounts.confirm_address(session, who, at=NOON)
    assert joining.join(session, who, at=NOON) is True
    assert joining.join(session, who, at=NOON) is False
    assert intake.known(session, KARI.email) == who
    assert case.subject_id == who
    assert [one.words for one in cases.texts(session, case)] == [QUESTION["words"]]
    assert correspondents.find(session, KARI.email) is None
    with pytest.raises(UnknownSubject):
        subjects.get(session, writer)
    waiting = session.scalars(select(OutboxMessage.about)).all()
    assert set(waiting) == {who, None}
    copied = {one.name: one.export(session, who) for one in INVENTORY}
    assert copied["case_texts"][0]["words"] == QUESTION["words"]
    assert copied["requests"][0]["reference"] == case.reference
    assert letters(session, "mail.recipient_told") == []
    cases.answer(session, case, "Eit namn.", at=NOON + DAY)
    assert told(session, who)[-1] == "request.fulfilled"
    erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON + DAY)
    assert session.scalars(select(RequestText)).all() == []


def test_an_account_of_another_address_gets_nothing(
    session: Session, case: DataSubjectRequest
) -> None:
    """Nor one that nobody confirmed, and a question from the address goes on as it was."""
    writer = case.subject_id
    assert joining.join(session, writer or UUID(int=0), at=NOON) is False
    again = intake.take_enquiry(session, QUESTION, NOON + DAY)
    assert again.subject_id == writer
    assert requests.of_subject(session, writer or UUID(int=0)) == [again, case]
