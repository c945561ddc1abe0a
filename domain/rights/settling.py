"""A week after something that anybody could set off: one entry, whatever came of it.

A registration that nobody confirms is erased then, and a request that nobody verified is closed.
Either appends an entry, and everybody sees the log grow. Where that alone happened, a stranger
who registers an address could see a week later that it was not a customer's. So everything of
this kind leaves one message that comes due after the week, about nobody and with nobody in it:
it settles one matter that has waited for so long, or appends an entry that says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from domain.consent.purposes import purposes
from domain.delivery import outbox
from domain.identity import accounts
from domain.ledger.append import pad
from domain.rights import erasure, unverified

KIND = outbox.SETTLE
# The rule of the register (content/purposes.toml) for registrations that nobody confirms.
UNCONFIRMED = "unconfirmed"
# So long after they are due whatever is left is cleared up.
LATE = timedelta(days=1)


class Matter(StrEnum):
    """What waits for its week to be over."""

    REGISTRATION = "registration"
    REQUEST = "request"


def later(session: Session, matter: Matter, *, at: datetime) -> None:
    """Settle one such matter when its week is over, in whichever way it is to be settled then."""
    payload = {"matter": matter.value}
    outbox.post(session, KIND, payload, at=at, due_at=at + _wait(session, matter))


def settle(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """Settle one matter whose week is over; where there is none, append an entry all the same.

    Which one does not matter: as many of these messages come due as things may have to be
    settled, each not before its own.
    """
    if Matter(payload["matter"]) is Matter.REGISTRATION:
        waited = _wait(session, Matter.REGISTRATION)
        settled = erasure.forget_never_confirmed(session, at=at, waited=waited, limit=1)
    else:
        settled = unverified.refuse(session, at=at, limit=1)
    if not settled:
        pad(session, at=at)


def clear_up(session: Session, *, at: datetime, limit: int = 50) -> int:
    """Erase the registrations that should have been settled a day ago, and were not because
    their message could not be carried out; return how many."""
    waited = _wait(session, Matter.REGISTRATION) + LATE
    return erasure.forget_never_confirmed(session, at=at, waited=waited, limit=limit)


def close_left(session: Session, *, at: datetime, limit: int = 50) -> int:
    """The same for requests, after four weeks: one that was asked for again is settled with the
    last time. Return how many were closed."""
    waited = 4 * unverified.UNVERIFIED_FOR
    return unverified.refuse(session, at=at, waited=waited, limit=limit)


def any_registration_left(session: Session, *, at: datetime) -> bool:
    """Whether `clear_up` would find one."""
    before = at - _wait(session, Matter.REGISTRATION) - LATE
    return bool(accounts.never_confirmed(session, before=before, limit=1))


def any_request_left(session: Session, *, at: datetime) -> bool:
    """Whether `close_left` would find one."""
    return unverified.any_unverified(session, at=at, waited=4 * unverified.UNVERIFIED_FOR)


def _wait(session: Session, matter: Matter) -> timedelta:
    """How long a matter waits: a registration as long as the register says, and a request as long
    as we decided (that one is a decision about the request, and nothing that is kept)."""
    if matter is Matter.REGISTRATION:
        return purposes(session).retention[UNCONFIRMED].span
    return unverified.UNVERIFIED_FOR
