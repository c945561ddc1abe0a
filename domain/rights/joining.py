"""What somebody wrote before they had an account becomes part of it, once they have shown that the
address is theirs.

Otherwise their copy would lack it, and their erasure would leave it. The entries of the one who
wrote are about nobody from then on: what ties an entry to a person cannot be changed, only cut.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from domain.consent import decisions
from domain.consent.purposes import purposes
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, correspondents
from domain.rights import cases, erasure, held, recipients
from domain.rights.models import DataSubjectRequest, RecipientNotice
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject


def join(session: Session, subject_id: UUID, *, at: datetime) -> bool:
    """Let an account have what was written from its confirmed address; False where there is
    nothing, or where a legal hold keeps it as it is until it ends (`after_hold`).

    Cases keep their references and days, and words are sealed anew. Links to them that were
    mailed before are void: a new one is asked for, or the account shows the case. What the person
    stopped by a link is stopped for the account. Where they asked for what they wrote to be
    erased, and that waits, it is erased now: it never becomes an erasure of the account.
    """
    account = accounts.of_subject(session, subject_id)
    if account is None or not accounts.is_confirmed(session, account):
        return False
    writer = correspondents.find(session, accounts.person(session, account).email)
    if writer is None:
        return False
    try:
        subjects.lock(session, writer)
    except UnknownSubject:  # erased since we looked
        return False
    _stop_too(session, writer, subject_id, at=at)
    if held.kept_back(session, writer):
        subjects.lift_restriction(session, writer, at=at)  # it is the account's to lift now
        return False
    leaving = _leaving(session, writer)
    if leaving is not None:
        erasure.fulfil(session, leaving, at=at)
        return False
    _hand_over(session, writer, subject_id)
    # Nobody has been erased, so no recipient is told so; tries at the address are the account's.
    but = ("recipients", "attempts")
    erasure.forget(session, writer, "replaced", at=at, but=but, into=subject_id)
    return True


def after_hold(session: Session, writer: UUID, *, at: datetime) -> bool:
    """A hold has ended: what it kept apart from the account of its address is joined to it now.
    False where there is no such account."""
    email = correspondents.email_of(session, writer)
    account = accounts.find(session, email) if email else None
    # One that is not confirmed yet joins by itself, and waits for us to do so.
    if account is None or not accounts.is_confirmed(session, account):
        return False
    try:
        subjects.lock(session, account.subject_id)
    except UnknownSubject:  # erased since we looked
        return False
    return join(session, account.subject_id, at=at)


def _stop_too(session: Session, writer: UUID, subject_id: UUID, *, at: datetime) -> None:
    """What was stopped by who wrote is stopped for the account: a restriction, and each optional
    purpose that they objected to, but for one that the account said yes to later."""
    restricted = subjects.get(session, writer).restricted_at is not None
    if restricted and subjects.restrict(session, subject_id, at=at):
        recipients.tell(session, subject_id, "restriction", at=at)
    current = decisions.current(session, subject_id, at=at)
    for purpose_id, objected in _objections(session, writer).items():
        decision = current.get(purpose_id)
        later_yes = decision and decision.state.permits and decision.at > objected
        if not later_yes and not _noted(session, subject_id, purpose_id, objected):
            cases.object_to(session, subject_id, purpose_id, at=at)


def _objections(session: Session, writer: UUID) -> dict[str, datetime]:
    """When they last objected to each optional purpose."""
    optional = {purpose.id for purpose in purposes(session).optional()}
    done = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == writer,
        DataSubjectRequest.kind == RequestKind.OBJECTION.value,
        DataSubjectRequest.state == RequestState.FULFILLED.value,
    )
    return {
        request.about_purpose: request.closed_at
        for request in session.scalars(done.order_by(DataSubjectRequest.closed_at))
        if request.about_purpose in optional and request.closed_at
    }


def _noted(session: Session, subject_id: UUID, purpose_id: str, objected: datetime) -> bool:
    """Whether the account has the objection already, from before a hold ended."""
    return any(
        entry.type == "objection.made" and entry.data["purpose"] == purpose_id
        for entry in subjects.entries(session, subject_id)
        if entry.at >= objected
    )


def _leaving(session: Session, writer: UUID) -> DataSubjectRequest | None:
    """Their erasure that is in its time of grace."""
    return session.scalar(
        select(DataSubjectRequest).where(
            DataSubjectRequest.subject_id == writer,
            DataSubjectRequest.kind == RequestKind.ERASURE.value,
            DataSubjectRequest.state == RequestState.VERIFIED.value,
            DataSubjectRequest.act_at.is_not(None),
        )
    )


def _hand_over(session: Session, writer: UUID, subject_id: UUID) -> None:
    cases.hand_over(session, writer, subject_id)
    for table, column in (
        (DataSubjectRequest, DataSubjectRequest.subject_id),
        (RecipientNotice, RecipientNotice.subject_id),
        (OutboxMessage, OutboxMessage.about),
    ):
        session.execute(update(table).where(column == writer).values({column: subject_id}))
    session.expire_all()
