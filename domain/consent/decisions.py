"""Decisions: what a person decided about a purpose, when, and on which words.

The ledger and its links are the truth; `current_decision` is a projection for fast reads,
written in the same transaction and rebuilt from the ledger alone (see projection.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from domain.apart import each
from domain.consent import presentations
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.models import CurrentDecision
from domain.consent.presentations import Shown
from domain.consent.purposes import Purpose, PurposeRegister, purposes
from domain.consent.statements import DECISION as _DECISION
from domain.consent.statements import STANDING as _STANDING
from domain.dates import months_later, parse_timestamp, timestamp
from domain.keys import Keyring, keyring
from domain.ledger.entry import Entry
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject
from domain.subjects.recording import Known, Rows


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


@dataclass(frozen=True)
class Standing:
    """What a new decision of a person depends on: who they are to the ledger, their newest
    decision for each purpose, and whether what they were shown is stored already."""

    known: Known
    newest: Mapping[str, Row[Any]]
    stored: bool

    @classmethod
    def of(cls, subject_id: UUID, rows: Sequence[Row[Any]]) -> Standing:
        """What STANDING found (statements.py). Raises UnknownSubject."""
        if not rows:
            raise UnknownSubject(subject_id)
        one = rows[0]
        known = Known(subject_id, one.wrapped_key, one.declared_age, one.linked)
        newest = {row.purpose_id: row for row in rows if row.purpose_id is not None}
        return cls(known, newest, one.stored)


# A state that a choice led to, and what its entry says.
Decided = tuple[DecisionState, dict[str, Any]]


# What comes of the choices on a form: `decide`, or another way where it asks another question.
Decides = Callable[..., list[Decided]]
Deciding = Callable[[Standing], list[Decided]]


def record(
    session: Session,
    subject_id: UUID,
    choices: Mapping[str, bool],
    shown: Shown,
    *,
    at: datetime,
    by: Decides | None = None,
) -> list[str]:
    """Record what a person chose on a form; return the ids of the entries that came of it.

    What comes of it says `decide`, or `by`. Raises what it raises, and UnknownSubject.
    """
    register, by = purposes(session, at), by or decide
    deciding = partial(by, register, choices=choices, shown=shown, at=at)
    session.flush()
    recorded = _record(session, subject_id, deciding, shown, at=at)
    if recorded is None:  # something happened to this person between reading and writing
        subjects.lock(session, subject_id)
        recorded = _record(session, subject_id, deciding, shown, at=at)
        if recorded is None:
            raise UnknownSubject(subject_id)  # cannot be: nobody changes what is locked
    return recorded


def _record(
    session: Session, subject_id: UUID, deciding: Deciding, shown: Shown, *, at: datetime
) -> list[str] | None:
    """Decide by what is known of the person, and record it if nothing happened meanwhile."""
    looked_up = {"subject": subject_id, "hash": shown.document.hash}
    standing = Standing.of(subject_id, session.execute(_STANDING, looked_up).all())
    decided = deciding(standing)
    if not decided:
        return []
    recorded = _append(session, standing.known, decided, at=at)
    if recorded and not standing.stored:
        presentations.store(session, shown.document, at=at)
    return recorded


def decide(
    register: PurposeRegister,
    standing: Standing,
    choices: Mapping[str, bool],
    shown: Shown,
    *,
    at: datetime,
) -> list[Decided]:
    """What comes of the choices that a person made on a form.

    Every purpose that was shown and is not among `choices` counts as left unticked, that is,
    refused; one that the person is too young for is not offered, so its empty box says nothing
    but that a yes from before does not go on. A choice that changes nothing leaves no entry: the
    ledger records decisions, not clicks.

    Raises StalePresentation when the form was served before a newer decision that it would
    change: an old tab must not undo a withdrawal. Entries are counted for that, since clocks go
    backwards. Raises UnderAge, UnknownPurpose.
    """
    decided: list[Decided] = []
    for one in shown.document.content["purposes"]:
        purpose = register.consent_purpose(one["id"])
        row, yes = standing.newest.get(purpose.id), choices.get(purpose.id, False)
        state = _answer(register, purpose, row, yes, standing.known.declared_age, at)
        if state is None:
            continue
        if row is not None and row.ordinal > shown.seen:
            raise StalePresentation("decided anew since the form was served")
        decided.append((state, answered(purpose, state, shown, at=at)))
    return decided


def current(session: Session, subject_id: UUID, *, at: datetime) -> dict[str, Decision | None]:
    """The newest decision for each consent purpose, None where there is none. A yes whose time
    has run out is shown as expired, whether or not the ledger has its entry yet."""
    rows = session.execute(select(_DECISION).where(_DECISION.c.subject_id == subject_id))
    found = {row.purpose_id: row for row in rows}
    return {
        purpose.id: _as_decision(found[purpose.id], at) if purpose.id in found else None
        for purpose in purposes(session).optional()
    }


def history(session: Session, subject_id: UUID) -> list[Decision]:
    """Every decision of a person, oldest first, in the order they were recorded."""
    entries = subjects.entries(session, subject_id)
    return [Decision.of(entry) for entry in entries if entry.type.startswith("consent.")]


def expire_due(session: Session, *, at: datetime, limit: int = 500) -> dict[UUID, list[str]]:
    """Append `consent.expired` for every yes whose time has run out; return the ids of the
    entries by subject. Nothing happens any more to what a legal hold keeps of somebody."""
    due = (
        select(CurrentDecision.subject_id, CurrentDecision.purpose_id)
        .join(Subject, Subject.id == CurrentDecision.subject_id)
        .where(
            CurrentDecision.state.in_(("given", "renewed")),
            CurrentDecision.expires_at <= at,
            Subject.erasing_at.is_(None),
        )
        .order_by(CurrentDecision.subject_id, CurrentDecision.purpose_id)
    )
    expired: dict[UUID, list[str]] = {}

    def expire(subject_id: UUID, purpose_id: str) -> bool:
        try:
            row = _in_force(session, subject_id, purpose_id)
        except UnknownSubject:  # erased since we looked
            return False
        # Between the query and the lock the person may have renewed, withdrawn, or left.
        if row is None or row.expires_at is None or row.expires_at > at:
            return False
        if subjects.get(session, subject_id).erasing_at is not None:
            return False
        data = {"purpose": purpose_id, "purpose_version": row.purpose_version}
        entry_id = _end(session, subject_id, DecisionState.EXPIRED, data, at=at)
        expired.setdefault(subject_id, []).append(entry_id)
        return True

    each(session, due, expire, doing="expiring", limit=limit)
    return expired


def invalidate(
    session: Session,
    subject_id: UUID,
    purpose_id: str,
    reason: Literal["under_age", "unlawful_wording", "objection"],
    *,
    at: datetime,
) -> str | None:
    """End a consent that turns out not to be valid; return None if none is in force."""
    row = _in_force(session, subject_id, purpose_id)
    if row is None:
        return None
    data = {"purpose": purpose_id, "purpose_version": row.purpose_version, "reason": reason}
    return _end(session, subject_id, DecisionState.INVALIDATED, data, at=at)


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


def _answer(
    register: PurposeRegister,
    purpose: Purpose,
    row: Row[Any] | None,
    yes: bool,
    age: int | None,
    at: datetime,
) -> DecisionState | None:
    """The state that a choice leads to, or None where it changes nothing. Raises UnderAge."""
    if not register.old_enough(purpose, age):
        if yes:
            raise UnderAge(purpose.id)
        if row is None or not DecisionState(row.state).permits:
            return None
    return _next_state(row, purpose, yes, at)


def _next_state(
    row: Row[Any] | None, purpose: Purpose, yes: bool, at: datetime
) -> DecisionState | None:
    """What yes and no are for somebody old enough. What has run out is answered as expired,
    whether or not the ledger has its entry yet."""
    state = effective(row, at) if row else DecisionState.UNKNOWN
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


def effective(row: Row[Any], at: datetime) -> DecisionState:
    """The state of a stored decision at a time: a yes whose time is over has expired."""
    state = DecisionState(row.state)
    run_out = row.expires_at is not None and row.expires_at <= at
    return DecisionState.EXPIRED if state.permits and run_out else state


def _in_force(session: Session, subject_id: UUID, purpose_id: str) -> Row[Any] | None:
    """The yes that stands, whether or not its time has run out; its person is locked. Raises
    UnknownSubject."""
    subjects.lock(session, subject_id)
    row = session.execute(
        select(_DECISION).where(
            _DECISION.c.subject_id == subject_id, _DECISION.c.purpose_id == purpose_id
        )
    ).one_or_none()
    return row if row and DecisionState(row.state).permits else None


def answered(
    purpose: Purpose, state: DecisionState, shown: Shown, *, at: datetime
) -> dict[str, Any]:
    """What the entry of an answer to a form says. A yes lasts as long as the form says."""
    content = shown.document.content
    lasts = {one["id"]: one["validity_months"] for one in content["purposes"]}
    expires_at = months_later(at, lasts[purpose.id]) if state.permits else None
    return {
        "purpose": purpose.id,
        "purpose_version": purpose.version,
        "presentation": shown.document.hash,
        "surface": content["surface"],
        "locale": content["locale"],
        "served_at": timestamp(shown.served_at),
        **({"expires_at": timestamp(expires_at)} if expires_at else {}),
    }


def written(
    ring: Keyring, known: Known, decided: Sequence[Decided], *, at: datetime
) -> tuple[list[Entry], Rows]:
    """The entries of decisions and their projection: they are written together or not at all."""
    facts = [(f"consent.{state}", data) for state, data in decided]
    entries = subjects.told(ring, known, facts, at=at)
    rows = [
        _projected(known.subject_id, entry.id, state, data, at)
        for entry, (state, data) in zip(entries, decided, strict=True)
    ]
    return entries, Rows(_DECISION, rows, replacing=True)


def _append(
    session: Session, known: Known, decided: Sequence[Decided], *, at: datetime
) -> list[str] | None:
    """Write the decisions; None where `known` does not hold any more."""
    entries, projection = written(keyring(session), known, decided, at=at)
    done = subjects.record_if_unchanged(session, known, entries, projection)
    return [entry.id for entry in entries] if done else None


def _end(
    session: Session, subject_id: UUID, state: DecisionState, data: dict[str, Any], *, at: datetime
) -> str:
    """The entry of a decision that nobody made, and its projection."""
    recorded = _append(session, subjects.hold(session, subject_id), [(state, data)], at=at)
    if recorded is None:
        raise UnknownSubject(subject_id)  # cannot be: nobody changes what is locked
    return recorded[0]


def _projected(
    subject_id: UUID, entry_id: str, state: DecisionState, data: dict[str, Any], at: datetime
) -> dict[str, Any]:
    expires_at = data.get("expires_at")
    return {
        "subject_id": subject_id,
        "purpose_id": data["purpose"],
        "state": state.value,
        "entry_id": entry_id,
        # The entry has milliseconds; the projection must equal a replay of it.
        "at": parse_timestamp(timestamp(at)),
        "purpose_version": data["purpose_version"],
        "presentation": data.get("presentation"),
        "expires_at": parse_timestamp(expires_at) if expires_at else None,
    }


def _as_decision(row: Row[Any], at: datetime) -> Decision:
    return Decision(
        entry_id=row.entry_id,
        purpose_id=row.purpose_id,
        state=effective(row, at),
        at=row.at,
        purpose_version=row.purpose_version,
        presentation=row.presentation,
        surface=None,
        locale=None,
        expires_at=row.expires_at,
    )
