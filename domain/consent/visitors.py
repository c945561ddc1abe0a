"""A visitor's choice: it stands in their browser, signed, and in the ledger about nobody.

The site keeps no row about a visitor for it (docs/decisions/0021). What the browser brings back
says what was chosen, on which words and until when, and holds the ids of the entries: the
visitor's own receipt. It proves the choice and ties it to an account at sign-up, and is used for
nothing else (requirement 29).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.orm import Session

from domain.consent import presentations
from domain.consent.decisions import DecisionState
from domain.consent.errors import StalePresentation
from domain.consent.presentations import Shown
from domain.consent.purposes import Purpose, PurposeRegister, purposes
from domain.dates import local_day, months_later, parse_timestamp, timestamp
from domain.keys import Keyring
from domain.ledger.append import append_anonymous

SURFACE = "visitor"
# How long a no stands where the surface does not say how long a yes does.
_MONTHS = 12
_SALT = "samtykke.choice"


@dataclass(frozen=True)
class Answer:
    """What was answered about one version of a purpose. `entry_id` is None for a no that was
    said too often to be written down each time; `expires_at` is a yes's end. `despite_signal` is
    whether the yes was said by a browser that sends `Sec-GPC: 1`."""

    state: DecisionState
    version: int
    entry_id: str | None
    at: datetime
    expires_at: datetime | None = None
    despite_signal: bool = False

    def permits(self, *, signal: bool, at: datetime) -> bool:
        """Whether it is a yes whose time is not over, and that the browser's signal, which is
        younger than it, does not take back."""
        lasts = self.expires_at is not None and at < self.expires_at
        return self.state.permits and lasts and (self.despite_signal or not signal)


@dataclass(frozen=True)
class Choice:
    """Everything that a visitor answered in this browser, newest answer at `at`; after
    `expires_at` nothing of it counts. `presentation` is the hash of what was shown last."""

    answers: Mapping[str, Answer]
    presentation: str
    at: datetime
    expires_at: datetime

    def permits(
        self, register: PurposeRegister, purpose_id: str, *, signal: bool, at: datetime
    ) -> bool:
        """Whether the purpose may rest on it now; `signal` is whether the browser sends
        `Sec-GPC: 1` with this very request."""
        answer = self.answered(register, purpose_id, at=at)
        return answer is not None and answer.permits(signal=signal, at=at)

    def answered(
        self, register: PurposeRegister, purpose_id: str, *, at: datetime
    ) -> Answer | None:
        """What was answered about the purpose as it is now; None where that is to be asked."""
        purpose = register.on(local_day(at)).purposes.get(purpose_id)
        answer = self.answers.get(purpose_id)
        if purpose is None or not purpose.optional or answer is None:
            return None
        lasts = at < (answer.expires_at or self.expires_at)
        return answer if lasts and answer.version == purpose.version else None

    def yes(self, *, at: datetime) -> list[str]:
        """The purposes that were said yes to and whose time is not over, whatever the browser
        signals and whether or not the purpose has another version now."""
        return [
            name for name, answer in self.answers.items() if answer.permits(signal=False, at=at)
        ]

    def seal(self, ring: Keyring) -> str:
        """As the browser keeps it: readable, and signed."""
        return _serializer(ring.signing_key).dumps(
            [
                {name: _written(answer) for name, answer in self.answers.items()},
                self.presentation,
                timestamp(self.at),
                timestamp(self.expires_at),
            ]
        )

    @classmethod
    def open(cls, ring: Keyring, sealed: str | None, *, at: datetime) -> Choice | None:
        """Read what `seal` made; None where it is not ours, or over: that is no choice."""
        try:
            answers, presentation, made, expires = _serializer(ring.signing_key).loads(sealed or "")
            choice = cls(
                {name: _read(answer) for name, answer in answers.items()},
                presentation,
                parse_timestamp(made),
                parse_timestamp(expires),
            )
        except (BadSignature, ValueError, TypeError, AttributeError):
            return None
        return choice if at < choice.expires_at else None


def asked(register: PurposeRegister) -> list[Purpose]:
    """The purposes that visitors decide about; none where the site asks them nothing."""
    surface = register.surfaces.get(SURFACE)
    return register.asked_on(surface) if surface else []


def unanswered(register: PurposeRegister, choice: Choice | None, *, at: datetime) -> bool:
    """Whether there is something that a visitor with this choice has not been asked."""
    return any(
        choice is None or choice.answered(register, purpose.id, at=at) is None
        for purpose in asked(register.on(local_day(at)))
    )


# A purpose, the state that its answer leads to, and when a yes ends.
Decided = tuple[Purpose, DecisionState, datetime | None]


def decide(
    register: PurposeRegister,
    before: Choice | None,
    choices: Mapping[str, bool],
    shown: Shown,
    *,
    signal: bool,
    at: datetime,
) -> list[Decided]:
    """What comes of the choices that a visitor made on a form.

    Every purpose that was shown and is not among `choices` is refused. A choice that changes
    nothing leaves no entry: the ledger records decisions, not clicks. Raises StalePresentation
    where a yes would undo a no that is younger than the form: an old tab must not.
    """
    here, decided = register.on(local_day(at)), []
    for one in shown.document.content["purposes"]:
        purpose = here.consent_purpose(one["id"])
        last = before.answers.get(purpose.id) if before else None
        yes = choices.get(purpose.id, False)
        state = _next_state(last, purpose, yes, signal=signal, at=at)
        if state is None:
            continue
        if yes and last is not None and shown.served_at < last.at:
            raise StalePresentation("decided anew since the form was served")
        expires_at = months_later(at, one["validity_months"]) if yes else None
        decided.append((purpose, state, expires_at))
    return decided


def record(
    session: Session,
    before: Choice | None,
    decided: Sequence[Decided],
    shown: Shown,
    *,
    signal: bool,
    written: bool = True,
    at: datetime,
) -> Choice:
    """Append an entry about nobody for each decision; return what stands in the browser from now
    on. Without `written` a no leaves no entry (a yes always does)."""
    answers = dict(before.answers) if before else {}
    for purpose, state, expires_at in decided:
        entry_id = None
        if written or state.permits:
            data = _data(purpose, shown, expires_at)
            entry_id = append_anonymous(session, f"consent.{state}", data, at=at)
        answers[purpose.id] = Answer(
            state=state,
            version=purpose.version,
            entry_id=entry_id,
            at=_as_written(at),
            expires_at=_as_written(expires_at) if expires_at else None,
            despite_signal=state.permits and signal,
        )
    if decided:
        presentations.store(session, shown.document, at=at)
    surface = purposes(session, at).surfaces.get(SURFACE)
    months = surface.validity_months if surface else 0
    return Choice(
        answers=answers,
        presentation=shown.document.hash if decided or before is None else before.presentation,
        at=_as_written(at),
        expires_at=_as_written(months_later(at, months or _MONTHS)),
    )


def end(
    session: Session, before: Choice, purpose_ids: Iterable[str], shown: Shown, *, at: datetime
) -> Choice:
    """Turn every yes to these purposes into a no, said on another form of the site."""
    register = purposes(session, at)
    decided = [
        (register.consent_purpose(one), DecisionState.WITHDRAWN, None)
        for one in before.yes(at=at)
        if one in set(purpose_ids)
    ]
    return record(session, before, decided, shown, signal=False, at=at)


def _data(purpose: Purpose, shown: Shown, expires_at: datetime | None) -> dict[str, Any]:
    content = shown.document.content
    data = {
        "purpose": purpose.id,
        "purpose_version": purpose.version,
        "presentation": shown.document.hash,
        "surface": content["surface"],
        "locale": content["locale"],
        "served_at": timestamp(shown.served_at),
    }
    return {**data, "expires_at": timestamp(expires_at)} if expires_at else data


def _next_state(
    last: Answer | None, purpose: Purpose, yes: bool, *, signal: bool, at: datetime
) -> DecisionState | None:
    """The state that an answer leads to, or None where it changes nothing: the ledger records
    decisions, not clicks. A yes that is said once more because the browser's signal stands
    against the older one, or because that has run out, renews it."""
    if yes:
        if last is None or not last.state.permits:
            return DecisionState.GIVEN
        same = last.version == purpose.version and last.permits(signal=signal, at=at)
        return None if same else DecisionState.RENEWED
    if last is None:
        return DecisionState.REFUSED
    if last.permits(signal=False, at=at):
        return DecisionState.WITHDRAWN
    said_no = not last.state.permits and last.version == purpose.version
    return None if said_no else DecisionState.REFUSED


def _written(answer: Answer) -> list[Any]:
    return [
        answer.state.value,
        answer.version,
        answer.entry_id,
        timestamp(answer.at),
        timestamp(answer.expires_at) if answer.expires_at else None,
        int(answer.despite_signal),
    ]


def _read(written: list[Any]) -> Answer:
    """Raises ValueError, TypeError or AttributeError for what `_written` never made."""
    state, version, entry_id, made, expires, despite_signal = written
    return Answer(
        state=DecisionState(state),
        version=version,
        entry_id=entry_id,
        at=parse_timestamp(made),
        expires_at=parse_timestamp(expires) if expires else None,
        despite_signal=bool(despite_signal),
    )


def _as_written(at: datetime) -> datetime:
    """In milliseconds, as the browser's copy and the entry have it."""
    return parse_timestamp(timestamp(at))


@cache
def _serializer(signing_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        signing_key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
    )
