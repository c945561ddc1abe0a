"""What checking invariants is made of. The ledger's own stand in log_invariants.py.

Every check streams: its memory does not grow with the log.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Executable
from sqlalchemy.exc import DataError, NoResultFound, OperationalError
from sqlalchemy.orm import Session

from domain.ledger.errors import LedgerError

_BATCH = 1000
# What Python and the drivers say to values that are not what a column holds. SQLite's has the
# class of a database that is away; `_unreadable` tells them apart.
_REFUSED = (
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    DataError,
    NoResultFound,
    psycopg.DataError,
    OperationalError,
    sqlite3.OperationalError,
)

# Told how many more rows were checked.
Tell = Callable[[int], None]


def untold(rows: int) -> None:
    """For whoever does not want to know how far it has come."""


@dataclass(frozen=True)
class Invariant:
    """A number (docs/operations.md), and what it says."""

    number: int
    sentence: str

    def broken(self, where: str) -> Violation:
        """That it does not hold, and where."""
        return Violation(self, where)


@dataclass(frozen=True)
class Violation:
    """An invariant that does not hold, and the first place where it does not."""

    check: Invariant
    where: str

    def __str__(self) -> str:
        return f"invariant {self.check.number} does not hold ({self.check.sentence}): {self.where}"


@dataclass(frozen=True)
class Part:
    """Something that one process can check by itself: from `begin` to before `end`, in the
    check's own counting, and about how many rows that is."""

    begin: int = 0
    end: int = 0
    rows: int = 0
    # Why the parts could not even be cut, where that is so.
    refused: str | None = None


@dataclass(frozen=True)
class Check(Invariant):
    """An invariant with what finds where it is violated. `run` yields a name for each place: of
    an entry, its id."""

    run: Callable[[Session], Iterator[str]]

    @property
    def invariants(self) -> tuple[Invariant, ...]:
        """What is checked."""
        return (self,)

    def parts(self, session: Session) -> list[Part]:
        """It is checked in one go."""
        return [Part()]

    def first(self, session: Session, part: Part, tell: Tell = untold) -> Violation | None:
        """The first place where it does not hold."""
        try:
            where = next(self.run(session), None)
        except (LedgerError, *_REFUSED) as error:
            where = _unreadable(error)
        return None if where is None else self.broken(where)


@dataclass(frozen=True)
class Walk:
    """Several invariants that one reading of the same rows checks, maybe in several parts."""

    invariants: tuple[Invariant, ...]
    cut: Callable[[Session], list[Part]]
    run: Callable[[Session, Part, Tell], Iterator[Violation]]

    def parts(self, session: Session) -> list[Part]:
        """The parts it is checked in; one that says why, where what is stored cannot be cut."""
        try:
            return self.cut(session)
        except (LedgerError, *_REFUSED) as error:
            return [Part(refused=_unreadable(error))]

    def first(self, session: Session, part: Part, tell: Tell = untold) -> Violation | None:
        """The first violation in this part."""
        if part.refused is not None:
            return self.invariants[0].broken(part.refused)
        try:
            return next(self.run(session, part, tell), None)
        except (LedgerError, *_REFUSED) as error:
            return self.invariants[0].broken(_unreadable(error))


def first_violation(session: Session, checks: Iterable[Check | Walk]) -> Violation | None:
    """Run the checks in their order; stop at the first place where one fails.

    A later check may lean on an earlier one: none reads entries that were not checked.
    """
    for check in checks:
        for part in check.parts(session):
            violation = check.first(session, part)
            if violation is not None:
                return violation
    return None


def _unreadable(error: Exception) -> str:
    """A check says what it knows to be possible. Whoever owns the database can put anything into
    it: what a parser then refuses is a violation too, and no end of the checking. The text of
    an error that is not the ledger's may quote the row, so only its place is named."""
    if isinstance(error, OperationalError | sqlite3.OperationalError) and not _undecoded(error):
        raise error
    if isinstance(error, LedgerError):
        return f"what is stored cannot be read: {error}"
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        if "site-packages" not in code.co_filename:
            places.append(f"{Path(code.co_filename).stem}.{code.co_name}")
        trace = trace.tb_next
    return f"what is stored cannot be read ({type(error).__name__} in {places[-1]})"


def _undecoded(error: Exception) -> bool:
    return "Could not decode to UTF-8" in str(error)


def stream(session: Session, statement: Executable) -> Iterator[Any]:
    """Rows, a batch at a time. The cursor is closed when the reader stops early too."""
    with session.execute(statement, execution_options={"yield_per": _BATCH}) as rows:
        yield from rows
