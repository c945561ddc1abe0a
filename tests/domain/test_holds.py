"""Legal holds: what the law has us keep stays, the rest goes, and nothing stays for ever."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from domain.consent import permission
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.identity.models import Account
from domain.keys import keyring
from domain.ledger.entry import decode
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.rights import erasure, holds, requests, telling
from domain.rights.errors import BadHold, UnknownHold
from domain.rights.held import HOLDINGS
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest, LegalHold
from domain.subjects.models import Subject
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, opened
from tests.domain.leaving import CANARIES, RAGNHILD, cells, plant
from tests.support import NOON

TODAY = date(2026, 11, 22)
REVIEW = date(2027, 5, 1)
REASON = "Krav om erstatning, sak 27-014"
LATER = NOON + timedelta(days=1)


def placed(session: Session, who: UUID, *holdings: str, until: date = REVIEW) -> LegalHold:
    """A hold for a claim, on the account where nothing else is said."""
    named = holdings or ("account",)
    return holds.place(session, who, "legal_claim", REASON, named, until, at=NOON)


def kari(session: Session) -> UUID:
    """Somebody with an account."""
    publish(session)
    return opened(session).subject_id


def said(session: Session, *types: str) -> list[tuple[str, dict[str, Any]]]:
    """What the ledger says of these types, in the order it was appended."""
    queue = select(LedgerEntry.bytes).join(LedgerPending).order_by(LedgerPending.number)
    entries = [decode(raw) for raw in session.scalars(queue)]
    return [(one.type, one.data) for one in entries if one.type.startswith(types)]


@pytest.mark.requirement(62)
@pytest.mark.parametrize(
    "wrong",
    [
        {"ground": "curiosity"},
        {"reason_text": " \n"},
        {"holdings": ()},
        {"holdings": ("account", "decisions")},
        {"holdings": ("nothing_of_ours",)},
        {"review_on": TODAY},
        {"review_on": TODAY - timedelta(days=1)},
        {"review_on": date(2029, 11, 23)},
    ],
    ids=lambda wrong: " ".join(wrong),
)
def test_a_hold_without_all_that_it_needs_is_refused(
    session: Session, wrong: dict[str, Any]
) -> None:
    """A ground, a reason, holdings that can be held, and a day within three years."""
    who = kari(session)
    right: dict[str, Any] = {
        "ground": "legal_claim",
        "reason_text": REASON,
        "holdings": ("account",),
        "review_on": date(2029, 11, 22),
    }
    with pytest.raises(BadHold):
        holds.place(session, who, **{**right, **wrong}, at=NOON)
    assert holds.kept_back(session, who) == {}
    assert holds.place(session, who, **right, at=NOON).review_on == date(2029, 11, 22)


@pytest.mark.requirement(56)
def test_a_hold_is_in_the_copy_and_in_the_ledger(session: Session) -> None:
    """What is held, why and until when; the reason is sealed, and the ledger has no free text."""
    who = kari(session)
    hold = placed(session, who, "account", "requests")
    (holding,) = HOLDINGS
    assert holding.export(session, who) == [
        {
            "ground": "legal_claim",
            "reason": REASON,
            "holdings": hold.holdings.split(),
            "placed_at": "2026-11-22T12:00:00.000Z",
            "until": "2027-05-01",
            "ended_at": None,
        }
    ]
    assert not [one for _, _, one in cells(session) if "27-014" in one]
    with pytest.raises(BadHold):
        holds.extend(session, hold, TODAY, at=NOON)
    holds.extend(session, hold, date(2027, 8, 1), at=NOON)
    assert holds.kept_back(session, who) == dict.fromkeys(
        ("account", "requests", "holds", "decisions", "entries"), date(2027, 8, 1)
    )
    holds.release(session, hold, at=LATER)
    assert holds.kept_back(session, who) == {}
    with pytest.raises(UnknownHold):
        holds.release(session, hold, at=LATER)
    with pytest.raises(UnknownHold):
        holds.extend(session, hold, REVIEW, at=LATER)
    assert [one for one, _ in said(session, "hold.")] == [
        "hold.placed",
        "hold.extended",
        "hold.released",
    ]
    assert accounts.find(session, KARI.email), "who did not ask for erasure loses nothing"


# What a hold of the account keeps until it ends: the request leads to it.
LEFT = {"account", "requests", "holds", "decisions", "entries"}


@pytest.mark.requirement(62, 75)
def test_everything_else_goes_at_once(session: Session) -> None:
    """Held, let go of, and told what stays and until when; the ledger says what went."""
    who, request = plant(session)
    placed(session, who)
    erasure.fulfil(session, request, at=NOON)
    session.flush()
    assert (request.state, request.subject_id) == ("held", who)
    assert accounts.find(session, RAGNHILD.email) is None, "the address is free"
    account = session.scalars(select(Account)).one()
    assert accounts.person(session, account).name == RAGNHILD.name, "what is held is whole"
    assert account.password_hash == "!"
    assert permission.permitted(session, who, "marketing", at=NOON).value == "erasing"
    assert not any(one.export(session, who) for one in INVENTORY if one.name == "links")
    (last,) = [one for one in outbox.messages(session) if one.kind == "mail.erasure_done"]
    letter = outbox.opened(keyring(session), last.id, last.payload or b"")
    assert letter["to"] == RAGNHILD.email
    until = {one["holding"]: one["until"] for one in letter["kept"]}
    assert until == dict.fromkeys(LEFT - {"requests"}, "2027-05-01")
    ((_, executed),) = said(session, "erasure.")
    assert executed["cause"] == "request"
    assert not LEFT & set(executed["holdings"])
    assert not said(session, "request.fulfilled")
    assert first_violation(session, CHECKS) is None


@pytest.mark.requirement(62, 75)
def test_the_rest_goes_by_itself_on_the_day(session: Session) -> None:
    """The Norwegian one; whoever came with the same address meanwhile stays."""
    who, request = plant(session)
    reference = request.reference
    placed(session, who)
    erasure.fulfil(session, request, at=NOON)
    anew = opened(session, RAGNHILD, at=NOON)
    # 30 April 2027, 23:59 in Norway; then a minute later.
    holds.end_due(session, at=datetime(2027, 4, 30, 21, 59, tzinfo=UTC))
    assert session.get(Subject, who)
    assert holds.end_due(session, at=datetime(2027, 4, 30, 22, tzinfo=UTC)) == 1
    session.expire_all()
    assert session.get(Subject, who) is None
    closed = session.get_one(DataSubjectRequest, request.id)
    assert (closed.state, closed.subject_id) == ("fulfilled", None)
    *_, released, fulfilled, executed = said(session, "request.f", "erasure.", "hold.r")
    assert released == ("hold.released", {})
    assert fulfilled == ("request.fulfilled", {"kind": "erasure", "reference": reference})
    assert executed[1]["cause"] == "hold_ended"
    assert set(executed[1]["holdings"]) == LEFT
    assert [one.id for one in session.scalars(select(Account))] == [anew.id]
    assert first_violation(session, CHECKS) is None


@pytest.mark.requirement(62)
def test_of_two_holds_each_keeps_its_own(session: Session) -> None:
    """What only the first kept goes when that one ends; the rest with the other."""
    who, request = plant(session)
    first, second = placed(session, who, "account"), placed(session, who, "requests")
    erasure.fulfil(session, request, at=NOON)
    holds.release(session, first, at=LATER)
    assert session.scalars(select(Account)).all() == []
    assert requests.of_subject(session, who)
    holds.release(session, second, at=LATER)
    session.expire_all()
    assert session.get(Subject, who) is None
    gone = [name for _, data in said(session, "erasure.") for name in data["holdings"]]
    named = [one.name for one in INVENTORY if one.name != "accounting"]
    assert sorted(gone) == sorted(named), "each is said to be erased once, when it was"
    marks = [text for _, _, text in cells(session) if any(mark in text for mark in CANARIES)]
    assert marks == []


@pytest.mark.requirement(62)
def test_the_requests_go_with_the_last_hold(session: Session) -> None:
    """A hold on them alone that ends first takes nothing: the one that is held leads to the
    person until the rest goes. Nobody else's hold waits for that."""
    who, request = plant(session)
    placed(session, who, "requests", until=TODAY + timedelta(days=1))
    placed(session, who, until=TODAY + timedelta(days=9))
    erasure.fulfil(session, request, at=NOON)
    assert holds.end_due(session, at=NOON + timedelta(days=2)) >= 1
    assert [hold.holdings for hold in holds.running(session)] == ["account"]
    assert (request.state, request.subject_id) == ("held", who)
    holds.end_due(session, at=NOON + timedelta(days=10))
    session.expire_all()
    assert session.get(Subject, who) is None
    assert request.state == "fulfilled"
    assert all(data["holdings"] for _, data in said(session, "erasure."))


