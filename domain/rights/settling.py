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

from sqlalchemy import insert
from sqlalchemy.orm import Session

from database import table_of
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.keys import keyring
from domain.ledger.append import pad
from domain.rights import erasure, requests

KIND = "intake.settle"
_LATE = timedelta(days=1)


class Matter(StrEnum):
    """What waits for its week to be over."""

    REGISTRATION = "registration"
    REQUEST = "request"


_WAITS = {
    Matter.REGISTRATION: erasure.UNCONFIRMED_FOR,
    Matter.REQUEST: requests.UNVERIFIED_FOR,
}


def later(session: Session, matter: Matter, *, at: datetime) -> None:
    """Settle one such matter when its week is over, in whichever way it is to be settled then."""
    payload = {"matter": matter.value}
    row = outbox.message(keyring(session), KIND, payload, at=at)
    session.execute(insert(table_of(OutboxMessage)), {**row, "due_at": at + _WAITS[matter]})


def settle(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """Settle one matter whose week is over; where there is none, append an entry all the same.

    Which one does not matter: as many of these messages come due as things may have to be
    settled, each not before its own.
    """
    if Matter(payload["matter"]) is Matter.REGISTRATION:
        settled = erasure.forget_never_confirmed(session, at=at, limit=1)
    else:
        settled = requests.refuse_unverified(session, at=at, limit=1)
    if not settled:
        pad(session, at=at)


def clear_up(session: Session, *, at: datetime) -> int:
    """Erase the registrations that should have been settled a day ago, and were not because
    their message could not be carried out; return how many."""
    return erasure.forget_never_confirmed(session, at=at, waited=erasure.UNCONFIRMED_FOR + _LATE)


def close_left(session: Session, *, at: datetime) -> int:
    """The same for requests, after four weeks: one that was asked for again is settled with the
    last time. Return how many were closed."""
    return requests.refuse_unverified(session, at=at, waited=4 * requests.UNVERIFIED_FOR)
