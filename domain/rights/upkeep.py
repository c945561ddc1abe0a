"""What time does to what is kept: one small piece at a time, so that no mail waits behind it.

The worker asks for a piece between two deliveries. Each chore comes up when its time has come, is
gone on with piece by piece until nothing of it is left to do, and then rests; those before it in
the list have their turns in between. One that fails is logged by its class, and rests too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from database import Database
from domain.consent import purposes
from domain.identity import limits
from domain.marketing import campaigns
from domain.rights import (
    cases,
    erasure,
    holds,
    journal,
    notifying,
    recipients,
    renewals,
    retention,
    settling,
    telling,
    unverified,
    vault_rotation,
)

log = structlog.get_logger()

# One piece: how much was done; None when nothing is left for now.
Piece = Callable[[Database, datetime], int | None]
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)
# In one transaction: some milliseconds each, in which SQLite lets nobody else write.
_PEOPLE = 10


@dataclass(frozen=True)
class Chore:
    """Something that has to be done again and again, so long after it was done."""

    name: str
    piece: Piece
    every: timedelta


@dataclass
class _Rounds:
    """How far the chores of one database have come, in this process."""

    due: dict[str, datetime] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    unscrubbed: bool = False


_rounds: WeakKeyDictionary[Database, _Rounds] = WeakKeyDictionary()


def step(database: Database, *, at: datetime) -> bool:
    """Do one small piece of whatever is due; False when nothing is. It begins with the purposes
    of the day, which a worker outlives."""
    purposes.take_up(database.info, at=at)
    rounds = _rounds.setdefault(database, _Rounds())
    for chore in CHORES:
        due = rounds.due.get(chore.name)
        # A clock that was set back must not keep a chore from its turn.
        if due is None or not at < due <= at + chore.every:
            _do(database, chore, rounds, at)
            return True
    if rounds.unscrubbed:
        rounds.unscrubbed = False
        database.scrub()
        return True
    return False


def everything(database: Database, *, at: datetime) -> None:
    """Do all that is due, and what was done a moment ago again."""
    _rounds.pop(database, None)
    while step(database, at=at):
        pass


def _do(database: Database, chore: Chore, rounds: _Rounds, at: datetime) -> None:
    try:
        done = chore.piece(database, at)
    except (OperationalError, InterfaceError):
        # The worker waits for a database that is away; the others have their turns meanwhile.
        rounds.due[chore.name] = at + min(chore.every, _MINUTE)
        raise
    except Exception as error:
        log.error("housekeeping_failed", chore=chore.name, error=type(error).__name__)
        done = None
    if done is None:
        rounds.due[chore.name] = at + chore.every
        if count := rounds.done.pop(chore.name, 0):
            log.info("housekeeping", chore=chore.name, count=count)
            rounds.unscrubbed = True
        return
    rounds.done[chore.name] = rounds.done.get(chore.name, 0) + done


def _batch(
    service: Callable[..., int], any_due: Callable[..., bool] | None = None, **more: int
) -> Piece:
    """A service that does a little, in a transaction of its own, until it finds nothing. Where it
    has to search for it, `any_due` does so first, without holding anybody up."""

    def piece(database: Database, at: datetime) -> int | None:
        if any_due is not None:
            with database.reading() as session:
                if not any_due(session, at=at):
                    return None
        with database.transaction() as session:
            return service(session, at=at, **more) or None

    return piece


def _purge(after: str) -> Piece:
    return lambda database, at: retention.purge(database, after, at=at) or None


def _tries(database: Database, at: datetime) -> None:
    with database.transaction() as session:
        limits.purge(session, at=at)


def _alarms(database: Database, at: datetime) -> None:
    """One mail to the operator, at most."""
    with database.transaction() as session:
        cases.alarms(session, at=at)


def _vault(database: Database, at: datetime) -> int | None:
    """A rotation of the vault's keys that was begun (domain/rights/vault_rotation.py)."""
    return 1 if vault_rotation.step(database, at=at) else None


def _retention(database: Database, at: datetime) -> int | None:
    with database.reading() as session:
        if not retention.wanted(session, at=at):
            return None
    with database.transaction() as session:
        run = retention.begin(session, at=at)
    done = retention.step(database, run, at=at)
    return None if done is None else done.gone


def _journal(database: Database, at: datetime) -> None:
    """Whoever is in the journal and not erased, because a commit was lost: few, and found by
    themselves when they are erased anew. The start has looked already."""
    journal.reapply(database, at=at)


CHORES = (
    Chore("erasures", _batch(erasure.run_due, erasure.any_due, limit=_PEOPLE), _MINUTE),
    Chore("holds", _batch(holds.end_due, limit=_PEOPLE), _MINUTE),
    Chore("tries", _tries, timedelta(minutes=10)),
    Chore("consents", _batch(telling.expire_due, limit=_PEOPLE), _HOUR),
    Chore("renewals", partial(renewals.ask, limit=_PEOPLE), _HOUR),
    Chore("notices", partial(notifying.tell, limit=_PEOPLE), _MINUTE),
    Chore("requests", _batch(settling.close_left, settling.any_request_left, limit=_PEOPLE), _HOUR),
    Chore(
        "unfinished",
        _batch(unverified.close_unfinished, unverified.any_unfinished, limit=_PEOPLE),
        _HOUR,
    ),
    Chore(
        "registrations",
        _batch(settling.clear_up, settling.any_registration_left, limit=_PEOPLE),
        _HOUR,
    ),
    Chore("alarms", _alarms, _HOUR),
    Chore("recipients", _batch(recipients.note_told, recipients.any_told, limit=_PEOPLE), _HOUR),
    Chore("links", _purge("link_expired"), _HOUR),
    Chore("messages", _purge("message_closed"), _HOUR),
    Chore("newsletters", _batch(campaigns.cancel_left, campaigns.any_left, limit=_PEOPLE), _HOUR),
    Chore("retention", _retention, _HOUR),
    Chore("vault", _vault, _MINUTE),
    Chore("journal", _journal, timedelta(days=1)),
)
