"""Until when what we keep about one person stays: the dates on their page and in their copy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Base, Database
from domain.accounting import records
from domain.analytics import holdings as analytics
from domain.consent.purposes import RetentionRule, purposes
from domain.dates import local_day
from domain.holding import Holding
from domain.identity import accounts, limits, subscriptions
from domain.identity.models import Correspondent
from domain.keys import keyring
from domain.marketing import holdings as newsletters
from domain.rights import due, held, requests
from domain.rights.due import BOOKS, Rows
from domain.rights.elsewhere import CAMPAIGN_OVER, USED
from domain.rights.inventory import INVENTORY
from domain.subjects import service as subjects
from domain.subjects.models import Subject


@dataclass(frozen=True)
class Kept:
    """That something of a holding stays by a rule of the register, and until which day; None
    where no day is known yet: until the person is erased, or its time has not begun to run."""

    holding: str
    rule: str
    until: date | None


# The rule and the day.
_End = tuple[str, date]


def dates(session: Session, subject_id: UUID, *, at: datetime) -> list[Kept]:
    """What is kept about a person, a line for each holding with something in it, and until when
    the last of it stays. What ends with the person ends on the person's own day, if one is known,
    and what a legal hold names on none that is known here. Raises UnknownSubject."""
    subject = subjects.get(session, subject_id)
    restricted = subject.restricted_at is not None
    person = None if restricted else _person(session, subject, at)
    held_back = held.kept_back(session, subject_id)
    found = []
    for holding in INVENTORY:
        back = restricted or holding.name in held_back
        ends = None if back else person
        if (one := _of(session, subject_id, holding, ends, back=back)) is not None:
            found.append(one)
    return found


def _of(
    session: Session, subject_id: UUID, holding: Holding, person: _End | None, *, back: bool
) -> Kept | None:
    rules = [purposes(session).retention[name] for name in holding.retention]
    for rule in rules:
        if rule.after == BOOKS:
            return _books(session, subject_id, holding, rule)
        if rule.after == "attempt":
            return _attempts(session, subject_id, holding, rule)
    if not _present(session, subject_id, holding):
        return None
    ends = [person] if person else []
    name = rules[0].id if len(rules) == 1 else next(one.id for one in rules if not one.limited)
    for rule in rules:
        for rows in due.rows(rule.after, holding.tables):
            name = rule.id
            kept_back = back and rule.after == "case_closed"
            if not kept_back and (latest := _latest(session, subject_id, rows)):
                ends.append((rule.id, _day(rule, latest)))
        if (day := _elsewhere(session, subject_id, rule)) is not None:
            name = rule.id
            ends.append((rule.id, day))
    if not ends:
        return Kept(holding.name, name, None)
    rule_id, day = min(ends, key=lambda end: end[1])
    return Kept(holding.name, rule_id, day)


def _elsewhere(session: Session, subject_id: UUID, rule: RetentionRule) -> date | None:
    """The last day by a rule whose rows do not say themselves when its time began."""
    if rule.after == USED and (day := analytics.last_day(session, subject_id)):
        return rule.end(day)
    if rule.after == CAMPAIGN_OVER and (over := newsletters.ended_at(session, subject_id)):
        return _day(rule, over)
    return None


def _person(session: Session, subject: Subject, at: datetime) -> _End | None:
    """The day on which everything goes, because of how long ago something ended."""
    ends: list[_End] = []
    account = accounts.of_subject(session, subject.id)
    writer = session.get(Correspondent, subject.id)
    asked = requests.of_subject(session, subject.id)
    for rule in purposes(session).retention.values():
        if rule.after == due.CUSTOMER:
            if day := subscriptions.erase_on(session, subject.id, at=at):
                # Not while we owe an answer; a request has a time limit of its own.
                owed = [one.due_on for one in asked if due.asks(one)]
                ends.append((rule.id, max([day, *owed])))
        elif rule.after == "account_opened" and account and subject.confirmed_at is None:
            ends.append((rule.id, _day(rule, account.opened_at)))
        elif rule.after == "last_case_closed" and writer and not account:
            closed = [one.closed_at for one in asked]
            if None not in closed:
                latest = max([writer.opened_at, *(one for one in closed if one)])
                ends.append((rule.id, _day(rule, latest)))
    return min(ends, key=lambda end: end[1], default=None)


def _day(rule: RetentionRule, at: datetime) -> date:
    """The last day of what happened at that time; a copy says itself when it goes."""
    if rule.after == "export_made":
        return local_day(at)
    return rule.end(local_day(at)) if rule.months else local_day(rule.until(at))


def _latest(session: Session, subject_id: UUID, rows: Rows) -> datetime | None:
    """When the time of the last of a person's rows began; None where one's has not begun."""
    every, begun, latest = session.execute(
        select(func.count(), func.count(rows.begins), func.max(rows.begins))
        .select_from(rows.model)
        .where(rows.subject == subject_id)
    ).one()
    return latest if every == begun else None


def _attempts(
    session: Session, subject_id: UUID, holding: Holding, rule: RetentionRule
) -> Kept | None:
    account = accounts.of_subject(session, subject_id)
    if account is None:
        return None
    tries = limits.tries(session, accounts.person(session, account).email)
    return Kept(holding.name, rule.id, _day(rule, tries[-1].at)) if tries else None


def _books(
    session: Session, subject_id: UUID, holding: Holding, rule: RetentionRule
) -> Kept | None:
    """Bookkeeping outlasts the person. Nothing is known of it where this process may not look."""
    books: Database | None = session.info.get("accounting")
    until = records.kept_until(books, keyring(session), subject_id) if books else None
    return Kept(holding.name, rule.id, until) if until else None


def _present(session: Session, subject_id: UUID, holding: Holding) -> bool:
    """Whether something is kept; where no table says whose its rows are, it counts as kept."""
    columns = [
        Base.metadata.tables[table].c[name]
        for table in holding.tables
        for name in ("subject_id", "about")
        if name in holding.columns[table]
    ]
    return not columns or any(
        session.scalar(select(column).where(column == subject_id).limit(1)) for column in columns
    )
