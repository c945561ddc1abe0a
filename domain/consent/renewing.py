"""Renewal: a yes that is about to run out, or was given for an earlier version of its purpose,
may go on if its owner says so. They are asked once, and silence is no answer.

Nobody is asked whose address is not confirmed, who has restricted the use of their data or is being
erased, or who is too young for the purpose now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, and_, false, func, insert, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from domain.consent import decisions
from domain.consent.decisions import Decided, DecisionState, Standing
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.models import CurrentDecision, RenewalAsk
from domain.consent.presentations import Shown
from domain.consent.purposes import Purpose, PurposeRegister, purposes
from domain.consent.statements import DECISION
from domain.subjects import service as subjects
from domain.subjects.models import Subject

SURFACE = "renewal"
# So long before a yes runs out its owner is asked, where `session.info` says nothing else.
BEFORE = timedelta(days=30)
_SAID = DECISION.c


class Why(StrEnum):
    """Why somebody is asked whether a yes shall go on."""

    ENDING = "ending"
    CHANGED = "changed"
    EXPIRED = "expired"


def before(info: Mapping[Any, Any]) -> timedelta:
    """How long before a yes runs out its owner is asked."""
    said: timedelta = info.get("renew_before", BEFORE)
    return said


def renewable(session: Session, subject_id: UUID, *, at: datetime) -> dict[str, Why]:
    """The purposes of which this person's yes may go on, in the order of the register: it is for
    another version, ends soon, or ended because its time was over."""
    register = purposes(session, at)
    declared = subjects.get(session, subject_id).declared_age
    rows = session.execute(select(DECISION).where(DECISION.c.subject_id == subject_id))
    said = {row.purpose_id: row for row in rows}
    found = {
        purpose.id: _why(purpose, said[purpose.id], at, at + before(session.info))
        for purpose in register.optional()
        if purpose.id in said and register.old_enough(purpose, declared)
    }
    return {purpose_id: why for purpose_id, why in found.items() if why is not None}


def _why(purpose: Purpose, row: Row[Any], at: datetime, soon: datetime) -> Why | None:
    state = decisions.effective(row, at)
    if state is DecisionState.EXPIRED:
        return Why.EXPIRED
    if not state.permits:
        return None
    if row.purpose_version != purpose.version:
        return Why.CHANGED
    return Why.ENDING if row.expires_at is not None and row.expires_at <= soon else None


def renew(
    session: Session, subject_id: UUID, choices: Mapping[str, bool], shown: Shown, *, at: datetime
) -> list[str]:
    """Let the yeses go on whose boxes were ticked on the page that asks for it, in the words that
    stood there; return the ids of the entries.

    An empty box is no answer: it leaves no entry, and what stands stands until its time is over.
    Raises StalePresentation where what was asked is not so any more, or the person decided anew
    since; UnderAge, UnknownSubject.
    """
    going_on = partial(_go_on, before(session.info))
    return decisions.record(session, subject_id, choices, shown, at=at, by=going_on)


def _go_on(
    window: timedelta,
    register: PurposeRegister,
    standing: Standing,
    choices: Mapping[str, bool],
    shown: Shown,
    *,
    at: datetime,
) -> list[Decided]:
    """What comes of the boxes that were ticked."""
    decided: list[Decided] = []
    for one in shown.document.content["purposes"]:
        if not choices.get(one["id"], False):
            continue
        purpose, row = register.consent_purpose(one["id"]), standing.newest.get(one["id"])
        if not register.old_enough(purpose, standing.known.declared_age):
            raise UnderAge(purpose.id)
        if row is None or row.ordinal > shown.seen or not _why(purpose, row, at, at + window):
            raise StalePresentation("decided anew since the form was served")
        state = DecisionState.RENEWED
        decided.append((state, decisions.answered(purpose, state, shown, at=at)))
    return decided


def to_ask(session: Session, *, at: datetime, after: UUID | None = None) -> Select[Any]:
    """The people who are to be asked by mail and were not, after this one, in the order of their
    ids. Whether they can be written to is for the caller to add."""
    register = purposes(session, at)
    soon = at + before(session.info)
    wanted = [_asked_for(register, purpose, soon) for purpose in register.optional()]
    people = (
        select(CurrentDecision.subject_id)
        .join(Subject, Subject.id == CurrentDecision.subject_id)
        .where(
            CurrentDecision.permitting(),
            CurrentDecision.expires_at > at,
            Subject.confirmed_at.is_not(None),
            Subject.restricted_at.is_(None),
            Subject.erasing_at.is_(None),
            or_(false(), *wanted),
        )
        .distinct()
        .order_by(CurrentDecision.subject_id)
    )
    return people if after is None else people.where(CurrentDecision.subject_id > after)


def _asked_for(register: PurposeRegister, purpose: Purpose, soon: datetime) -> ColumnElement[bool]:
    """That a row is a yes for this purpose of which its owner is to be asked."""
    asked = select(RenewalAsk.entry_id).where(
        RenewalAsk.entry_id == CurrentDecision.entry_id,
        RenewalAsk.purpose_version == purpose.version,
    )
    changed = CurrentDecision.purpose_version != purpose.version
    ending = CurrentDecision.expires_at <= soon
    # A purpose that writes to the person's address: a mail that asks for a new yes to that, where
    # the old one does not count, would itself be marketing (mfl § 15). The page asks.
    due = and_(~changed, ending) if purpose.confirmed_address else or_(changed, ending)
    conditions = [CurrentDecision.purpose_id == purpose.id, due, ~asked.exists()]
    if purpose.age_limited:
        conditions.append(func.coalesce(Subject.declared_age, 0) >= register.marketing_age)
    return and_(*conditions)


def note_asked(
    session: Session, subject_id: UUID, *, at: datetime
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Note that this person, who is locked, is asked now; what they are asked about, as rows with
    `purpose_id`, `purpose_version` and `expires_at`. Nothing where they are not to be asked."""
    due = to_ask(session, at=at).where(CurrentDecision.subject_id == subject_id)
    of_person = due.with_only_columns(
        _SAID.entry_id, _SAID.purpose_id, _SAID.purpose_version, _SAID.expires_at
    )
    rows = session.execute(of_person.order_by(None).order_by(_SAID.purpose_id)).all()
    register = purposes(session, at)
    for row in rows:
        session.execute(
            insert(RenewalAsk).values(
                entry_id=row.entry_id,
                purpose_version=register.purposes[row.purpose_id].version,
                subject_id=subject_id,
                asked_at=at,
            )
        )
    return rows
