"""What a run of retention leaves of a person whom a hold concerns, and whom it tells; and that it
takes copies and the books."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from database import Database
from domain.accounting import records
from domain.accounting.invoices import Invoice
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import limits, subscriptions
from domain.identity.limits import LimitKind
from domain.identity.models import Subscription
from domain.keys import Keyring, keyring
from domain.rights import archives, cases, enclosures, held, holds, requests, retention
from domain.rights.models import ExportArchive, ExportPart, LegalHold, RequestText
from domain.rights.requests import RequestKind
from domain.subjects.models import Subject
from tests.domain.identity_people import OLA, opened
from tests.domain.lapsing import customer, here, noon, run, said
from tests.support import NOON


@pytest.mark.requirement(51, 60, 75)
def test_a_hold_on_one_holding_keeps_that_and_not_the_account(database: Database) -> None:
    """The account goes at its six months, once, and what is held when the hold ends: the person is
    warned and told of both, and nobody finds them meanwhile."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=date(2026, 8, 31), told=False)
        case = requests.receive(session, who, RequestKind.ENQUIRY, channel="form", at=NOON)
        cases.write(session, case, "person", "Et krav", at=NOON)
        case.state, case.closed_at = "fulfilled", NOON
        placed = holds.place(
            session, who, "legal_claim", "Sak", ["case_texts"], date(2027, 5, 1), at=NOON
        )
        kept = retention.dates(session, who, at=NOON)
        dates = {one.holding: (one.rule, one.until) for one in kept}
        assert dates["account"] == ("customer", date(2027, 2, 28))
        assert dates["case_texts"][1] is None
        assert dates["entries"] == ("person", None)
    assert run(database, noon("2027-01-29")) == {"warned": 1}
    (warning,) = _letters(database, "mail.account_ending")
    assert run(database, noon("2027-02-28"))["customer"] == 1
    assert here(database, "kari") == set()
    assert run(database, noon("2027-03-01"))["customer"] == 0
    (last,) = _letters(database, "mail.account_ended")
    for letter in (warning, last):
        told = {one["holding"]: one["until"] for one in letter["kept"]}
        assert told == dict.fromkeys(("case_texts", *held.ALONG), "2027-05-01")
    with database.reading() as session:
        assert len(session.scalars(select(RequestText)).all()) == 1
        assert session.scalars(select(Subscription)).all() == []
    with database.transaction() as session:
        assert holds.end_due(session, at=noon("2027-05-01")) == 1
        assert session.get(LegalHold, placed.id) is None
        assert session.scalars(select(RequestText)).all() == []
        assert session.get(Subject, who) is None
    causes = [one.data["cause"] for one in said(database, "erasure.executed")]
    assert causes == ["retention", "hold_ended"]


@pytest.mark.requirement(51)
def test_whose_account_goes_is_told_in_the_same_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the entry that proves it, and once. Where the erasure is undone, so is the mail; and
    nobody writes to who never confirmed the address."""
    with database.transaction() as session:
        customer(session, "kari", ended=date(2026, 5, 1))
        late = opened(session, OLA).subject_id
        subscriptions.start(session, late, on=date(2026, 1, 1), at=NOON)
        subscriptions.end(session, late, on=date(2026, 5, 1), at=NOON)
    assert run(database, NOON - timedelta(days=31))["warned"] == 1
    with monkeypatch.context() as broken:
        broken.setattr(outbox, "post", _fails)
        assert run(database, NOON)["customer"] == 1
    assert here(database, "kari") == {"kari"}
    assert _letters(database, "mail.account_ended") == []
    assert run(database, NOON)["customer"] == 1
    (letter,) = _letters(database, "mail.account_ended")
    assert (letter["to"], letter["name"]) == ("kari@kunde.example", None)
    assert (letter["ended_on"], letter["due_on"]) == ("2026-05-01", "2026-11-22")
    assert (letter["kept"], letter["accounting"]) == ([], None)
    with database.reading() as session:
        (entry,) = enclosures.recorded(session, letter, "nb")
    assert entry.type == "erasure.executed"


def _fails(*_: object, **__: object) -> None:
    raise OSError("full")


@pytest.mark.requirement(51)
def test_copies_go_in_a_run_when_a_day_has_passed(database: Database) -> None:
    """Made, and never fetched: with its parts, and counted. Tries go the same way."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=None)
        case = requests.receive(session, who, RequestKind.ACCESS, channel="account", at=NOON)
        copy = archives.new(session, case.id, who, "nb", at=NOON)
        copy.state, copy.expires_at = "ready", NOON + timedelta(days=1)
        session.add(ExportPart(archive_id=copy.id, number=0, sealed=b"sealed"))
        limits.spend(session, LimitKind.MAIL, address="kari@kunde.example", ip="::1", at=NOON)
    day = NOON + timedelta(days=1)
    assert run(database, day - timedelta(seconds=1)) == {}
    gone = run(database, day)
    assert gone["exports"] == 1
    assert gone["attempts"] >= 1
    assert said(database)[-1].data["counts"]["exports"] == 1
    with database.reading() as session:
        assert session.scalars(select(ExportArchive.id)).all() == []
        assert session.scalars(select(ExportPart.number)).all() == []


@pytest.mark.requirement(51, 59)
def test_the_books_go_in_a_run_when_their_fifth_year_is_over(
    database: Database, accounting: Database, keys: Keyring
) -> None:
    """On 1 January, and the run counts them; the person may long be gone."""
    with database.transaction() as session:
        who = customer(session, "kari", ended=None)
    bought = Invoice("1", date(2026, 3, 9), "NOK", 93_000, 18_600, "Abonnement", "Kari", "")
    with accounting.transaction() as session:
        records.add(session, who, bought, at=NOON)
        records.add(session, who, replace(bought, number="2", day=date(2027, 3, 9)), at=NOON)
    database.info["accounting"] = accounting
    assert run(database, noon("2031-12-31"))["accounting"] == 0
    assert run(database, noon("2032-01-01"))["accounting"] == 1
    assert said(database)[-1].data["counts"]["accounting"] == 1
    assert [one["invoice_number"] for one in records.of(accounting, keys, who)] == ["2"]


def _letters(database: Database, kind: str) -> list[dict[str, Any]]:
    with database.reading() as session:
        rows = session.scalars(
            select(OutboxMessage)
            .where(OutboxMessage.kind == kind)
            .order_by(OutboxMessage.created_at)
        )
        return [outbox.opened(keyring(session), row.id, row.payload or b"") for row in rows]
