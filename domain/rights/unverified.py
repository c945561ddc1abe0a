"""Requests that nobody goes on with: they do not lie about for long.

One that nobody verified may have been sent by anybody. One that was verified and never finished
stands open without anybody waiting for anything, and the person's address with it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, delete, exists, or_, select
from sqlalchemy.orm import Session

from domain.dates import local_day
from domain.identity.models import SignedLink
from domain.rights import requests, telling
from domain.rights.archives import ExportState
from domain.rights.models import DataSubjectRequest, ExportArchive, RequestText
from domain.rights.requests import RequestKind, RequestState

# Long enough to find the mail, short enough that nothing lies about half-asked.
UNVERIFIED_FOR = timedelta(days=7)
# Nobody needs a month to press a button; asking again takes a minute.
UNFINISHED_FOR = timedelta(days=30)
UNFINISHED = "unfinished"
# The next step in these is the person's own.
_THEIRS = (
    RequestKind.ACCESS.value,
    RequestKind.PORTABILITY.value,
    RequestKind.RECTIFICATION.value,
    RequestKind.ERASURE.value,
)


def refuse(
    session: Session, *, at: datetime, waited: timedelta = UNVERIFIED_FOR, limit: int = 500
) -> int:
    """Close the requests that nobody verified in the time they `waited`, seven days; return how
    many.

    While a link works that was mailed for it, asked for anew perhaps, a request stays open. What
    was written with it goes: nobody knows who wrote that. An enquiry waits for an answer and for
    nothing else.
    """
    due = session.scalars(
        _unverified(at, waited).order_by(DataSubjectRequest.subject_id).limit(limit)
    ).all()
    refused = 0
    for request_id in due:
        request = requests.take(session, request_id)
        if request is None or request.state != RequestState.RECEIVED.value:
            continue
        request.reason = "unverified"
        requests.close(session, request, RequestState.REFUSED, {"reason": "unverified"}, at=at)
        session.execute(delete(RequestText).where(RequestText.request_id == request.id))
        refused += 1
    return refused


def any_unverified(session: Session, *, at: datetime, waited: timedelta) -> bool:
    """Whether `refuse` would find one."""
    return session.scalar(_unverified(at, waited).limit(1)) is not None


def _unverified(at: datetime, waited: timedelta) -> Select[UUID]:
    works = exists().where(
        SignedLink.request_id == DataSubjectRequest.id,
        SignedLink.used_at.is_(None),
        SignedLink.expires_at > at,
    )
    return select(DataSubjectRequest.id).where(
        DataSubjectRequest.state == RequestState.RECEIVED.value,
        DataSubjectRequest.kind != RequestKind.ENQUIRY.value,
        DataSubjectRequest.received_at <= at - waited,
        ~works,
    )


def any_unfinished(session: Session, *, at: datetime) -> bool:
    """Whether `close_unfinished` would find one."""
    return session.scalar(_unfinished(at).limit(1)) is not None


def _unfinished(at: datetime) -> Select[UUID]:
    copy = exists().where(
        ExportArchive.request_id == DataSubjectRequest.id,
        ExportArchive.state != ExportState.GONE.value,
    )
    return select(DataSubjectRequest.id).where(
        DataSubjectRequest.state == RequestState.VERIFIED.value,
        DataSubjectRequest.kind.in_(_THEIRS),
        DataSubjectRequest.verified_at <= at - UNFINISHED_FOR,
        DataSubjectRequest.act_at.is_(None),
        or_(DataSubjectRequest.extended_at.is_(None), DataSubjectRequest.due_on < local_day(at)),
        or_(
            DataSubjectRequest.kind != RequestKind.RECTIFICATION.value,
            ~exists().where(RequestText.request_id == DataSubjectRequest.id),
        ),
        ~copy,
    )


def close_unfinished(session: Session, *, at: datetime, limit: int = 50) -> int:
    """Close the verified requests whose person has not taken the last step in 30 days, and mail
    them so and how to ask again; return how many.

    Not one that waits for us: a copy that is being made, an erasure that has its day, a correction
    that was asked for in words, or one for which we took more time and have it still.
    """
    due = _unfinished(at)
    closed = 0
    for request_id in session.scalars(
        due.order_by(DataSubjectRequest.subject_id).limit(limit)
    ).all():
        request = requests.take(session, request_id)
        # Whoever held the person until now may have gone on with it.
        if (
            request is None
            or session.scalar(due.where(DataSubjectRequest.id == request_id)) is None
        ):
            continue
        request.reason = UNFINISHED
        requests.cancel(session, request, at=at)
        telling.tell(session, request, "mail.request_closed", at=at)
        closed += 1
    return closed
