"""Retention: what is due goes on its day, and nobody else; the register says when."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from database import Database
from domain.consent.errors import ContentError
from domain.consent.purposes import PurposeRegister, RetentionRule
from domain.dates import local_day
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, correspondents, signed_links, subscriptions
from domain.identity.models import SignedLink, Subscription
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.ledger.invariants import first_violation
from domain.rights import cases, erasure, requests, retention
from domain.rights.due import Scope
from domain.rights.inventory import INVENTORY
from domain.rights.models import (
    DataSubjectRequest,
    RequestText,
)
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.models import EntryLink
from tests.domain.identity_people import OLA, opened
from tests.domain.lapsing import customer, here, hold, noon, run, said
from tests.support import NOON

SIX_MONTHS = RetentionRule("customer", "subscription_ended", months=6)


@pytest.mark.parametrize(
    ("ended", "goes"),
    [
        ("2026-08-31", "2027-02-28"),
        ("2027-08-31", "2028-02-29"),
        ("2027-08-29", "2028-02-29"),
        ("2027-08-28", "2028-02-28"),
        ("2028-02-29", "2028-08-29"),
        ("2026-12-31", "2027-06-30"),
        ("2026-09-28", "2027-03-28"),  # the night in which the clocks go forward
        ("2027-04-30", "2027-10-30"),
        ("2027-05-01", "2027-11-01"),
    ],
)
def test_six_months_end_on_the_day_or_on_the_last_of_the_month(ended: str, goes: str) -> None:
    """What ended then is due from the first minute of that Norwegian day, and not a minute
    earlier: it is gone when the six months are."""
    day = date.fromisoformat(goes)
    assert SIX_MONTHS.end(date.fromisoformat(ended)) == day
    midnight = noon(goes).replace(hour=0).astimezone(UTC)
    for at, due in ((midnight, True), (midnight - timedelta(minutes=1), False)):
        assert (Scope(SIX_MONTHS, "account", at).day >= date.fromisoformat(ended)) is due


def test_a_month_from_the_last_of_january_is_the_last_of_february() -> None:
    """Also where a time is counted from and not a day: the whole day in Norway counts."""
    month = replace(SIX_MONTHS, months=1)
    last = datetime(2027, 1, 31, 22, 59, 59, tzinfo=UTC)  # a second to midnight in Norway
    assert Scope(month, "account", noon("2027-02-28")).moment >= last
    assert Scope(month, "account", noon("2027-02-27")).moment < last - timedelta(days=2)
    assert Scope(month, "account", noon("2028-02-28")).day == date(2028, 1, 28)
    assert Scope(month, "account", noon("2028-02-29")).day == date(2028, 1, 31)


@pytest.mark.parametrize(
    "at", ["2027-03-28T00:59", "2027-03-28T12:00", "2027-10-31T01:30", "2027-06-30T23:30"]
)
def test_by_the_hour_and_by_the_day_is_the_same(at: str) -> None:
    """Around the nights in which the clocks change, and late in the evening by UTC: due by its
    time is exactly what is due by its Norwegian day."""
    now = datetime.fromisoformat(at).replace(tzinfo=UTC)
    scope = Scope(SIX_MONTHS, "account", now)
    for hours in range(-80, 80):
        happened = scope.moment + timedelta(hours=hours)
        over = SIX_MONTHS.end(local_day(happened)) <= local_day(now)
        assert (happened <= scope.moment) == over


@pytest.mark.requirement(51)
def test_who_is_due_goes_with_the_links_to_the_proof_and_nobody_else_does(
    database: Database,
) -> None:
    """On the day, at half past eleven in the evening by UTC; the entries stay, about nobody."""
    with database.transaction() as session:
        due = customer(session, "due", ended=date(2026, 8, 31))
        for name, ended in (("later", date(2026, 9, 1)), ("runs", None)):
            customer(session, name, ended=ended)
        again = customer(session, "again", ended=date(2026, 8, 31))
        subscriptions.start(session, again, on=date(2026, 10, 1), at=NOON)
        never = opened(session, OLA).subject_id  # had no subscription
        accounts.confirm_address(session, never, at=NOON)
    everybody = ("due", "later", "runs", "again")
    before = datetime(2027, 2, 27, 22, 30, tzinfo=UTC)
    run(database, before)
    assert here(database, *everybody) == set(everybody)
    gone = run(database, before + timedelta(hours=1))  # it is the 28th in Norway
    assert gone == {"customer": 1}
    assert here(database, *everybody) == {"later", "runs", "again"}
    assert [one.data["cause"] for one in said(database, "erasure.executed")] == ["retention"]
    assert said(database)[-1].data["counts"]["customer"] == 1
    with database.reading() as session:
        assert accounts.find(session, OLA.email)
        links = select(EntryLink.entry_id).where(EntryLink.subject_id == due)
        assert session.scalars(links).all() == []
        assert len(said(database, "subscription.ended")) == 3
        assert first_violation(session, CHECKS) is None


@pytest.mark.requirement(60)
def test_who_is_restricted_or_about_to_be_erased_stays(database: Database) -> None:
    """And the run can say how many, and why; of whom a hold keeps something, only that."""
    with database.transaction() as session:
        day = date(2026, 5, 1)
        subjects.restrict(session, customer(session, "restricted", ended=day), at=NOON)
        hold(session, customer(session, "held", ended=day), "decisions")
        waits = customer(session, "erasing", ended=day)
        case = requests.receive(session, waits, RequestKind.ERASURE, channel="account", at=NOON)
        requests.verify(session, case, channel="account", at=NOON)
        erasure.wait(session, case, until=NOON + timedelta(days=1), at=NOON)
        customer(session, "due", ended=day)
    names = ("restricted", "held", "erasing", "due")
    with database.reading() as session:
        assert retention.waiting(session, at=NOON)["customer"] == 2
        assert retention.staying(session, at=NOON) == {"restricted": 1, "erasing": 1}
    assert run(database, NOON)["customer"] == 2
    assert here(database, *names) == {"restricted", "erasing"}
    with database.reading() as session:
        assert retention.waiting(session, at=NOON)["customer"] == 0
        assert retention.staying(session, at=NOON) == {"restricted": 1, "held": 1, "erasing": 1}


def test_a_person_is_warned_once_thirty_days_before(database: Database) -> None:
    """With the day on which the account goes; another subscription and another end warn anew."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=date(2026, 8, 31), told=False)
        restricted = customer(session, "restricted", ended=date(2026, 8, 31), told=False)
        subjects.restrict(session, restricted, at=NOON)
    assert run(database, noon("2027-01-28")) == {}
    assert run(database, noon("2027-01-29")) == {"warned": 1}
    assert run(database, noon("2027-02-01")) == {}
    (letter,) = _letters(database)
    assert letter["due_on"] == "2027-02-28"
    with database.transaction() as session:
        at = noon("2027-02-02")
        subscriptions.start(session, who, on=date(2027, 2, 2), at=at)
        subscriptions.end(session, who, on=date(2027, 2, 3), at=at)
    assert "customer" not in run(database, noon("2027-02-28"))
    assert run(database, noon("2027-07-04")) == {"warned": 1}
    assert [one["due_on"] for one in _letters(database)] == ["2027-02-28", "2027-08-03"]


