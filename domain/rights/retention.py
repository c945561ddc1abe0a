"""Retention: what the rules of content/purposes.toml end goes by itself, once a day.

A run goes through the rules in small transactions: at most fifty people or five hundred rows in
each, and others write in between. How much went is counted in the run's row by each of these
transactions, so a run that was killed is gone on with, by whoever comes next, and nothing is
counted twice; of several at once each does a part.

The end of a run appends one `retention.executed` with the number for each rule, and so also where
nothing was due: if only a run that found something left an entry, everybody would see in the log's
size that there had been something about somebody (docs/decisions/0014). Who is restricted or about
to be erased for another reason stays, and what a legal hold keeps; `staying` says of how many.

Bookkeeping is in another database or under another role, so it goes in a transaction of its own
just before it is counted: a kill between the two leaves the count too low, never too high.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.accounting import records
from domain.accounting.models import AccountingRecord
from domain.consent.errors import ContentError
from domain.consent.purposes import PurposeRegister, RetentionRule, purposes
from domain.dates import local_day
from domain.holding import Holding
from domain.identity import limits, subscriptions
from domain.ledger.append import append_anonymous
from domain.rights import due, elsewhere, settling, warning
from domain.rights.due import BOOKS, CUSTOMER, ERASURE, WORDS, People, Rows, Scope
from domain.rights.elsewhere import Elsewhere
from domain.rights.inventory import INVENTORY
from domain.rights.kept import Kept, dates
from domain.rights.models import RetentionRun

__all__ = ["Kept", "begin", "check", "dates", "purge", "staying", "step", "waiting", "wanted"]

# What the warned are counted under, beside the rules.
WARNED = "warned"
Work = People | Rows | Elsewhere
# At most so many in one transaction.
PEOPLE, ROWS = 50, 500
# Any number, the same for all: two runs that begin at once wait for each other here.
_BEGINNING = 0x72657461696E
# What the code itself asks for by name, and what it must count from.
_NEEDED = {subscriptions.RULE: CUSTOMER, settling.UNCONFIRMED: "account_opened"}


@dataclass(frozen=True)
class Step:
    """What one small transaction did: so many of this rule went, or so many were warned."""

    rule: str
    gone: int = 0
    warned: int = 0


def check(register: PurposeRegister, inventory: Sequence[Holding] = INVENTORY) -> None:
    """Raise ContentError unless each rule ends something and each holding ends by a rule."""
    rules = register.retention
    for rule in rules.values():
        if rule.after not in WORDS | elsewhere.WORDS:
            raise ContentError(f"retention {rule.id}: nothing is known that is {rule.after!r}")
        if rule.limited == (rule.after == ERASURE):
            raise ContentError(f"retention {rule.id}: days or months, but not after {ERASURE}")
    for name, after in _NEEDED.items():
        if name not in rules or rules[name].after != after:
            raise ContentError(f"retention {name}: the site needs a rule of this id, after {after}")
    if rules[settling.UNCONFIRMED].months:
        raise ContentError(f"retention {settling.UNCONFIRMED}: this one takes days")
    used = {name for holding in inventory for name in holding.retention}
    if unused := sorted(set(rules) - used):
        raise ContentError(f"retention {', '.join(unused)}: nothing is kept by this rule")
    for holding in inventory:
        _check_holding(register, holding)
    _check_attempts(rules.values())


def _check_holding(register: PurposeRegister, holding: Holding) -> None:
    if not holding.retention:
        raise ContentError(f"{holding.name}: no retention rule")
    named = {
        rule
        for purpose in holding.purposes
        if purpose in register.purposes
        for rule in register.purposes[purpose].rules
    }
    if unnamed := sorted(set(holding.retention) - named):
        raise ContentError(
            f"{holding.name}: no purpose that it is kept for names the retention rule"
            f" {', '.join(unnamed)}"
        )
    for name in holding.retention:
        after = register.retention[name].after
        tables = holding.tables
        works = due.people(after) or due.rows(after, tables) or elsewhere.rows(after, tables)
        if not works and after not in (ERASURE, BOOKS):
            raise ContentError(f"{holding.name}: nothing of it ends {after!r} (retention {name})")


def _check_attempts(rules: Any) -> None:
    """A limit counts what is there: it must not look back longer than tries are kept."""
    if short := [one.id for one in rules if one.after == "attempt" and one.span < limits.LONGEST]:
        raise ContentError(f"retention {', '.join(short)}: the limits look back {limits.LONGEST}")


def begin(session: Session, *, at: datetime) -> UUID:
    """The run that is not finished yet, or a new one; its id."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_BEGINNING)))
    if (left := _unfinished(session)) is not None:
        return left
    run = RetentionRun(id=uuid4(), begun_at=at, finished_at=None, counts="{}")
    session.add(run)
    session.flush()
    return run.id


def wanted(session: Session, *, at: datetime) -> bool:
    """Whether a run waits to be gone on with, or none has begun today (as it is in Norway)."""
    if _unfinished(session) is not None:
        return True
    last = session.scalar(select(func.max(RetentionRun.begun_at)))
    return last is None or local_day(last) < local_day(at)


def step(database: Database, run_id: UUID, *, at: datetime) -> Step | None:
    """Do one small part of a run; None when it is finished.

    What is due is looked for without holding anybody up, and asked again when it is locked.
    """
    register: PurposeRegister = database.info["purposes"]
    for rule, holding, work in works(register, INVENTORY):
        scope = Scope(rule, holding.name, at)
        if isinstance(work, People) and (told := _warn(database, run_id, scope)):
            return Step(rule.id, warned=told)
        if gone := _part(database, run_id, scope, work):
            return Step(rule.id, gone=gone)
    for rule in register.retention.values():
        if rule.after == BOOKS and (gone := _books(database, run_id, rule, at)):
            return Step(rule.id, gone=gone)
    _finish(database, run_id, at=at)
    return None


