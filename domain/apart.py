"""Many people one after the other: what fails for one of them does not stop the others.

Each has a savepoint. A failure is undone and logged by its class, with nothing of the person in it,
and whoever is next has their turn. What fails for everybody alike (the database or the key service
is away) is no matter of one person, and raises.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Select
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from domain.keys import KeyServiceError

_EVERYBODYS = (OperationalError, InterfaceError, KeyServiceError)

log = structlog.get_logger()


def apart(session: Session, doing: str, work: Callable[[], bool]) -> bool:
    """Do something about one person; what `work` returned, or False where it failed."""
    try:
        with session.begin_nested():
            return work()
    except _EVERYBODYS:
        raise
    except Exception as error:
        log.error("person_passed_over", doing=doing, error=type(error).__name__)
        return False


def each(
    session: Session,
    due: Select[*tuple[Any, ...]],
    work: Callable[..., bool],
    *,
    doing: str,
    limit: int,
) -> int:
    """Do something with the rows of `due`, until that many are done; how many were. `work` says of
    each whether it did it, and such a row is not due any more. The query says in which order."""
    done = passed = 0
    while done < limit:
        rows = session.execute(due.offset(passed).limit(limit - done)).all()
        if not rows:
            break
        for row in rows:
            if apart(session, doing, partial(work, *row)):
                done += 1
            else:
                passed += 1
    return done