def test_a_warning_that_is_late_says_the_true_day(database: Database) -> None:
    """Nothing ran for four weeks: the account goes thirty days after the warning, as the mail and
    their page say."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=date(2026, 8, 31), told=False)
        customer(session, "ola", ended=date(2026, 8, 30), told=False)
    late = noon("2027-02-27")
    assert run(database, late) == {"warned": 2}
    assert {one["due_on"] for one in _letters(database)} == {"2027-03-29"}
    with database.reading() as session:
        found = retention.dates(session, who, at=late + timedelta(days=3))
        assert {one.until for one in found if one.rule == "customer"} == {date(2027, 3, 29)}
        assert retention.staying(session, at=noon("2027-03-28")) == {"warned": 2}
    assert run(database, noon("2027-03-28")) == {}
    assert run(database, noon("2027-03-29").replace(hour=0)) == {"customer": 2}


def _letters(database: Database) -> list[dict[str, Any]]:
    with database.reading() as session:
        rows = session.scalars(
            select(OutboxMessage)
            .where(OutboxMessage.kind == "mail.account_ending")
            .order_by(OutboxMessage.created_at)
        )
        return [outbox.opened(keyring(session), row.id, row.payload or b"") for row in rows]


def test_short_lived_rows_go_when_the_register_says(database: Database) -> None:
    """Messages a month after they were closed, links a week after they expired."""
    with database.transaction() as session:
        account = opened(session)
        accounts.confirm_address(session, account.subject_id, at=NOON)
        hour = timedelta(hours=1)
        signed_links.issue(
            session, LinkKind.RESET, account.subject_id, stamp=1, lifetime=hour, at=NOON - hour
        )
        message = outbox.post(session, "mail.reset", {"to": OLA.email}, at=NOON)
        session.flush()
        row = session.get_one(OutboxMessage, message)
        row.state, row.closed_at = "dead", NOON
    week, month = NOON + timedelta(days=7), NOON + timedelta(days=30)
    second = timedelta(seconds=1)
    assert run(database, week - second) == {}
    assert run(database, week) == {"links": 1}
    assert run(database, month - second) == {}
    assert run(database, month) == {"messages": 1}
    with database.reading() as session:
        assert session.scalars(select(SignedLink.id)).all() == []


@pytest.mark.requirement(51)
def test_cases_lose_their_words_first_then_who_wrote_then_themselves(database: Database) -> None:
    """Six months after the last was closed the words and the writer go; three years after it the
    facts without a person."""
    with database.transaction() as session:
        who = correspondents.open_or_find(session, "spor@kunde.example", "nb", at=NOON)
        case = requests.receive(session, who, RequestKind.ENQUIRY, channel="form", at=NOON)
        cases.write(session, case, "person", "Hva vet dere om meg?", at=NOON)
        case.state, case.closed_at = "fulfilled", NOON
        other = correspondents.open_or_find(session, "apen@kunde.example", "nb", at=NOON)
        left = requests.receive(session, other, RequestKind.ENQUIRY, channel="form", at=NOON)
        cases.write(session, left, "person", "Og om meg?", at=NOON)
    run(database, noon("2027-05-21"))
    with database.reading() as session:
        assert len(session.scalars(select(RequestText.id)).all()) == 2
    gone = run(database, noon("2027-05-22"))
    assert gone["correspondents"] == 1
    with database.reading() as session:
        assert [one.subject_id for one in session.scalars(select(RequestText))] == [other]
        assert correspondents.find(session, "spor@kunde.example") is None
        assert session.get_one(DataSubjectRequest, case.id).subject_id is None
    run(database, noon("2029-11-21"))
    with database.reading() as session:
        assert session.get(DataSubjectRequest, case.id)
    assert run(database, noon("2029-11-22"))["cases"] == 1
    with database.reading() as session:
        assert session.get(DataSubjectRequest, case.id) is None
        assert session.get(DataSubjectRequest, left.id)


def test_a_case_that_is_held_keeps_its_words(database: Database) -> None:
    """A hold on that holding, and no other; a restriction too."""
    with database.transaction() as session:
        for name in ("held", "other", "restricted"):
            who = customer(session, name, ended=None)
            case = requests.receive(session, who, RequestKind.ENQUIRY, channel="form", at=NOON)
            cases.write(session, case, "person", name, at=NOON)
            case.state, case.closed_at = "fulfilled", NOON
            if name == "restricted":
                subjects.restrict(session, who, at=NOON)
            else:
                hold(session, who, cases.HOLDINGS[0].name if name == "held" else "account")
    assert run(database, noon("2027-06-01"))["case_texts"] == 1


def test_every_run_leaves_one_entry_with_every_rule(
    database: Database, register: PurposeRegister
) -> None:
    """Also where nothing was due: the log must not tell by its size that something was."""
    run(database, NOON)
    (entry,) = said(database)
    rules = {rule.id for rule in register.retention.values() if rule.limited}
    assert entry.data["counts"] == dict.fromkeys(rules, 0)


def test_two_runs_at_once_do_one_run(database: Database) -> None:
    """Each does a part, nobody is erased twice, and one of them finishes it."""
    with database.transaction() as session:
        for number in range(6):
            customer(session, f"due{number}", ended=date(2026, 1, 2))
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: run(database, NOON), range(2)))
    assert sum(one["customer"] for one in done) == 6
    # The slower one may have begun when the other was done.
    counted = [one.data["counts"]["customer"] for one in said(database)]
    assert sum(counted) == 6
    assert len(said(database, "erasure.executed")) == 6


def test_a_run_is_wanted_once_a_norwegian_day(database: Database) -> None:
    """And whenever one was left."""
    evening = datetime(2026, 11, 22, 22, 30, tzinfo=UTC)
    with database.transaction() as session:
        assert retention.wanted(session, at=evening)
        retention.begin(session, at=evening)
        assert retention.wanted(session, at=evening)
    run(database, evening)
    with database.reading() as session:
        assert not retention.wanted(session, at=evening + timedelta(minutes=29))
        assert retention.wanted(session, at=evening + timedelta(minutes=30))


def test_the_dates_of_a_person(database: Database) -> None:
    """Each holding with something in it, and when the last of it goes: with the person, before,
    or no day yet."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=None)
        dates = _dates(session, who)
        assert dates["account"] == ("person", None)
        assert dates["entries"] == ("person", None)
        assert "links" not in dates
        signed_links.issue(
            session, LinkKind.RESET, who, stamp=1, lifetime=timedelta(hours=1), at=NOON
        )
        subscriptions.end(session, who, on=date(2026, 8, 31), at=NOON)
        dates = _dates(session, who)
        assert dates["links"] == ("links", date(2026, 11, 29))
        for name in ("account", "entries", "subscriptions"):
            assert dates[name] == ("customer", date(2027, 2, 28)), name
        subjects.restrict(session, who, at=NOON)
        assert _dates(session, who)["account"] == ("person", None)
        stranger = opened(session, OLA).subject_id
        assert _dates(session, stranger)["entries"] == ("unconfirmed", date(2026, 11, 29))


