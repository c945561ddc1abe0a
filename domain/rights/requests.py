"""Data subject requests: received, verified, answered (GDPR art. 12, 15-22).

Each has a reference that the person is told, a state, and a date by which it must be answered.
What is written in them and decided about them stands in cases.py.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from domain.consent.errors import UnknownPurpose
from domain.consent.purposes import purposes
from domain.dates import add_months, local_day, timestamp
from domain.holding import Holding
from domain.identity import accounts, correspondents
from domain.identity.signed_links import NO_ACCOUNT
from domain.keys import DoesNotOpen
from domain.ledger.append import pad
from domain.locales import DEFAULT
from domain.rights.errors import NotVerified
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

Channel = Literal["link", "account", "form", "staff"]

# No vowels and nothing that reads like something else: people say it on the telephone.
_ALPHABET = "23456789BCDFGHJKMNPQRSTVWXZ"
_REFERENCE = re.compile(f"[{_ALPHABET}]{{4}}-[{_ALPHABET}]{{4}}")


class RequestKind(StrEnum):
    """What is asked for."""

    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    ENQUIRY = "enquiry"


class RequestState(StrEnum):
    """How far it has come."""

    RECEIVED = "received"
    VERIFIED = "verified"
    # Erased but for what a legal hold keeps back; the rest goes when the hold ends.
    HELD = "held"
    FULFILLED = "fulfilled"
    REFUSED = "refused"
    CANCELLED = "cancelled"


# Somebody has to do something about these.
OPEN = (RequestState.RECEIVED.value, RequestState.VERIFIED.value)


@dataclass(frozen=True, repr=False)
class Contact:
    """Where mail about a request goes. `stamp` is that of the account, for links; NO_ACCOUNT for
    a correspondent, who has no name here either."""

    email: str
    name: str | None
    locale: str
    stamp: int

    @property
    def has_account(self) -> bool:
        """Whether they can sign in."""
        return self.stamp != NO_ACCOUNT


def contact(session: Session, subject_id: UUID) -> Contact | None:
    """How to reach the person: by their account, or by the address that they wrote from. None
    where neither is kept, or does not open any more."""
    with suppress(DoesNotOpen):
        return _contact(session, subject_id)
    return None


def _contact(session: Session, subject_id: UUID) -> Contact | None:
    account = accounts.of_subject(session, subject_id)
    if account is not None:
        person = accounts.person(session, account)
        return Contact(person.email, person.name, account.locale, account.stamp)
    row = correspondents.of_subject(session, subject_id)
    email = correspondents.email_of(session, subject_id)
    if row is None or email is None:
        return None
    return Contact(email, None, row.locale, NO_ACCOUNT)


def receive(
    session: Session,
    subject_id: UUID,
    kind: RequestKind,
    *,
    channel: Channel,
    at: datetime,
    locale: str = DEFAULT,
    about_purpose: str | None = None,
    asked_at: datetime | None = None,
) -> DataSubjectRequest:
    """Open a request, or take up the one of the same kind that is not answered yet.

    The month runs from when the person asked, `asked_at`, where that was before we looked. Asking
    again is the same request: it runs from the first time. Where it came by mail, and anybody may
    have sent it, an entry that says nothing is appended then in place of `request.received`. Each
    enquiry is one of its own, and each objection to another purpose. Raises UnknownPurpose,
    UnknownSubject.
    """
    received_at = min(asked_at or at, at)
    if about_purpose is not None and about_purpose not in purposes(session).purposes:
        raise UnknownPurpose(about_purpose)
    subjects.lock(session, subject_id)
    waiting = _waiting(session, subject_id, kind, about_purpose)
    if waiting is not None:
        if channel == "link":
            pad(session, at=at)
        return waiting
    request = DataSubjectRequest(
        id=uuid4(),
        reference=_reference(),
        kind=kind.value,
        state=RequestState.RECEIVED.value,
        subject_id=subject_id,
        channel=channel,
        locale=locale,
        about_purpose=about_purpose,
        received_at=received_at,
        # Art. 12(3): one month. The day is the Norwegian one, as the person counts it.
        due_on=add_months(local_day(received_at), 1),
    )
    session.add(request)
    session.flush()
    data = {"due_on": request.due_on.isoformat(), "channel": channel}
    record(session, request, "request.received", data, at=at)
    return request


def _waiting(
    session: Session, subject_id: UUID, kind: RequestKind, about_purpose: str | None
) -> DataSubjectRequest | None:
    """The request that asking again would be the same as."""
    if kind is RequestKind.ENQUIRY:
        return None
    return session.scalar(
        select(DataSubjectRequest).where(
            DataSubjectRequest.subject_id == subject_id,
            DataSubjectRequest.kind == kind.value,
            DataSubjectRequest.about_purpose == about_purpose,
            DataSubjectRequest.state.in_(OPEN),
        )
    )


def verify(
    session: Session, request: DataSubjectRequest, *, channel: Channel, at: datetime
) -> bool:
    """Note that the request comes from the person; return False if it was noted before."""
    if request.state != RequestState.RECEIVED.value:
        return False
    request.state = RequestState.VERIFIED.value
    request.verified_at = at
    record(session, request, "request.verified", {"channel": channel}, at=at)
    return True


def fulfil(session: Session, request: DataSubjectRequest, *, at: datetime) -> bool:
    """Close a verified request, or one that a hold kept open; an enquiry asks for no proof of who
    wrote. Return False if it was closed as done already. Raises NotVerified."""
    if request.state == RequestState.FULFILLED.value:
        return False
    verified = (RequestState.VERIFIED.value, RequestState.HELD.value)
    asked = request.kind == RequestKind.ENQUIRY.value and request.state in OPEN
    if request.state not in verified and not asked:
        raise NotVerified(request.reference)
    close(session, request, RequestState.FULFILLED, {}, at=at)
    return True


def hold(session: Session, request: DataSubjectRequest) -> None:
    """Keep a verified request open until a legal hold ends. Raises NotVerified."""
    if request.state != RequestState.VERIFIED.value:
        raise NotVerified(request.reference)
    request.state = RequestState.HELD.value
    session.flush()


def cancel(session: Session, request: DataSubjectRequest, *, at: datetime) -> bool:
    """Close what the person took back; False if it was closed already."""
    if request.state not in OPEN:
        return False
    request.act_at = None
    close(session, request, RequestState.CANCELLED, {}, at=at)
    return True


def close(
    session: Session,
    request: DataSubjectRequest,
    state: RequestState,
    data: dict[str, Any],
    *,
    at: datetime,
) -> None:
    """Note how it ended. Whoever calls has looked whether it may."""
    request.state = state.value
    request.closed_at = at
    record(session, request, f"request.{state}", data, at=at)


def get(session: Session, request_id: UUID) -> DataSubjectRequest | None:
    """The request."""
    return session.get(DataSubjectRequest, request_id)


def take(session: Session, request_id: UUID) -> DataSubjectRequest | None:
    """The request, with its person locked until the transaction ends.

    The person is locked first, here as everywhere, so that two who close a request at once
    wait for each other and never in a ring.
    """
    request = session.get(DataSubjectRequest, request_id)
    if request is not None and request.subject_id is not None:
        try:
            subjects.lock(session, request.subject_id)
        except UnknownSubject:
            pass  # erased while we waited: the row says so now
        session.refresh(request)
    return request


def of_subject(session: Session, subject_id: UUID) -> list[DataSubjectRequest]:
    """A person's requests, newest first."""
    return list(
        session.scalars(
            select(DataSubjectRequest)
            .where(DataSubjectRequest.subject_id == subject_id)
            .order_by(DataSubjectRequest.received_at.desc())
        )
    )


