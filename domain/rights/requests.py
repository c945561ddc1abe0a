"""Data subject requests: received, verified, fulfilled (GDPR art. 12, 15, 17).

Each has a reference that the person is told, a state, and a date by which it must be answered.
"""

from __future__ import annotations

import re
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from domain.dates import add_months, local_day, timestamp
from domain.holding import Holding
from domain.identity.models import SignedLink
from domain.ledger.append import pad
from domain.locales import DEFAULT
from domain.rights.errors import NotVerified
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

Channel = Literal["link", "account", "form", "staff"]

# Long enough to find the mail, short enough that nothing lies about half-asked.
UNVERIFIED_FOR = timedelta(days=7)
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


_OPEN = (RequestState.RECEIVED.value, RequestState.VERIFIED.value)


def receive(
    session: Session,
    subject_id: UUID,
    kind: RequestKind,
    *,
    channel: Channel,
    at: datetime,
    locale: str = DEFAULT,
    about_purpose: str | None = None,
) -> DataSubjectRequest:
    """Open a request, or take up the one of the same kind that is not answered yet.

    Asking again is the same request: the month runs from the first time. Where it came by mail,
    and anybody may have sent it, an entry that says nothing is appended then in place of
    `request.received`.
    """
    subjects.lock(session, subject_id)
    waiting = session.scalar(
        select(DataSubjectRequest).where(
            DataSubjectRequest.subject_id == subject_id,
            DataSubjectRequest.kind == kind.value,
            DataSubjectRequest.state.in_(_OPEN),
        )
    )
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
        received_at=at,
        # Art. 12(3): one month. The day is the Norwegian one, as the person counts it.
        due_on=add_months(local_day(at), 1),
        verified_at=None,
        closed_at=None,
    )
    session.add(request)
    session.flush()
    data = {"due_on": request.due_on.isoformat(), "channel": channel}
    _append(session, request, "request.received", data, at=at)
    return request


def verify(
    session: Session, request: DataSubjectRequest, *, channel: Channel, at: datetime
) -> bool:
    """Note that the request comes from the person; return False if it was noted before."""
    if request.state != RequestState.RECEIVED.value:
        return False
    request.state = RequestState.VERIFIED.value
    request.verified_at = at
    _append(session, request, "request.verified", {"channel": channel}, at=at)
    return True


def fulfil(session: Session, request: DataSubjectRequest, *, at: datetime) -> bool:
    """Close a verified request; return False if it was closed already. Raises NotVerified."""
    if request.state == RequestState.FULFILLED.value:
        return False
    if request.state != RequestState.VERIFIED.value:
        raise NotVerified(request.reference)
    request.state = RequestState.FULFILLED.value
    request.closed_at = at
    _append(session, request, "request.fulfilled", {}, at=at)
    return True


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


def entries(session: Session, request: DataSubjectRequest) -> list[str]:
    """The ids of the ledger's entries about this request, in the order of what happened; none
    once the person is erased."""
    if request.subject_id is None:
        return []
    told = subjects.entries(session, request.subject_id)
    return [entry.id for entry in told if entry.data.get("reference") == request.reference]


def refuse_unverified(
    session: Session, *, at: datetime, waited: timedelta = UNVERIFIED_FOR, limit: int = 500
) -> int:
    """Close the requests that nobody verified in the time they `waited`, seven days; return how
    many.

    While a link works that was mailed for it, asked for anew perhaps, a request stays open.
    """
    due = session.scalars(
        select(DataSubjectRequest.id)
        .where(
            DataSubjectRequest.state == RequestState.RECEIVED.value,
            DataSubjectRequest.received_at <= at - waited,
            ~exists().where(
                SignedLink.request_id == DataSubjectRequest.id,
                SignedLink.used_at.is_(None),
                SignedLink.expires_at > at,
            ),
        )
        .order_by(DataSubjectRequest.subject_id)
        .limit(limit)
    ).all()
    refused = 0
    for request_id in due:
        request = take(session, request_id)
        if request is None or request.state != RequestState.RECEIVED.value:
            continue
        request.state = RequestState.REFUSED.value
        request.closed_at = at
        _append(session, request, "request.refused", {"reason": "unverified"}, at=at)
        refused += 1
    return refused


def _append(
    session: Session, request: DataSubjectRequest, kind: str, data: dict[str, Any], *, at: datetime
) -> None:
    if request.subject_id is not None:
        said = {"kind": request.kind, "reference": request.reference, **data}
        subjects.record(session, request.subject_id, kind, said, at=at)
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
            "received_at": timestamp(row.received_at),
            "due_on": row.due_on.isoformat(),
            "verified_at": timestamp(row.verified_at) if row.verified_at else None,
            "closed_at": timestamp(row.closed_at) if row.closed_at else None,
        }
        for row in reversed(of_subject(session, subject_id))
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Close what is open and let go of the person: reference, kind and dates stay."""
    mine = DataSubjectRequest.subject_id == subject_id
    session.execute(
        update(DataSubjectRequest)
        .where(mine, DataSubjectRequest.state.in_(_OPEN))
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