def _dates(session: Session, who: object) -> dict[str, tuple[str, date | None]]:
    found = retention.dates(session, who, at=NOON)  # type: ignore[arg-type]
    return {one.holding: (one.rule, one.until) for one in found}


def _with(register: PurposeRegister, *rules: RetentionRule) -> PurposeRegister:
    return replace(register, retention={**register.retention, **{one.id: one for one in rules}})


def test_a_register_that_does_not_add_up_stops_the_start(register: PurposeRegister) -> None:
    """It says which rule or holding: an unknown word, a rule that nothing is kept by, one that no
    purpose of the holding names, and one that nothing of the holding ends by."""
    retention.check(register)
    account = next(one for one in INVENTORY if one.name == "account")
    links = next(one for one in INVENTORY if one.name == "links")
    wrong = [
        (_with(register, RetentionRule("links", "full_moon", days=1)), INVENTORY, "full_moon"),
        (_with(register, RetentionRule("more", "attempt", days=1)), INVENTORY, "more: nothing"),
        (_with(register, RetentionRule("attempts", "attempt", days=0)), INVENTORY, "attempts"),
        (_with(register, RetentionRule("person", "erasure", days=1)), INVENTORY, "person"),
        (
            _with(register, RetentionRule("unconfirmed", "account_opened", months=1)),
            INVENTORY,
            "unconfirmed: this one takes days",
        ),
        (register, (*INVENTORY, replace(account, retention=("cases",))), "account: no purpose"),
        (register, (*INVENTORY, replace(account, retention=())), "account: no retention"),
        (
            register,
            (*INVENTORY, replace(links, columns={"account": ()})),
            "links: nothing of it ends",
        ),
    ]
    for changed, inventory, words in wrong:
        with pytest.raises(ContentError, match=words):
            retention.check(changed, inventory)


def test_one_subscription_row_of_many_decides(session: Session) -> None:
    """Two that ended: the later one counts."""
    who = customer(session, "kari", ended=date(2026, 2, 1))
    session.add(
        Subscription(
            id=uuid4(),
            subject_id=who,
            started_on=date(2026, 3, 1),
            ended_on=date(2026, 8, 31),
            warned_at=NOON,
        )
    )
    session.flush()
    assert retention.waiting(session, at=noon("2027-02-27"))["customer"] == 0
    assert retention.waiting(session, at=noon("2027-02-28"))["customer"] == 1
