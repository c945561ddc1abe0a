"""Cases: words, time, refusals and answers, and what a request does by itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from domain.consent import decisions
from domain.consent.errors import UnknownPurpose
from domain.consent.permission import Permission, permitted
from domain.dates import add_months, local_day
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, signed_links
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.keys import WrongSeal
from domain.rights import cases, requests
from domain.rights.errors import NoAnswer, NoReason, NotOpen, NotVerified, TooLate, WrongKind
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest, RequestText
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.asking import letters, told, verified
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

DAY = timedelta(days=1)
WHY = "Vi må spørre tre systemer."


@pytest.fixture
def kari(session: Session) -> Account:
    """Who has confirmed her address and said yes to the newsletter."""
    publish(session)
    account = opened(session)
    accounts.confirm_address(session, account.subject_id, at=NOON)
    decide(session, account.subject_id, marketing=True)
    return account


@pytest.fixture
def who(kari: Account) -> UUID:
    return kari.subject_id


def enquiry(session: Session, who: UUID, at: datetime = NOON) -> DataSubjectRequest:
    """A question, which nobody has to verify."""
    return requests.receive(session, who, RequestKind.ENQUIRY, channel="form", at=at)


# --- Words ------------------------------------------------------------------------------------


@pytest.mark.requirement(82)
def test_words_are_sealed_under_the_persons_key(session: Session, who: UUID) -> None:
    """Both authors' words come back in order; the table shows none, and none opens elsewhere."""
    case, other = enquiry(session, who), enquiry(session, who)
    cases.write(session, case, "person", "  Hvem er Bulbasaur? ", at=NOON)
    cases.write(session, case, "controller", "Det er et navn.", at=NOON + DAY)
    cases.write(session, other, "person", "  ", at=NOON)
    assert [(one.author, one.words, one.written_at) for one in cases.texts(session, case)] == [
        ("person", "Hvem er Bulbasaur?", NOON),
        ("controller", "Det er et navn.", NOON + DAY),
    ]
    assert cases.texts(session, other) == []
    assert "Bulbasaur" not in repr(session.execute(text("SELECT * FROM request_text")).all())
    first, second = session.scalars(select(RequestText).order_by(RequestText.written_at))
    first.words, second.words = second.words, first.words
    with pytest.raises(WrongSeal):
        cases.texts(session, case)


@pytest.mark.requirement(56, 59)
def test_words_are_in_the_copy_and_go_with_the_person(session: Session, who: UUID) -> None:
    """Those that we wrote too."""
    case = enquiry(session, who)
    cases.write(session, case, "person", "Hva vet dere?", at=NOON)
    cases.answer(session, case, "Lite.", at=NOON + DAY)
    (holding,) = cases.HOLDINGS
    copied = [(one["author"], one["words"]) for one in holding.export(session, who)]
    assert copied == [("person", "Hva vet dere?"), ("controller", "Lite.")]
    assert holding in INVENTORY
    holding.erase(session, who, NOON)
    assert session.scalars(select(RequestText)).all() == []


def test_a_closed_case_takes_no_more_from_the_person(session: Session, who: UUID) -> None:
    """They open another one; and a case about nobody takes nothing from anybody."""
    case = enquiry(session, who)
    cases.answer(session, case, "Ja.", at=NOON)
    with pytest.raises(NotOpen):
        cases.write(session, case, "person", "Men …", at=NOON)
    case.subject_id = None
    with pytest.raises(NotOpen):
        cases.write(session, case, "controller", "Til hvem?", at=NOON)
    assert cases.texts(session, case) == []


# --- Time -------------------------------------------------------------------------------------


