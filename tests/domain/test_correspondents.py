"""Correspondents: who writes without an account can be answered, has rights, and can leave."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from database import Database
from domain.identity import correspondents, limits, signed_links, vault
from domain.identity.errors import BadLink, ExpiredLink, InvalidAddress
from domain.identity.limits import LimitKind
from domain.identity.models import Attempt, Correspondent
from domain.identity.signed_links import FOLLOWED, NO_ACCOUNT, LinkKind
from domain.keys import WrongSeal
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, intake, requests
from domain.rights.inventory import INVENTORY
from domain.rights.models import RequestText
from domain.rights.requests import Contact, RequestKind
from domain.subjects import service as subjects
from domain.subjects.models import Subject
from tests.domain.asking import letters, told, verified
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

WRITER = "per.pisthagen@brev.example"
HOUR = timedelta(hours=1)


def wrote(session: Session, email: str = WRITER) -> UUID:
    return correspondents.open_or_find(session, email, "nn", at=NOON)


@pytest.mark.requirement(82)
def test_an_address_is_sealed_and_found_however_it_is_spelled(session: Session) -> None:
    """One person for one address, and no entry in the ledger for it; the table shows nothing."""
    who = wrote(session)
    assert wrote(session, WRITER.upper()) == correspondents.find(session, f" {WRITER} ") == who
    assert wrote(session, "ola@brev.example") != who
    assert correspondents.email_of(session, who) == WRITER
    assert correspondents.find(session, "not an address") is None
    assert correspondents.find(session, "nobody@brev.example") is None
    with pytest.raises(InvalidAddress):
        wrote(session, "not an address")
    assert "pisthagen" not in repr(session.execute(text("SELECT * FROM correspondent")).all())
    assert session.scalar(select(func.count()).select_from(LedgerEntry)) == 0


@pytest.mark.requirement(82)
def test_two_addresses_swapped_do_not_open(session: Session) -> None:
    """Each is bound to its row."""
    rows = [session.get_one(Correspondent, wrote(session, f"{name}@brev.example")) for name in "ab"]
    rows[0].email, rows[1].email = rows[1].email, rows[0].email
    for row in rows:
        with pytest.raises(WrongSeal):
            correspondents.email_of(session, row.subject_id)


def test_of_two_who_write_at_once_one_is_opened(database: Database) -> None:
    """And both get the same case file; no half of a person is left."""
    barrier = Barrier(4)

    def write(_: int) -> UUID:
        barrier.wait()
        with database.transaction() as session:
            return wrote(session)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(write, range(4)))) == 1
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Subject)) == 1


def test_contact_is_the_accounts_or_the_writers(session: Session) -> None:
    """Nobody who is neither can be reached."""
    account = opened(session)
    assert requests.contact(session, account.subject_id) == Contact(
        KARI.email.lower(), KARI.name, "nb", account.stamp
    )
    writer = requests.contact(session, wrote(session))
    assert writer == Contact(WRITER, None, "nn", NO_ACCOUNT)
    assert not writer.has_account
    assert "Per" not in repr(writer)
    assert requests.contact(session, subjects.open_subject(session, at=NOON).id) is None


@pytest.mark.requirement(66, 67)
def test_links_work_without_an_account(session: Session) -> None:
    """Those that act, once; one that shows a case, as often as one likes for two weeks, until a
    newer one for the same case takes its place."""
    who = wrote(session)
    case, other = (
        requests.receive(session, who, RequestKind.ENQUIRY, channel="form", at=NOON)
        for _ in range(2)
    )

    def issue(kind: LinkKind, request_id: UUID, lifetime: timedelta = HOUR) -> str:
        return signed_links.issue(
            session,
            kind,
            who,
            stamp=NO_ACCOUNT,
            lifetime=lifetime,
            request_id=request_id,
            at=NOON,
        )

    token = issue(LinkKind.ERASURE, case.id)
    assert signed_links.consume(session, LinkKind.ERASURE, token, at=NOON).subject_id == who
    with pytest.raises(BadLink):
        signed_links.consume(session, LinkKind.ERASURE, token, at=NOON)
    first, elsewhere = (issue(LinkKind.CASE, one.id, FOLLOWED) for one in (case, other))
    last = NOON + FOLLOWED - timedelta(seconds=1)
    for _ in range(3):
        assert signed_links.look(session, LinkKind.CASE, first, at=last).request_id == case.id
    with pytest.raises(ExpiredLink):
        signed_links.look(session, LinkKind.CASE, first, at=NOON + FOLLOWED)
    issue(LinkKind.CASE, case.id, FOLLOWED)
    with pytest.raises(BadLink):
        signed_links.look(session, LinkKind.CASE, first, at=NOON)
    assert signed_links.look(session, LinkKind.CASE, elsewhere, at=NOON).request_id == other.id


@pytest.mark.requirement(59)
def test_who_only_wrote_can_leave(session: Session) -> None:
    """Nothing of the address and the words is left, in tables, queue and tries; and the last mail
    goes to the address that was written from."""
    publish(session)
    payload = {"email": WRITER, "locale": "nn", "words": "Kven er Bulbasaur?"}
    limits.spend(session, LimitKind.REQUEST, address=WRITER, ip="192.0.2.1", at=NOON)
    case = intake.take_enquiry(session, payload, NOON)
    who = case.subject_id
    assert who is not None
    kept = {one.name for one in INVENTORY if one.export(session, who)}
    assert {"correspondent", "requests", "case_texts", "messages", "attempts", "links"} <= kept
    erasure.fulfil(session, verified(session, who, RequestKind.ERASURE, channel="link"), at=NOON)
    assert correspondents.find(session, WRITER) is None
    assert case.subject_id is None
    assert session.scalars(select(RequestText)).all() == []
    assert len(session.scalars(select(Attempt)).all()) == 1  # the place's
    mails = [one for one in letters(session) if one["to"] == WRITER]
    assert [one["mail"] for one in mails] == ["mail.erasure_done"]


def test_the_words_of_one_do_not_open_with_the_key_of_another(session: Session) -> None:
    """Each has a key of their own."""
    keys = {vault.key_of(session, wrote(session, f"{name}@brev.example")) for name in "abc"}
    assert len(keys) == 3


def test_each_question_is_a_case_of_its_own(session: Session) -> None:
    """Asked twice is asked twice; anything else asked twice is one request."""
    payload = {"email": WRITER, "locale": "nn", "words": "Og ein ting til."}
    first, second = (intake.take_enquiry(session, payload, NOON) for _ in range(2))
    assert first.reference != second.reference
    assert first.subject_id == second.subject_id
    assert told(session, first.subject_id or UUID(int=0)) == ["request.received"] * 2
