"""People whose time runs out, for the tests of retention."""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime
from uuid import UUID, uuid4

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from database import Database, table_of
from domain.dates import OSLO
from domain.identity import accounts, subscriptions
from domain.identity.accounts import Person
from domain.identity.models import Subscription
from domain.ledger.entry import Entry, decode
from domain.ledger.models import LedgerEntry
from domain.rights import retention
from domain.rights.models import LegalHold
from tests.support import NOON


def customer(
    session: Session,
    name: str,
    *,
    ended: date | None,
    began: date = date(2026, 1, 1),
    at: datetime = NOON,
    told: bool = True,
) -> UUID:
    """A confirmed account with a subscription that ended that day, or runs; and who was `told`
    long ago that the account goes."""
    person = Person(name=name.capitalize(), email=f"{name}@kunde.example")
    details = {"locale": "nb", "terms": "2026-11-01", "declared_age": 15}
    account = accounts.register(session, person, "none", at=at, **details)  # type: ignore[arg-type]
    accounts.confirm_address(session, account.subject_id, at=at)
    subscriptions.start(session, account.subject_id, on=began, at=at)
    if ended is not None:
        subscriptions.end(session, account.subject_id, on=ended, at=at)
    if ended is not None and told:
        mine = update(Subscription).where(Subscription.subject_id == account.subject_id)
        session.execute(mine.values(warned_at=datetime(2026, 1, 2, tzinfo=OSLO)))
    return account.subject_id


def hold(session: Session, subject_id: UUID, holdings: str = "account") -> None:
    """A legal hold on these holdings."""
    values = {"id": uuid4(), "subject_id": subject_id, "ground": "legal_claim", "reason": b"sealed"}
    session.execute(
        insert(table_of(LegalHold)),
        {**values, "holdings": holdings, "placed_at": NOON, "review_on": date(2030, 1, 1)},
    )


def noon(day: str) -> datetime:
    """Noon of a day in Norway."""
    return datetime.fromisoformat(f"{day}T12:00").replace(tzinfo=OSLO)


def run(database: Database, at: datetime) -> Counter[str]:
    """A whole run; what went by each rule, and how many were warned."""
    with database.transaction() as session:
        run_id = retention.begin(session, at=at)
    done: Counter[str] = Counter()
    while (step := retention.step(database, run_id, at=at)) is not None:
        done[step.rule] += step.gone
        done[retention.WARNED] += step.warned
    return +done


def here(database: Database, *names: str) -> set[str]:
    """Who of these has an account."""
    with database.reading() as session:
        return {one for one in names if accounts.find(session, f"{one}@kunde.example")}


def said(database: Database, kind: str = "retention.executed") -> list[Entry]:
    """The ledger's entries of a kind, the oldest first."""
    with database.reading() as session:
        found = [decode(content) for content in session.scalars(select(LedgerEntry.bytes))]
    return sorted((one for one in found if one.type == kind), key=lambda entry: entry.at)