@pytest.mark.requirement(54)
@pytest.mark.parametrize(
    ("received", "last", "due"),
    [
        # The first month ends with its last day in Norway, where it is an hour or two later.
        ("2026-11-22T12:00Z", "2026-12-22T22:59Z", "2027-02-22"),
        ("2027-01-31T12:00Z", "2027-02-28T22:59Z", "2027-04-30"),
        ("2027-11-30T12:00Z", "2027-12-30T22:59Z", "2028-02-29"),
        # Daylight saving begins and ends in between.
        ("2027-03-10T12:00Z", "2027-04-10T21:59Z", "2027-06-10"),
        ("2027-10-10T12:00Z", "2027-11-10T22:59Z", "2028-01-10"),
    ],
)
def test_the_time_is_extended_in_the_first_month_only(
    session: Session, who: UUID, received: str, last: str, due: str
) -> None:
    """Up to the last minute of it, to three months from receipt; a minute later it is too late."""
    at, until = (datetime.fromisoformat(one).astimezone(UTC) for one in (received, last))
    minute = timedelta(minutes=1)
    case, other = enquiry(session, who, at), enquiry(session, who, at)
    with pytest.raises(TooLate):
        cases.extend(session, other, "number", WHY, at=until + minute)
    assert other.due_on == add_months(local_day(at), 1)
    cases.extend(session, case, "number", WHY, at=until)
    assert case.due_on == date.fromisoformat(due)
    with pytest.raises(TooLate):
        cases.extend(session, case, "number", WHY, at=until)


@pytest.mark.requirement(54)
def test_an_extension_is_told_with_its_reason(session: Session, who: UUID) -> None:
    """In the ledger as a word, in the mail and the case in ours; with a link to follow it."""
    case = verified(session, who, RequestKind.ACCESS)
    cases.extend(session, case, "complexity", WHY, at=NOON + DAY)
    entry = list(subjects.entries(session, who))[-1]
    assert entry.type == "request.extended"
    assert entry.data == {
        "kind": "access",
        "reference": case.reference,
        "due_on": "2027-02-22",
        "reason": "complexity",
    }
    (mail,) = letters(session, "mail.request_extended")
    assert (mail["to"], mail["written"], mail["reason"]) == (KARI.email.lower(), WHY, "complexity")
    assert mail["due_on"] == "2027-02-22"
    assert entry.id in mail["entries"]
    link = signed_links.look(session, LinkKind.CASE, mail["token"], at=NOON + 14 * DAY)
    assert link.request_id == case.id


@pytest.mark.requirement(54)
@pytest.mark.parametrize("words", ["", "  \n"])
@pytest.mark.parametrize("reason", ["", "complexity", "unverified", "excessive"])
def test_without_a_reason_nothing_is_extended_or_refused(
    session: Session, who: UUID, reason: str, words: str
) -> None:
    """A word that the law knows, and words for the person: both, or nothing happens."""
    case = verified(session, who, RequestKind.ACCESS)
    before = told(session, who)
    for decide_it, given in ((cases.extend, words), (cases.refuse, words)):
        with pytest.raises(NoReason):
            decide_it(session, case, reason, given, at=NOON)
    with pytest.raises(NoReason):
        cases.extend(session, case, "excessive", WHY, at=NOON)
    with pytest.raises(NoReason):
        cases.refuse(session, case, "unverified", WHY, at=NOON)
    assert told(session, who) == before
    assert (case.state, case.reason, case.extended_at) == ("verified", None, None)


@pytest.mark.requirement(54, 63)
def test_a_refusal_is_told_with_its_reason(session: Session, who: UUID) -> None:
    """The request is closed, and its ledger entry says why; a second time is refused itself."""
    case = verified(session, who, RequestKind.PORTABILITY)
    cases.refuse(session, case, "others_rights", WHY, at=NOON)
    assert (case.state, case.reason, case.closed_at) == ("refused", "others_rights", NOON)
    entry = list(subjects.entries(session, who))[-1]
    assert (entry.type, entry.data["reason"]) == ("request.refused", "others_rights")
    (mail,) = letters(session, "mail.request_refused")
    assert (mail["written"], mail["reason"], mail["kind"]) == (WHY, "others_rights", "portability")
    with pytest.raises(NotOpen):
        cases.refuse(session, case, "excessive", WHY, at=NOON)
    with pytest.raises(NotOpen):
        cases.extend(session, case, "number", WHY, at=NOON)


def test_an_erasure_in_its_time_of_grace_is_not_refused(session: Session, who: UUID) -> None:
    """It goes on, or the person stops it."""
    case = verified(session, who, RequestKind.ERASURE)
    case.act_at = NOON + DAY
    with pytest.raises(NotOpen):
        cases.refuse(session, case, "legal_duty", WHY, at=NOON)


