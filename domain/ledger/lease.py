"""Whose turn it is to sequence, and until when.

The lease only spares work: a sequencer that thinks it has it, and has not, is stopped by the
fence (LedgerState.previous_size). So a clock that is wrong costs time and never the log.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.ledger.models import LedgerLease

# Longer than the slowest round; a killed sequencer's work waits for as long.
LENGTH = timedelta(seconds=10)
_NAME = "sequencer"


def free(session: Session, holder: str, *, at: datetime) -> bool:
    """Whether `holder` may take the lease. Locks nothing and writes nothing."""
    row = session.execute(
        select(LedgerLease.holder, LedgerLease.until).where(LedgerLease.name == _NAME)
    ).first()
    return row is None or row.holder == holder or _over(row.until, at)


def take(session: Session, holder: str, *, at: datetime) -> bool:
    """Take the lease, or keep it for longer; return False where it is somebody else's."""
    if not free(session, holder, at=at):
        return False
    mine = {"holder": holder, "until": at + LENGTH}
    taken = session.execute(
        update(LedgerLease)
        .where(
            LedgerLease.name == _NAME,
            # Asked again by the statement itself: another may have taken it since.
            (LedgerLease.holder == holder)
            | (LedgerLease.until <= at)
            | (LedgerLease.until > at + 2 * LENGTH),
        )
        .values(mine)
        .returning(LedgerLease.name)
    )
    return taken.first() is not None or _begin(session, mine)


def give_back(session: Session, holder: str) -> None:
    """End the lease, if it is ours: whoever comes next need not wait for it to run out."""
    session.execute(
        delete(LedgerLease).where(LedgerLease.name == _NAME, LedgerLease.holder == holder)
    )


def _begin(session: Session, mine: dict[str, object]) -> bool:
    """The first lease ever, or the first since one was given back. Of two, one gets it."""
    try:
        with session.begin_nested():
            session.execute(insert(LedgerLease).values(name=_NAME, **mine))
    except IntegrityError:
        return False
    return True


def _over(until: datetime, at: datetime) -> bool:
    """A lease that ends much later than any that is taken now was taken by a clock that has been
    set back since, and would last until that clock's time: it counts as ended. Twice the length,
    so that clocks which only differ a little take nothing from each other."""
    return until <= at or until > at + 2 * LENGTH
