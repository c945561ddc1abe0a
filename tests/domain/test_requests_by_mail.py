"""Requests by e-mail address: each kind, from somebody known, a correspondent, and nobody."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.identity import accounts, correspondents, signed_links
from domain.identity.errors import BadLink
from domain.identity.signed_links import LinkKind
from domain.ledger.models import LedgerEntry
from domain.rights import archives, cases, intake, requests, settling, unverified, upkeep
from domain.rights.intake import LINKS
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from domain.rights.settling import Matter
from domain.rights.unverified import UNFINISHED_FOR, UNVERIFIED_FOR
from domain.subjects import service as subjects
from tests.domain.asking import letters, verified
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

WRITER, NOBODY = "per@brev.example", "ingen@brev.example"
HOUR = timedelta(hours=1)
every_kind = pytest.mark.parametrize("kind", LINKS)


@pytest.fixture(autouse=True)
def known(session: Session) -> None:
    """Kari has an account, and Per has written to us."""
    publish(session)
    account = opened(session)
    accounts.confirm_address(session, account.subject_id, at=NOON)
    correspondents.open_or_find(session, WRITER, "nn", at=NOON)


def ask(session: Session, kind: RequestKind, email: str, **more: Any) -> DataSubjectRequest | None:
    """Send the form."""
    payload = {"kind": kind.value, "email": email, "locale": "nb", **more}
    if kind is RequestKind.OBJECTION:
        payload.setdefault("about_purpose", "marketing")
    return intake.take_request(session, payload, lifetime=HOUR, at=NOON)


def entries(session: Session) -> int:
    session.flush()
    return session.scalar(select(func.count()).select_from(LedgerEntry)) or 0


def test_every_right_has_a_link_of_its_own() -> None:
    """And a question needs none."""
    assert set(LINKS) == set(RequestKind) - {RequestKind.ENQUIRY}
    assert len(set(LINKS.values())) == len(LINKS)


@pytest.mark.requirement(53, 55, 68, 73)
@every_kind
@pytest.mark.parametrize("email", [KARI.email, WRITER])
def test_each_kind_is_opened_and_its_link_mailed(
    session: Session, kind: RequestKind, email: str
) -> None:
    """The link is bound to this request and kind; the mail has reference and day, and goes to the
    address that we have, whatever was typed."""
    request = ask(session, kind, email.upper())
    assert request is not None
    (mail,) = letters(session)
    assert mail["mail"] == f"mail.{kind}"
    assert mail["to"].casefold() == email.casefold()
    assert mail["to"] != email.upper()
    assert (mail["reference"], mail["due_on"]) == (request.reference, "2026-12-22")
    assert mail["about"] == request.subject_id
    for link_kind in LinkKind:
        if link_kind is LINKS[kind]:
            link = signed_links.look(session, link_kind, mail["token"], at=NOON)
            assert (link.request_id, link.subject_id) == (request.id, request.subject_id)
        else:
            with pytest.raises(BadLink):
                signed_links.look(session, link_kind, mail["token"], at=NOON)


@pytest.mark.requirement(64)
@every_kind
def test_as_many_entries_whoever_has_the_address(session: Session, kind: RequestKind) -> None:
    """One each time, also when it is asked for again; and one for each when the week is over."""
    for email in (KARI.email, WRITER, NOBODY, KARI.email, WRITER, NOBODY):
        before = entries(session)
        ask(session, kind, email)
        assert entries(session) - before == 1, email
    week = NOON + UNVERIFIED_FOR
    for number in range(6):
        before = entries(session)
        settling.settle(session, {"matter": Matter.REQUEST}, week)
        assert entries(session) - before == 1, number
    assert unverified.refuse(session, at=week) == 0


@pytest.mark.requirement(64)
@every_kind
def test_an_address_that_nobody_has_is_told_so(session: Session, kind: RequestKind) -> None:
    """Once, by mail, for its kind; nothing of it is kept."""
    assert ask(session, kind, NOBODY, words="Hei") is None
    (mail,) = letters(session)
    assert (mail["mail"], mail["to"], mail["kind"]) == ("mail.request_unknown", NOBODY, kind)
    assert mail["about"] is None
    assert correspondents.find(session, NOBODY) is None


def test_an_objection_by_link_says_to_what(session: Session) -> None:
    """Two that are to two things are two requests."""
    first = ask(session, RequestKind.OBJECTION, KARI.email)
    second = ask(session, RequestKind.OBJECTION, KARI.email, about_purpose="security")
    assert first is not None
    assert second is not None
    assert (first.about_purpose, second.about_purpose) == ("marketing", "security")
    again = ask(session, RequestKind.OBJECTION, KARI.email)
    assert again is not None
    assert again.id == first.id


def test_what_a_stranger_wrote_goes_with_what_nobody_verified(session: Session) -> None:
    """Words of an unverified request are kept a week; none are added to a verified one."""
    request = ask(session, RequestKind.OBJECTION, KARI.email, words="Fordi!")
    assert request is not None
    assert [one.words for one in cases.texts(session, request)] == ["Fordi!"]
    assert unverified.refuse(session, at=NOON + UNVERIFIED_FOR) == 1
    assert cases.texts(session, request) == []
    assert (request.state, request.reason) == ("refused", "unverified")
    assert request.subject_id is not None
    mine = verified(session, request.subject_id, RequestKind.OBJECTION, about="support")
    ask(session, RequestKind.OBJECTION, KARI.email, about_purpose="support", words="Nei, vent")
    assert cases.texts(session, mine) == []


# --- Questions --------------------------------------------------------------------------------


@pytest.mark.requirement(53, 64)
@pytest.mark.parametrize("email", [KARI.email, WRITER, NOBODY, OLA.email])
def test_a_question_becomes_a_case_whoever_has_the_address(session: Session, email: str) -> None:
    """One entry; a mail with a link to follow it, which repeats nothing of what was written; and
    the operator is told. It waits for an answer, not for a week."""
    unconfirmed = opened(session, OLA)
    before = entries(session)
    case = intake.take_enquiry(
        session, {"email": email, "locale": "en", "words": "Buy at evil.example"}, NOON
    )
    assert entries(session) - before == 1
    assert (case.kind, case.state, case.channel) == ("enquiry", "received", "form")
    assert [one.words for one in cases.texts(session, case)] == ["Buy at evil.example"]
    # An account that goes in a week if nobody confirms it would take the case with it.
    assert case.subject_id != unconfirmed.subject_id
    received, told = letters(session, "mail.enquiry_received", "mail.case_opened")
    if received["mail"] == "mail.case_opened":
        received, told = told, received
    assert received["to"].casefold() == email.casefold()
    assert "evil" not in repr((received, told))
    look = signed_links.look(session, LinkKind.CASE, received["token"], at=NOON + 13 * 24 * HOUR)
    assert look.request_id == case.id
    assert (told["to"], told["reference"]) == ("support@lillemini.com", case.reference)
    assert unverified.refuse(session, at=NOON + 10 * UNVERIFIED_FOR) == 0


@pytest.mark.requirement(64, 66)
def test_a_new_link_to_a_case_goes_to_its_person_only(session: Session) -> None:
    """By reference and address, in whatever case it is typed; anybody else is told that there is
    no such case. No entry either way."""
    payload = {"email": WRITER, "locale": "nn", "words": "Hei"}
    case = intake.take_enquiry(session, payload, NOON)
    before = entries(session)
    for email, reference in (
        (WRITER, f" {case.reference.lower()} "),
        (KARI.email, case.reference),
        (NOBODY, case.reference),
        (WRITER, "BBBB-2222"),
        (WRITER, "' OR 1=1"),
    ):
        follow = {"email": email, "reference": reference, "locale": "nb"}
        intake.take_follow(session, follow, NOON + HOUR)
    (mail,) = letters(session, "mail.case_link")
    assert mail["to"] == WRITER
    assert signed_links.look(session, LinkKind.CASE, mail["token"], at=NOON + HOUR)
    unknown = letters(session, "mail.case_unknown")
    assert sorted(one["to"] for one in unknown) == sorted([KARI.email, NOBODY, WRITER, WRITER])
    assert entries(session) == before


def test_a_case_about_nobody_has_no_link(session: Session) -> None:
    """Its person was erased."""
    case = intake.take_enquiry(session, {"email": WRITER, "locale": "nn", "words": "Hei"}, NOON)
    case.subject_id = None
    session.flush()
    follow = {"email": WRITER, "reference": case.reference, "locale": "nn"}
    intake.take_follow(session, follow, NOON)
    assert letters(session, "mail.case_link") == []
    assert len(letters(session, "mail.case_unknown")) == 1


def test_a_correspondent_asks_for_what_was_written(session: Session) -> None:
    """Access by the address reaches the same person as the question did."""
    case = intake.take_enquiry(session, {"email": WRITER, "locale": "nn", "words": "Hei"}, NOON)
    request = ask(session, RequestKind.ACCESS, WRITER)
    assert request is not None
    assert request.subject_id == case.subject_id


@pytest.mark.requirement(54)
@pytest.mark.parametrize("kind", [RequestKind.ACCESS, RequestKind.ENQUIRY])
def test_the_month_runs_from_when_the_person_asked(session: Session, kind: RequestKind) -> None:
    """Not from when a worker looks at it; the ledger says the true day, at its own time."""
    payload = {"kind": kind.value, "email": WRITER, "locale": "nb", "words": "Hei"}
    payload["at"] = NOON.isoformat()
    later = NOON + timedelta(days=3)
    if kind is RequestKind.ENQUIRY:
        request = intake.take_enquiry(session, payload, later)
    else:
        made = intake.take_request(session, payload, lifetime=HOUR, at=later)
        assert made is not None
        request = made
        assert signed_links.look(session, LINKS[kind], letters(session)[0]["token"], at=later), (
            "the link lives from when it was sent"
        )
    assert (request.received_at, request.due_on) == (NOON, date(2026, 12, 22))
    assert request.subject_id is not None
    entry = list(subjects.entries(session, request.subject_id))[-1]
    assert (entry.at, entry.data["due_on"]) == (later, "2026-12-22")


def test_words_of_a_request_are_those_that_its_newest_link_confirms(session: Session) -> None:
    """Anybody may have written those before. To a verified one none are added, and the mail says
    so."""
    about = {"about_purpose": "security"}
    ask(session, RequestKind.OBJECTION, KARI.email, words="Slett alt!", **about)
    request = ask(session, RequestKind.OBJECTION, KARI.email, words="Mine ord.", **about)
    assert request is not None
    assert [one.words for one in cases.texts(session, request)] == ["Mine ord."]
    requests.verify(session, request, channel="link", at=NOON)
    ask(session, RequestKind.OBJECTION, KARI.email, words="Og dette.", **about)
    assert [one.words for one in cases.texts(session, request)] == ["Mine ord."]
    sent = [mail["left_out"] for mail in letters(session, "mail.objection")]
    assert sorted(sent) == [False, False, True]


@pytest.mark.requirement(54, 83)
def test_what_a_person_never_finished_is_closed_after_30_days(session: Session) -> None:
    """They are mailed so, once. Not what waits for us, or has a day of its own."""
    account = accounts.find(session, KARI.email)
    assert account is not None
    who = account.subject_id
    unfinished = verified(session, who, RequestKind.ACCESS)
    ours = [verified(session, who, RequestKind.OBJECTION, about="security")]
    asked_in_words = verified(session, who, RequestKind.RECTIFICATION)
    cases.write(session, asked_in_words, "person", "Feil navn.", at=NOON)
    waiting = verified(session, who, RequestKind.ERASURE)
    waiting.act_at = NOON + timedelta(days=60)
    made = verified(session, who, RequestKind.PORTABILITY)
    archives.new(session, made.id, who, "nb", at=NOON)
    end = NOON + UNFINISHED_FOR
    assert unverified.close_unfinished(session, at=end - HOUR) == 0
    assert unverified.close_unfinished(session, at=end) == 1
    assert unverified.close_unfinished(session, at=end) == 0
    assert (unfinished.state, unfinished.reason) == ("cancelled", "unfinished")
    assert {one.state for one in (*ours, asked_in_words, waiting, made)} == {"verified"}
    (mail,) = letters(session, "mail.request_closed")
    assert (mail["to"], mail["reference"]) == (KARI.email.lower(), unfinished.reference)
    assert "unfinished" in [chore.name for chore in upkeep.CHORES]