# --- Answers ----------------------------------------------------------------------------------


@pytest.mark.requirement(53, 54)
def test_an_answer_closes_a_question_and_goes_by_mail(session: Session, who: UUID) -> None:
    """The mail has our words and never theirs; the case has both."""
    case = enquiry(session, who)
    cases.write(session, case, "person", "Selger dere noe videre?", at=NOON)
    with pytest.raises(NoAnswer):
        cases.answer(session, case, " ", at=NOON)
    cases.answer(session, case, "Nei, aldri.", at=NOON + DAY)
    assert (case.state, case.closed_at) == ("fulfilled", NOON + DAY)
    (mail,) = letters(session, "mail.case_answered")
    assert mail["written"] == "Nei, aldri."
    assert "Selger" not in repr(letters(session))
    assert told(session, who)[-2:] == ["request.received", "request.fulfilled"]
    with pytest.raises(NotOpen):
        cases.answer(session, case, "Jo.", at=NOON + DAY)


@pytest.mark.parametrize("kind", [RequestKind.ACCESS, RequestKind.PORTABILITY, RequestKind.ERASURE])
def test_words_are_no_answer_to_who_wants_something_done(
    session: Session, who: UUID, kind: RequestKind
) -> None:
    """A copy has to be given, and an erasure carried out."""
    case = verified(session, who, kind)
    with pytest.raises(WrongKind):
        cases.answer(session, case, "Vi har gjort det.", at=NOON)
    assert case.state == "verified"


def test_an_objection_that_nobody_verified_is_not_answered(session: Session, who: UUID) -> None:
    """Anybody may have sent it."""
    case = requests.receive(
        session, who, RequestKind.OBJECTION, channel="link", at=NOON, about_purpose="security"
    )
    for closing in (
        lambda: cases.execute(session, case, at=NOON),
        lambda: cases.answer(session, case, "Nei.", at=NOON),
    ):
        with pytest.raises(NotVerified):
            closing()


# --- By itself --------------------------------------------------------------------------------


@pytest.mark.requirement(60)
@pytest.mark.parametrize("given", [True, False], ids=["given", "never given"])
def test_an_objection_to_marketing_is_absolute_and_at_once(
    session: Session, kari: Account, given: bool
) -> None:
    """Whatever was decided before: nothing is permitted, and the person is told with receipts.
    Nothing else is touched, and they may say yes again some day."""
    who = kari.subject_id
    if not given:
        decide(session, who, at=NOON + DAY, marketing=False, analytics=True)
    case = verified(session, who, RequestKind.OBJECTION, about="marketing", at=NOON + DAY)
    assert cases.execute(session, case, at=NOON + DAY) is True
    assert case.state == "fulfilled"
    assert not permitted(session, who, "marketing", at=NOON + DAY)
    assert permitted(session, who, "security", at=NOON + DAY)
    if not given:
        assert permitted(session, who, "analytics", at=NOON + DAY)
    made = [entry for entry in subjects.entries(session, who) if entry.type == "objection.made"]
    assert [entry.data for entry in made] == [{"purpose": "marketing"}]
    ended = [one for one in decisions.history(session, who) if one.state == "invalidated"]
    assert len(ended) == (1 if given else 0)
    (mail,) = letters(session, "mail.objection_done")
    assert {made[0].id, *(one.entry_id for one in ended)} < set(mail["entries"])
    decide(session, who, at=NOON + 2 * DAY, marketing=True)
    assert permitted(session, who, "marketing", at=NOON + 2 * DAY)


@pytest.mark.requirement(60)
def test_an_objection_to_security_becomes_a_case(session: Session, who: UUID) -> None:
    """It is assessed, and meanwhile the account stays protected; the operator is told without a
    word about who it is."""
    case = verified(session, who, RequestKind.OBJECTION, about="security")
    cases.write(session, case, "person", "Jeg heter Bulbasaur", at=NOON)
    assert cases.execute(session, case, at=NOON) is False
    assert case.state == "verified"
    assert permitted(session, who, "security", at=NOON)
    (mail,) = letters(session, "mail.case_opened")
    assert mail["to"] == "support@lillemini.com"
    assert (mail["reference"], mail["kind"], mail["about"]) == (case.reference, "objection", None)
    assert not any(word in repr(mail) for word in ("Kari", "kari", "Bulbasaur", str(who)))
    cases.answer(session, case, "Vi har vurdert det.", at=NOON)
    assert case.state == "fulfilled"


