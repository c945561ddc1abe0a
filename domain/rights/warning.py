"""Telling people that their account goes, in time for them to keep it or to take a copy."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from domain.delivery import outbox
from domain.identity import accounts, subscriptions
from domain.identity.models import Subscription
from domain.rights import due, held
from domain.rights.due import Scope
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

LETTER = "mail.account_ending"


def warn(session: Session, scope: Scope, limit: int) -> int:
    """Write to some who were not told yet; return to how many.

    Once for each end of a subscription. The day that the mail says is the day on which the
    account goes: never sooner than the register says that people are told before.
    """
    waiting = due.to_warn(scope)
    told = 0
    for subject_id in sorted(set(session.scalars(waiting.limit(limit)))):
        try:
            subjects.lock(session, subject_id)
        except UnknownSubject:
            continue
        (column,) = waiting.selected_columns
        if session.scalar(waiting.where(column == subject_id).limit(1)) is None:
            continue
        outbox.post(
            session, LETTER, _letter(session, scope, subject_id), at=scope.at, about=subject_id
        )
        session.execute(
            update(Subscription)
            .where(Subscription.subject_id == subject_id, Subscription.warned_at.is_(None))
            .values(warned_at=scope.at)
            .execution_options(synchronize_session=False)
        )
        told += 1
    return told


def _letter(session: Session, scope: Scope, subject_id: Any) -> dict[str, Any]:
    account = accounts.of_subject(session, subject_id)
    goes = subscriptions.erase_on(session, subject_id, at=scope.at)
    if account is None or goes is None:
        raise ValueError("nobody to warn")  # cannot be: both were just asked for
    return {
        **accounts.addressed(session, account),
        "due_on": goes.isoformat(),
        "kept": held.told(session, subject_id),
    }
