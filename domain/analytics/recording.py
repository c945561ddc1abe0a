"""An event, recorded if whoever did it may be counted now.

Whether they may is looked at without a lock. What is written then hangs on the key's row, which it
holds until it is committed: who ends a yes deletes that row first (usage.py), so an event is either
written before, and goes with the rest, or finds no key. Restricting somebody (GDPR art. 18) leaves
their key, and is looked at in the same statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Date, LargeBinary, TextClause, Uuid, bindparam, select, text
from sqlalchemy.types import TypeEngine

from database import Database, table_of
from domain.analytics import pseudonyms, usage
from domain.analytics.models import UsageKey, UsageMonth
from domain.analytics.usage import PURPOSE, Kind
from domain.consent.permission import permitted
from domain.dates import local_day
from domain.subjects.errors import UnknownSubject

# An answer that was changed: the newest of the week counts.
_OPPOSITE = {Kind.USEFUL: Kind.NOT_USEFUL, Kind.NOT_USEFUL: Kind.USEFUL}

_KEY, _MONTH = table_of(UsageKey), table_of(UsageMonth)
_FOUND = select(
    _KEY.c.id,
    _KEY.c.key,
    _KEY.c.despite_signal,
    _KEY.c.expires_at,
    _MONTH.c.id.label("month"),
    _MONTH.c.key.label("month_key"),
).select_from(_KEY.outerjoin(_MONTH, _MONTH.c.month == bindparam("month")))
_OF_MEMBER = _FOUND.where(_KEY.c.subject_id == bindparam("whose"))
_OF_BROWSER = _FOUND.where(_KEY.c.browser == bindparam("whose"))


def record(
    database: Database,
    item: str,
    kind: Kind,
    locale: str,
    *,
    subject_id: UUID | None = None,
    browser: str | None = None,
    signal: bool,
    at: datetime,
) -> bool:
    """Count what a member, or the browser with this token, did; False where they are not counted.

    `signal` is whether their browser asks not to be. The second time on a day changes nothing.
    Whether a browser's yes is to the words of today, its own cookie says (consent/visitors.py).
    """
    if subject_id is not None and not permitted(database, subject_id, PURPOSE, at=at):
        return False
    day = local_day(at)
    found = _find(database, subject_id, browser, pseudonyms.month_of(day))
    if found is None and subject_id is not None and not signal:
        _begin(database, subject_id, at=at)
        found = _find(database, subject_id, browser, pseudonyms.month_of(day))
    if found is None or (signal and not found.despite_signal):
        return False
    if found.expires_at is not None and found.expires_at <= at:
        return False
    month_key = pseudonyms.opened(database.info["keyring"], found.month, found.month_key)
    who = pseudonyms.pseudonym(bytes(found.key), month_key)
    event = {"who": who, "item": item, "kind": kind.value, "day": day, "locale": locale}
    if kind in _OPPOSITE:
        event |= {"opposite": _OPPOSITE[kind].value, "monday": pseudonyms.monday(day)}
    return _write(database, {"key": found.id, **event})


def _find(database: Database, subject_id: UUID | None, browser: str | None, month: str) -> Any:
    """The key of whoever it is, and that of the month, which is made where there is none."""
    statement = _OF_BROWSER if subject_id is None else _OF_MEMBER
    whose = usage.browser_hash(browser or "") if subject_id is None else subject_id
    found = database.first(statement, {"whose": whose, "month": month})
    if found is None or found.month is not None:
        return found
    with database.transaction() as session:
        pseudonyms.make_month(session, month)
    return database.first(statement, {"whose": whose, "month": month})


def _begin(database: Database, subject_id: UUID, *, at: datetime) -> None:
    """Make the key of a member whose yes came before anything was counted, if it still stands."""
    with database.transaction() as session:
        with suppress(UnknownSubject):
            usage.begin(session, subject_id=subject_id, despite_signal=False, at=at)


def _write(database: Database, event: dict[str, Any]) -> bool:
    """Write it if the key is still there; an opposite answer of the week goes."""
    answers = "opposite" in event
    with database.at_once() as connection:
        if connection.dialect.name == "postgresql":
            return bool(connection.execute(_in_one(answers), event).scalar())
        held, *writing = _in_steps(answers)
        if not connection.execute(held, event).all():
            return False
        for statement in writing:
            connection.execute(statement, event)
        return True


# The key, while nobody took it away or restricted whose it is.
_HELD = """SELECT usage_key.id FROM usage_key LEFT JOIN subject ON subject.id = usage_key.subject_id
    WHERE usage_key.id = :key AND subject.restricted_at IS NULL AND subject.erasing_at IS NULL"""
_GONE = """DELETE FROM usage_event WHERE pseudonym = :who AND item = :item AND kind = :opposite
    AND day >= :monday"""
_NEW = "INSERT INTO usage_event (pseudonym, item, kind, day, locale)"
_ROW = ":who, :item, :kind, :day, :locale"


_TYPES: Mapping[str, TypeEngine[Any]] = {
    "key": Uuid(),
    "who": LargeBinary(),
    "day": Date(),
    "monday": Date(),
}


@cache
def _in_one(answers: bool) -> TextClause:
    """Everything in one statement, which waits for who is deleting the key, and finds none then."""
    # Made of the words above, and of nobody's input.
    gone = f", gone AS ({_GONE} AND EXISTS (SELECT 1 FROM held))" if answers else ""  # noqa: S608
    return _bound(
        f"""WITH held AS ({_HELD} FOR SHARE OF usage_key){gone},
        new AS ({_NEW} SELECT {_ROW} FROM held ON CONFLICT DO NOTHING)
        SELECT count(*) FROM held"""  # noqa: S608
    )


@cache
def _in_steps(answers: bool) -> tuple[TextClause, ...]:
    """The same for SQLite, where nobody else writes meanwhile."""
    new = f"{_NEW} VALUES ({_ROW}) ON CONFLICT DO NOTHING"
    return tuple(_bound(one) for one in (_HELD, *([_GONE] if answers else []), new))


def _bound(statement: str) -> TextClause:
    return text(statement).bindparams(
        *(bindparam(name, type_=type) for name, type in _TYPES.items() if f":{name}" in statement)
    )