def by_reference(session: Session, reference: str) -> DataSubjectRequest | None:
    """The request with this reference, whoever it is about."""
    if not _REFERENCE.fullmatch(reference):
        return None
    return session.scalar(
        select(DataSubjectRequest).where(DataSubjectRequest.reference == reference)
    )


def open_ones(
    session: Session, *, due_by: date | None = None, limit: int = 500
) -> Sequence[DataSubjectRequest]:
    """The requests that somebody has to do something about, the most urgent first; with `due_by`
    those due then or earlier. A person's own step may be what is waited for."""
    found = select(DataSubjectRequest).where(DataSubjectRequest.state.in_(OPEN))
    if due_by is not None:
        found = found.where(DataSubjectRequest.due_on <= due_by)
    found = found.order_by(DataSubjectRequest.due_on, DataSubjectRequest.received_at)
    return session.scalars(found.limit(limit)).all()


def newest(session: Session, *, limit: int = 100) -> Sequence[DataSubjectRequest]:
    """The requests that came last, whatever became of them."""
    newest_first = DataSubjectRequest.received_at.desc()
    return session.scalars(select(DataSubjectRequest).order_by(newest_first).limit(limit)).all()


def entries(session: Session, request: DataSubjectRequest) -> list[str]:
    """The ids of the ledger's entries about this request, in the order of what happened; none
    once the person is erased."""
    if request.subject_id is None:
        return []
    told = subjects.entries(session, request.subject_id)
    return [entry.id for entry in told if entry.data.get("reference") == request.reference]


def record(
    session: Session, request: DataSubjectRequest, kind: str, data: dict[str, Any], *, at: datetime
) -> None:
    """Append what happened to a request to the ledger, while it is about somebody."""
    if request.subject_id is not None:
        said = {"kind": request.kind, "reference": request.reference, **data}
        subjects.record_anyway(session, request.subject_id, kind, said, at=at)
    session.flush()


def _reference() -> str:
    """Eight characters of 27: 38 bits, so that a reference tells nothing and is not guessed."""
    characters = [secrets.choice(_ALPHABET) for _ in range(8)]
    return "".join(characters[:4]) + "-" + "".join(characters[4:])


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "reference": row.reference,
            "kind": row.kind,
            "state": row.state,
            "channel": row.channel,
            "locale": row.locale,
            "about_purpose": row.about_purpose,
            "received_at": timestamp(row.received_at),
            "due_on": row.due_on.isoformat(),
            "verified_at": _time(row.verified_at),
            "act_at": _time(row.act_at),
            "extended_at": _time(row.extended_at),
            "reason": row.reason,
            "closed_at": _time(row.closed_at),
        }
        for row in reversed(of_subject(session, subject_id))
    ]


def _time(at: datetime | None) -> str | None:
    return timestamp(at) if at else None


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Close what is open and let go of the person: reference, kind and dates stay."""
    mine = DataSubjectRequest.subject_id == subject_id
    session.execute(
        update(DataSubjectRequest)
        .where(mine, DataSubjectRequest.state.in_(OPEN))
        .values(state=RequestState.FULFILLED.value, closed_at=at)
    )
    session.execute(update(DataSubjectRequest).where(mine).values(subject_id=None))


HOLDINGS = (
    Holding(
        name="requests",
        purposes=("rights",),
        source="person",
        retention=("cases",),
        columns={
            "data_subject_request": (
                "id",
                "reference",
                "kind",
                "state",
                "subject_id",
                "channel",
                "locale",
                "about_purpose",
                "received_at",
                "due_on",
                "verified_at",
                "act_at",
                "extended_at",
                "reason",
                "closed_at",
            )
        },
        holdable=True,
        export=_export,
        erase=_erase,
        stays=True,
    ),
)