@pytest.mark.requirement(62, 75)
def test_nobody_writes_to_whom_only_a_hold_keeps(session: Session) -> None:
    """The last mail was the last: their consent does not expire in it two years later, and a
    change that waited to be told is not told."""
    who, request = plant(session)
    placed(session, who, until=date(2029, 11, 22))
    erasure.fulfil(session, request, at=NOON)
    kinds = [one.kind for one in outbox.messages(session)]
    far = datetime(2029, 1, 1, tzinfo=UTC)
    assert telling.expire_due(session, at=far) == 0
    telling.take_receipts(session, {"subject": str(who), "entries": []}, far)
    session.flush()
    assert [one.kind for one in outbox.messages(session)] == kinds
    assert not said(session, "consent.expired")


@pytest.mark.requirement(62)
def test_the_operator_is_told_two_weeks_before(session: Session) -> None:
    """Once for each day that it could end, with the hold's number and nobody in it."""
    who = kari(session)
    hold = placed(session, who)

    def told(at: datetime) -> list[dict[str, Any]]:
        holds.end_due(session, at=at)
        rows = session.scalars(
            select(OutboxMessage).where(OutboxMessage.kind == "mail.hold_review")
        )
        found = [outbox.opened(keyring(session), one.id, one.payload or b"") for one in rows]
        return sorted(found, key=lambda one: str(one["review_on"]))

    near = datetime(2027, 4, 17, 12, tzinfo=UTC)
    assert told(near - timedelta(days=1)) == []
    (one,) = told(near)
    assert one["hold"] == str(hold.id)
    assert one["review_on"] == "2027-05-01"
    assert one["to"].startswith("support@")
    assert len(told(near + timedelta(days=3))) == 1
    holds.extend(session, hold, date(2027, 6, 1), at=near + timedelta(days=4))
    assert len(told(near + timedelta(days=5))) == 1
    assert [one["review_on"] for one in told(datetime(2027, 5, 20, tzinfo=UTC))] == [
        "2027-05-01",
        "2027-06-01",
    ]
    assert holds.kept_back(session, who)
    told(datetime(2027, 6, 1, tzinfo=UTC))
    assert not holds.kept_back(session, who), "nobody extended it, so it ended"


@pytest.mark.requirement(59, 62)
def test_a_held_registration_lets_its_address_go(session: Session) -> None:
    """Whoever comes with the address gets it, and what is held is not erased again each week."""
    who = kari(session)
    placed(session, who)
    assert erasure.forget_unconfirmed(session, KARI.email, at=LATER) is None
    other = opened(session, KARI, at=LATER)
    week = LATER + timedelta(days=8)
    assert erasure.forget_never_confirmed(session, at=week, waited=timedelta(days=7)) == 1
    session.expire_all()
    assert session.get(Subject, who)
    assert session.get(Subject, other.subject_id) is None
    causes = [data["cause"] for _, data in said(session, "erasure.")]
    assert sorted(causes) == ["replaced", "unconfirmed"]