def works(
    register: PurposeRegister, inventory: Sequence[Holding]
) -> Iterator[tuple[RetentionRule, Holding, Work]]:
    """Everything that a run has to look for: people first, since their rows go with them."""
    ended: set[str] = set()
    rows: list[tuple[RetentionRule, Holding, Work]] = []
    for holding in inventory:
        for name in holding.retention:
            rule = register.retention[name]
            person = due.people(rule.after)
            if person is not None and name not in ended:
                ended.add(name)
                yield rule, holding, person
            for words in (due.rows, elsewhere.rows):
                rows += [(rule, holding, one) for one in words(rule.after, holding.tables)]
    yield from rows


def waiting(session: Session, *, at: datetime) -> dict[str, int]:
    """How much would go now, by rule, and how many would be warned; changes nothing."""
    found = {WARNED: 0}
    register = purposes(session)
    for rule, holding, work in works(register, INVENTORY):
        scope = Scope(rule, holding.name, at)
        rows = isinstance(work, Elsewhere)
        found[rule.id] = found.get(rule.id, 0) + _count(session, work.due(scope), rows=rows)
        if rule.warn_days and isinstance(work, People):
            found[WARNED] += _count(session, due.to_warn(scope))
    books: Database | None = session.info.get("accounting")
    for rule in register.retention.values():
        if rule.after == BOOKS and books is not None:
            with books.reading() as other:
                found[rule.id] = _books_due(other, at)
    return found


def staying(session: Session, *, at: datetime) -> dict[str, int]:
    """How many stay, whole or in part, whose time is over, by why."""
    found: dict[str, int] = {}
    for rule in purposes(session).retention.values():
        if rule.after == CUSTOMER:
            for why, ids in due.staying(Scope(rule, "account", at)).items():
                found[why] = found.get(why, 0) + _count(session, ids)
    return {why: number for why, number in found.items() if number}


def purge(database: Database, after: str, *, at: datetime) -> int:
    """Let a little go of what one word of the rules speaks of, outside a run; how much. Said so
    to be short-lived, it does not wait for the next day."""
    register: PurposeRegister = database.info["purposes"]
    gone = 0
    for rule, holding, work in works(register, INVENTORY):
        if rule.after == after:
            scope = Scope(rule, holding.name, at)
            with database.reading() as session:
                if session.scalar(work.due(scope).limit(1)) is None:
                    continue
            with database.transaction() as session:
                gone += work.go(session, scope, ROWS)
    return gone


def _part(database: Database, run_id: UUID, scope: Scope, work: Work) -> int:
    with database.reading() as session:
        if session.scalar(work.due(scope).limit(1)) is None:
            return 0
    with database.transaction() as session:
        run = _held(session, run_id)
        if run is None:
            return 0
        gone = work.go(session, scope, PEOPLE if isinstance(work, People) else ROWS)
        _counted(run, scope.rule.id, gone)
    return gone


def _warn(database: Database, run_id: UUID, scope: Scope) -> int:
    if not scope.rule.warn_days:
        return 0
    with database.reading() as session:
        if session.scalar(due.to_warn(scope).limit(1)) is None:
            return 0
    with database.transaction() as session:
        return warning.warn(session, scope, PEOPLE) if _held(session, run_id) else 0


def _books(database: Database, run_id: UUID, rule: RetentionRule, at: datetime) -> int:
    books: Database | None = database.info.get("accounting")
    if books is None:  # this process may not; the one that may has its own worker
        return 0
    with books.reading() as session:
        if not _books_due(session, at):
            return 0
    with books.transaction() as session:
        gone = records.purge(session, at=at, limit=ROWS)
    with database.transaction() as session:
        run = _held(session, run_id)
        if run is not None:
            _counted(run, rule.id, gone)
    return gone


def _books_due(session: Session, at: datetime) -> int:
    overdue = AccountingRecord.keep_until < local_day(at)
    return session.scalar(select(func.count()).select_from(AccountingRecord).where(overdue)) or 0


def _finish(database: Database, run_id: UUID, *, at: datetime) -> None:
    with database.transaction() as session:
        run = _held(session, run_id)
        if run is None:
            return
        register = purposes(session)
        counts = dict.fromkeys((rule.id for rule in register.retention.values() if rule.limited), 0)
        counts.update(json.loads(run.counts))
        append_anonymous(session, "retention.executed", {"counts": counts}, at=at)
        run.finished_at = at


def _held(session: Session, run_id: UUID) -> RetentionRun | None:
    """The run, held until the transaction ends; None if somebody else has finished it."""
    run = session.get(RetentionRun, run_id, with_for_update=True, populate_existing=True)
    return run if run is not None and run.finished_at is None else None


def _counted(run: RetentionRun, rule: str, gone: int) -> None:
    counts = json.loads(run.counts)
    if gone:
        run.counts = json.dumps({**counts, rule: counts.get(rule, 0) + gone})


def _unfinished(session: Session) -> UUID | None:
    return session.scalar(select(RetentionRun.id).where(RetentionRun.finished_at.is_(None)))


def _count(session: Session, ids: due.Ids, *, rows: bool = False) -> int:
    """How many different ones are found, or how many rows."""
    (column,) = ids.selected_columns
    counted = func.count(column) if rows else func.count(column.distinct())
    return session.scalar(ids.order_by(None).with_only_columns(counted)) or 0