def test_nobody_objects_to_a_purpose_that_is_not_there(session: Session, who: UUID) -> None:
    """Nor by the short way to one that needs no consent."""
    with pytest.raises(UnknownPurpose):
        verified(session, who, RequestKind.OBJECTION, about="world_domination")
    with pytest.raises(UnknownPurpose):
        cases.object_to(session, who, "security", at=NOON)


@pytest.mark.requirement(60)
def test_a_restriction_stops_everything_but_storing(session: Session, who: UUID) -> None:
    """At once, with a mail that carries the receipts; the account works on. Once is enough."""
    case = verified(session, who, RequestKind.RESTRICTION)
    assert cases.execute(session, case, at=NOON) is True
    assert permitted(session, who, "marketing", at=NOON) is Permission.RESTRICTED
    assert permitted(session, who, "account", at=NOON)
    assert told(session, who)[-2:] == ["restriction.placed", "request.fulfilled"]
    (mail,) = letters(session, "mail.restriction_placed")
    placed = [one.id for one in subjects.entries(session, who) if one.type == "restriction.placed"]
    assert set(placed) < set(mail["entries"])
    again = verified(session, who, RequestKind.RESTRICTION, at=NOON + DAY)
    assert cases.execute(session, again, at=NOON + DAY) is True
    assert told(session, who).count("restriction.placed") == 1


@pytest.mark.parametrize(
    "kind",
    [
        RequestKind.ACCESS,
        RequestKind.PORTABILITY,
        RequestKind.RECTIFICATION,
        RequestKind.ERASURE,
    ],
)
def test_what_needs_a_step_of_the_persons_does_nothing_by_itself(
    session: Session, who: UUID, kind: RequestKind
) -> None:
    """Verified, it waits for their button."""
    case = verified(session, who, kind)
    assert cases.execute(session, case, at=NOON) is False
    assert case.state == "verified"
    assert letters(session) == []


# --- Alarms -----------------------------------------------------------------------------------


@pytest.mark.requirement(54)
def test_the_operator_is_told_of_what_is_due_once_a_day(session: Session, who: UUID) -> None:
    """From a week before the day, with what is overdue first; not of what is closed; references
    and kinds only."""
    case, closed = enquiry(session, who), enquiry(session, who)
    waiting = verified(session, who, RequestKind.ACCESS, at=NOON + DAY)
    cases.answer(session, closed, "Ja.", at=NOON)
    due = datetime(2026, 12, 22, 8, tzinfo=UTC)
    assert cases.alarms(session, at=due - 8 * DAY) == 0
    assert cases.alarms(session, at=due - 6 * DAY) == 2
    assert cases.alarms(session, at=due - 6 * DAY + timedelta(hours=15)) == 0
    for row in session.scalars(select(OutboxMessage).where(OutboxMessage.kind == "mail.case_due")):
        row.payload = None  # sent
    assert cases.alarms(session, at=due + DAY) == 2
    (mail,) = letters(session, "mail.case_due")
    assert mail["to"] == "support@lillemini.com"
    assert [
        (one["reference"], one["overdue"], one["waits_for_person"]) for one in mail["cases"]
    ] == [
        (case.reference, True, False),
        (waiting.reference, False, True),
    ]
    assert mail["about"] is None
    assert "kari" not in repr(mail).casefold()


def test_one_has_nothing_of_the_other(session: Session, who: UUID) -> None:
    """Ola's case is told to Ola."""
    ola = opened(session, OLA).subject_id
    cases.answer(session, enquiry(session, ola), "Hei, Ola.", at=NOON)
    (mail,) = letters(session)
    assert (mail["to"], mail["about"]) == (OLA.email, ola)
    assert cases.HOLDINGS[0].export(session, who) == []
