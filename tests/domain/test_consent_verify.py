"""Consent's part of `flask ledger verify`: each invariant finds what the owner could change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from database import Database
from domain.consent import decisions, verify
from domain.ledger.invariants import Violation, first_violation
from tests.domain.consenting import decide, publish, somebody


@pytest.fixture
def decided(database: Database) -> Mapping[str, Any]:
    """Notices published, one decision made; the entry and the presentation of the yes."""
    with database.transaction() as session:
        publish(session)
        who = somebody(session)
        decide(session, who, marketing=True)
        yes = decisions.history(session, who)[0]
    return {"entry": yes.entry_id, "presentation": yes.presentation}


@contextmanager
def unguarded(owner: Database) -> Iterator[Session]:
    """The owner takes the guards away, does harm, and puts them back as if nothing had been."""
    sqlite = owner.engine.dialect.name == "sqlite"
    with owner.transaction() as session:
        if sqlite:
            named = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            guards = list(session.execute(text(named)))
            for name, _ in guards:
                session.execute(text(f"DROP TRIGGER {name}"))
        else:
            for table in ("presentation", "notice_version"):
                session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        yield session
        if sqlite:
            for _, made in guards:
                session.connection().exec_driver_sql(made)
        else:
            for table in ("presentation", "notice_version"):
                names = "SELECT tgname FROM pg_trigger WHERE tgrelid = :t ::regclass"
                for (name,) in session.execute(
                    text(f"{names} AND NOT tgisinternal"), {"t": table}
                ).all():
                    session.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"))


def found(database: Database) -> Violation | None:
    """What all the checks of the command find first."""
    with database.reading() as session:
        return first_violation(session, CHECKS)


def test_what_is_sound_has_no_violation(database: Database, decided: Mapping[str, Any]) -> None:
    """After publishing and deciding, every invariant holds."""
    assert found(database) is None


HARM: list[tuple[str, int, str]] = [
    (
        "UPDATE current_decision SET state = 'renewed' WHERE purpose_id = 'marketing'",
        10,
        "entry {entry} (marketing)",
    ),
    ("UPDATE presentation SET bytes = :bytes", 11, "presentation {presentation}"),
    ("DELETE FROM presentation", 12, "presentation {presentation}"),
    (
        "UPDATE notice_version SET content = :bytes WHERE kind = 'terms' AND locale = 'nn'",
        13,
        "terms notice of 2026-11-22 (nn)",
    ),
    (
        "DELETE FROM notice_version WHERE kind = 'privacy' AND effective_on = '2018-05-07'",
        13,
        "the privacy notice of 2018-05-07 (nb) is gone",
    ),
    (
        "UPDATE notice_version SET effective_on = '2018-05-08' WHERE effective_on = '2018-05-07'",
        13,
        "privacy notice of 2018-05-08 (nb)",
    ),
    (
        "UPDATE notice_version SET content = :bytes, hash = :hash "
        "WHERE kind = 'terms' AND locale = 'en'",
        13,
        "terms notice of 2026-11-22 (en): the ledger has another hash",
    ),
]
BYTES = {"bytes": b"{}", "hash": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}


@pytest.mark.requirement(6, 45)
@pytest.mark.parametrize(("statement", "number", "where"), HARM)
def test_harm_done_by_the_owner_is_found(
    database: Database,
    owner: Database,
    decided: Mapping[str, Any],
    statement: str,
    number: int,
    where: str,
) -> None:
    """With the guards back in place, the first violation is the invariant that was broken."""
    with unguarded(owner) as session:
        given = {name: value for name, value in BYTES.items() if f":{name}" in statement}
        session.execute(text(statement), given)
    violation = found(database)
    assert violation
    assert violation.check.number == number
    assert where.format(**decided) in str(violation)


def test_every_check_of_consent_is_held_here() -> None:
    """A new invariant comes with the harm that it finds."""
    held = {one.number for check in verify.CHECKS for one in check.invariants}
    # Those two are of subjects, and held in test_subjects.py and tests/attack.
    assert held == {9, 16, *(number for _, number, _ in HARM)}
