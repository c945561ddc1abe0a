"""Everyone for whom a purpose is permitted now, one after the other.

The question of `permitted` asked for all at once, by the database. Who acts on the answer later
than at once still asks `permitted` at the moment of doing.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID, SafeUUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from domain.consent.models import CurrentDecision
from domain.consent.purposes import Purpose, PurposeRegister, purposes
from domain.subjects.models import Subject

_AT_ONCE = 5000
_numbers = count(1)


def audience(session: Session, purpose_id: str, *, at: datetime) -> Iterator[UUID]:
    """The subjects for whom `permitted` says yes at this moment, in no order.

    They are fetched as they are asked for, so memory does not grow with their number; the
    session stays open until then. Raises KeyError for a purpose that is not in the register.
    """
    register = purposes(session, at)
    statement = query(register, register.purposes[purpose_id], at)
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        return _from_postgresql(session, statement)
    return _from_sqlite(session, statement)


def query(register: PurposeRegister, purpose: Purpose, at: datetime) -> Select[Any]:
    """`permitted`, the other way round: the rows of which it says yes."""
    free = (Subject.restricted_at.is_(None), Subject.erasing_at.is_(None))
    if not purpose.optional:
        return select(Subject.id).where(*free) if purpose.restrictable else select(Subject.id)
    permitting = select(CurrentDecision.subject_id).where(
        CurrentDecision.purpose_id == purpose.id,
        # As in the partial index of the table, which a database uses only where it sees this.
        CurrentDecision.permitting(),
        CurrentDecision.purpose_version == purpose.version,
        CurrentDecision.expires_at > at,
    )
    asked: list[ColumnElement[bool]] = list(free)
    if purpose.age_limited:
        asked.append(func.coalesce(Subject.declared_age, 0) >= register.marketing_age)
    if purpose.confirmed_address:
        asked.append(Subject.confirmed_at.is_not(None))
    return permitting.join(Subject, Subject.id == CurrentDecision.subject_id).where(*asked)


def _from_postgresql(session: Session, statement: Select[Any]) -> Iterator[UUID]:
    """Through a cursor on the server: the driver would fetch all rows before it gave the first."""
    connection = session.connection()
    compiled = statement.compile(dialect=connection.dialect)
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - it is connected
    # A cursor is planned for its first tenth, which here would be a lookup for each person.
    driver.execute("SET LOCAL cursor_tuple_fraction = 1")
    with driver.cursor(name=f"audience_{next(_numbers)}") as cursor:
        cursor.execute(str(compiled), compiled.construct_params(), binary=True)
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from [subject_id for (subject_id,) in rows]


def _from_sqlite(session: Session, statement: Select[Any]) -> Iterator[UUID]:
    """Through the driver's own cursor: a row object for each person takes longer than the rest."""
    with session.connection().execute(statement) as result:
        cursor = result.cursor
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from [_uuid(digits) for (digits,) in rows]


# As psycopg does it in C: what __init__ checks costs more than reading the row.
_set_int, _set_safety = UUID.__dict__["int"].__set__, UUID.__dict__["is_safe"].__set__


def _uuid(digits: str) -> UUID:
    made: UUID = object.__new__(UUID)
    _set_int(made, int(digits, 16))
    _set_safety(made, SafeUUID.unknown)
    return made
