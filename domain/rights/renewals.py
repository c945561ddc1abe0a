"""Asking people, once and by mail, whether a yes of theirs shall go on; and taking their answer.

It is a mail about their own choices and no marketing. It goes only to an account whose address is
confirmed and works. When the time is over nothing is sent: the yes has expired, and that is all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

from sqlalchemy import Row, Select
from sqlalchemy.orm import Session

from database import Database
from domain.analytics import usage
from domain.apart import apart
from domain.consent import presentations, renewing
from domain.consent.models import CurrentDecision
from domain.consent.presentations import Shown
from domain.consent.purposes import purposes
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts
from domain.identity.models import Account
from domain.rights import telling
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

LETTER = "mail.renewal"
# Whom this process has come to. Who is passed over has their turn in the next round.
_reached: WeakKeyDictionary[Database, UUID] = WeakKeyDictionary()


def ask(database: Database, at: datetime, *, limit: int) -> int | None:
    """Ask the next few who are to be asked; how many were, None when the round is over. They are
    looked for without holding anybody up."""
    with database.reading() as session:
        due = _reachable(session, at, after=_reached.get(database))
        found = session.scalars(due.limit(limit)).all()
    if not found:
        _reached.pop(database, None)
        return None
    with database.transaction() as session:
        asked = sum(
            apart(session, "renewals", partial(_ask, session, subject_id, at))
            for subject_id in found
        )
    _reached[database] = found[-1]
    return asked


def _reachable(session: Session, at: datetime, *, after: UUID | None = None) -> Select[Any]:
    """Who is to be asked and has an account with an address that works."""
    people = renewing.to_ask(session, at=at, after=after)
    return people.join(Account, Account.subject_id == CurrentDecision.subject_id).where(
        Account.undeliverable_at.is_(None)
    )


def _ask(session: Session, subject_id: UUID, at: datetime) -> bool:
    try:
        subjects.lock(session, subject_id)
    except UnknownSubject:  # erased since we looked
        return False
    # Between the query and the lock they may have answered, withdrawn, or changed their address.
    mine = _reachable(session, at).where(CurrentDecision.subject_id == subject_id)
    account = accounts.of_subject(session, subject_id)
    if account is None or session.scalar(mine) is None:
        return False
    letter = {
        **accounts.addressed(session, account),
        "asked": _asked(session, renewing.note_asked(session, subject_id, at=at), account, at),
    }
    outbox.post(session, LETTER, letter, at=at, about=subject_id)
    return True


def _asked(
    session: Session, rows: Sequence[Row[*tuple[Any, ...]]], account: Account, at: datetime
) -> list[dict[str, Any]]:
    """What the mail says of each purpose: its name, until when the yes lasts, and whether it has
    lost its effect already because the purpose is another one now."""
    register = purposes(session, at)
    return [
        {
            "name": register.purposes[row.purpose_id].text[account.locale].name,
            "until": local_day(row.expires_at).isoformat(),
            "changed": row.purpose_version != register.purposes[row.purpose_id].version,
        }
        for row in rows
    ]


def shown(session: Session, subject_id: UUID, signed: str | None, *, at: datetime) -> Shown:
    """What a form showed that asks this person what may be renewed now. Raises StalePresentation,
    also where that is something else by now."""
    may = tuple(renewing.renewable(session, subject_id, at=at))
    return presentations.shown(session, renewing.SURFACE, signed, at=at, only=may)


def answer(
    session: Session,
    subject_id: UUID,
    signed: str | None,
    choices: Mapping[str, bool],
    *,
    signal: bool = False,
    at: datetime,
) -> list[str]:
    """Renew what was ticked on the form whose token is `signed`, and queue the mail with the
    receipts; return the ids of the entries. `signal` is as in choosing.py. Raises what
    `renewing.renew` raises."""
    told = shown(session, subject_id, signed, at=at)
    entries = renewing.renew(session, subject_id, choices, told, at=at)
    if signal and choices.get(usage.PURPOSE, False):
        usage.begin(session, subject_id=subject_id, despite_signal=True, at=at)
    telling.changed(session, subject_id, entries, at=at)
    return entries
