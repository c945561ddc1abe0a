"""Decisions: what a person decided about a purpose, when, and on which words.

The ledger and its links are the truth; `current_decision` is a projection for fast reads,
written in the same transaction and rebuilt from the ledger alone (see projection.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import presentations
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.models import CurrentDecision
from domain.consent.presentations import Shown
from domain.consent.purposes import Purpose, purposes
from domain.dates import months_later, parse_timestamp, timestamp
from domain.ledger.entry import Entry
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import EntryLink


class DecisionState(StrEnum):
    """The states of consent (DPV, ISO/IEC TS 27560). Only given and renewed permit."""

    UNKNOWN = "unknown"
    GIVEN = "given"
    REFUSED = "refused"
    RENEWED = "renewed"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    INVALIDATED = "invalidated"

    @property
    def permits(self) -> bool:
        """Whether processing may rest on a decision in this state."""
        return self in (DecisionState.GIVEN, DecisionState.RENEWED)


@dataclass(frozen=True)
class Decision:
    """One decision as the ledger tells it. `presentation`, `surface` and `locale` are None
    where nothing was shown: expired, invalidated."""

    entry_id: str
    purpose_id: str
    state: DecisionState
    at: datetime
    purpose_version: int
    presentation: str | None
    surface: str | None
    locale: str | None
    expires_at: datetime | None

    @classmethod
    def of(cls, entry: Entry) -> Decision:
        """Read a `consent.*` entry."""
        data = entry.data
        expires_at = data.get("expires_at")
        return cls(
            entry_id=entry.id,
            purpose_id=data["purpose"],
            state=DecisionState(entry.type.removeprefix("consent.")),
            at=entry.at,
            purpose_version=data["purpose_version"],
            presentation=data.get("presentation"),
            surface=data.get("surface"),
            locale=data.get("locale"),
            expires_at=parse_timestamp(expires_at) if expires_at else None,
        )


def record(
    session: Session, subject_id: UUID, choices: Mapping[str, bool], shown: Shown, *, at: datetime
) -> list[str]:
    """Record what a person chose on a form; return the ids of the entries that came of it.

    Every purpose that was shown and is not among `choices` counts as left unticked, that is,
    refused; one that the person is too young for is not offered, so its empty box says nothing
    but that a yes from before does not go on. A choice that changes nothing leaves no entry: the
    ledger records decisions, not clicks.

    Raises StalePresentation when the form was served before a newer decision that it would
    change: an old tab must not undo a withdrawal. Entries are counted for that, since clocks go
    backwards. Raises UnderAge, UnknownPurpose, UnknownSubject.
    """
    subject = subjects.lock(session, subject_id)
    register = purposes(session)
    entries: list[str] = []
    for one in shown.document.content["purposes"]:
        purpose = register.consent_purpose(one["id"])
        row = session.get(CurrentDecision, (subject_id, purpose.id))
        yes = choices.get(purpose.id, False)
        if not register.old_enough(purpose, subject.declared_age):
            if yes:
                raise UnderAge(purpose.id)
            if row is None or not DecisionState(row.state).permits:
                continue
        state = _next_state(row, purpose, yes, at)
        if state is not None:
            if row is not None and _ordinal(session, row) > shown.seen:
                raise StalePresentation("decided anew since the form was served")
            if not entries:
                presentations.store(session, shown.document, at=at)
            data = _decided(purpose, shown)
            if state.permits:
                data["expires_at"] = timestamp(months_later(at, purpose.validity_months))
            entries.append(_append(session, subject_id, state, data, at=at))
    return entries


def current(session: Session, subject_id: UUID, *, at: datetime) -> dict[str, Decision | None]:
    """The newest decision for each consent purpose, None where there is none. A yes whose time
    has run out is shown as expired, whether or not the ledger has its entry yet."""
    rows = session.scalars(select(CurrentDecision).where(CurrentDecision.subject_id == subject_id))
    found = {row.purpose_id: row for row in rows}
    return {
        purpose.id: _as_decision(found[purpose.id], at) if purpose.id in found else None
        for purpose in purposes(session).optional()
    }


def history(session: Session, subject_id: UUID) -> list[Decision]:
    """Every decision of a person, oldest first, in the order they were recorded."""
    return [Decision.of(entry) for entry in _consent_entries(session, subject_id)]


def expire_due(session: Session, *, at: datetime, limit: int = 500) -> int:
    """Append `consent.expired` for every yes whose time has run out; return how many."""
    due = session.execute(
        select(CurrentDecision.subject_id, CurrentDecision.purpose_id)
        .where(CurrentDecision.state.in_(("given", "renewed")), CurrentDecision.expires_at <= at)
        .order_by(CurrentDecision.subject_id)
        .limit(limit)
    ).all()
    expired = 0
    for subject_id, purpose_id in due:
        try:
            subjects.lock(session, subject_id)
        except UnknownSubject:  # erased since we looked
            continue
        row = session.get(CurrentDecision, (subject_id, purpose_id), populate_existing=True)
        # Between the query and the lock the person may have renewed or withdrawn.
        if row and DecisionState(row.state).permits and row.expires_at and row.expires_at <= at:
            data = {"purpose": purpose_id, "purpose_version": row.purpose_version}
            _append(session, subject_id, DecisionState.EXPIRED, data, at=at)
            expired += 1
    return expired


def invalidate(
    session: Session,
    subject_id: UUID,
    purpose_id: str,
    reason: Literal["under_age", "unlawful_wording"],
    *,
    at: datetime,
) -> str | None:
    """End a consent that turns out not to be valid; return None if none is in force."""
    subjects.lock(session, subject_id)
    row = session.get(CurrentDecision, (subject_id, purpose_id))
    if row is None or not DecisionState(row.state).permits:
        return None
    data = {"purpose": purpose_id, "purpose_version": row.purpose_version, "reason": reason}
    return _append(session, subject_id, DecisionState.INVALIDATED, data, at=at)


def invalidate_under_age(session: Session, subject_id: UUID, *, at: datetime) -> list[str]:
    """End the consents that ask for a higher age than the person now declares."""
    register = purposes(session)
    declared = subjects.lock(session, subject_id).declared_age
    ended = [
        invalidate(session, subject_id, purpose.id, "under_age", at=at)
        for purpose in register.optional()
        if not register.old_enough(purpose, declared)
    ]
    return [entry_id for entry_id in ended if entry_id is not None]


def _next_state(
    row: CurrentDecision | None, purpose: Purpose, yes: bool, at: datetime
) -> DecisionState | None:
    """The state that a choice leads to, or None where it changes nothing. What has run out is
    answered as expired, whether or not the ledger has its entry yet."""
    state = _effective(row, at) if row else DecisionState.UNKNOWN
    if yes:
        if row is not None and state.permits:
            return None if row.purpose_version == purpose.version else DecisionState.RENEWED
        lapsed = state in (DecisionState.EXPIRED, DecisionState.INVALIDATED)
        return DecisionState.RENEWED if lapsed else DecisionState.GIVEN
    if state.permits:
        return DecisionState.WITHDRAWN
    refused = (DecisionState.REFUSED, DecisionState.WITHDRAWN)
    answered_this = row is not None and row.purpose_version == purpose.version
    return None if state in refused and answered_this else DecisionState.REFUSED


def _effective(row: CurrentDecision, at: datetime) -> DecisionState:
    state = DecisionState(row.state)
    run_out = row.expires_at is not None and row.expires_at <= at
    return DecisionState.EXPIRED if state.permits and run_out else state


def _ordinal(session: Session, row: CurrentDecision) -> int:
    """The place of a decision among all that was recorded about its person."""
    return session.get_one(EntryLink, row.entry_id).ordinal


def _decided(purpose: Purpose, shown: Shown) -> dict[str, Any]:
    content = shown.document.content
    return {
        "purpose": purpose.id,
        "purpose_version": purpose.version,
        "presentation": shown.document.hash,
        "surface": content["surface"],
        "locale": content["locale"],
        "served_at": timestamp(shown.served_at),
    }


def _append(
    session: Session, subject_id: UUID, state: DecisionState, data: dict[str, Any], *, at: datetime
) -> str:
    """The entry and its projection, in one transaction."""
    entry_id = subjects.record(session, subject_id, f"consent.{state}", data, at=at)
    expires_at = data.get("expires_at")
    session.merge(
        CurrentDecision(
            subject_id=subject_id,
            purpose_id=data["purpose"],
            state=state.value,
            entry_id=entry_id,
            # The entry has milliseconds; the projection must equal a replay of it.
            at=parse_timestamp(timestamp(at)),
            purpose_version=data["purpose_version"],
            presentation=data.get("presentation"),
            expires_at=parse_timestamp(expires_at) if expires_at else None,
        )
    )
    session.flush()
    return entry_id


def _as_decision(row: CurrentDecision, at: datetime) -> Decision:
    return Decision(
        entry_id=row.entry_id,
        purpose_id=row.purpose_id,
        state=_effective(row, at),
        at=row.at,
        purpose_version=row.purpose_version,
        presentation=row.presentation,
        surface=None,
        locale=None,
        expires_at=row.expires_at,
    )


def _consent_entries(session: Session, subject_id: UUID) -> Iterator[Entry]:
    for entry in subjects.entries(session, subject_id):
        if entry.type.startswith("consent."):
            yield entry
