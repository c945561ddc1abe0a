"""Recipients are told (GDPR art. 19): of each rectification, erasure and restriction, and of
its end.

Who hosts our database has nothing to be told: what happens here happens there. Any other
processor has an address in processors.toml (`notify`) and gets a mail. Either leaves a row, which
the person may see.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from domain.consent.operator import Processor
from domain.consent.purposes import purposes
from domain.dates import timestamp
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.holding import Holding
from domain.locales import DEFAULT
from domain.rights import requests
from domain.rights.models import RecipientNotice

Kind = Literal["rectification", "erasure", "restriction", "lifted"]
_TOLD = outbox.TO_RECIPIENT


class NoticeState(StrEnum):
    """How far a recipient has been told."""

    # It takes effect there by itself.
    AUTOMATIC = "automatic"
    QUEUED = "queued"
    TOLD = "told"


def tell(
    session: Session, subject_id: UUID, kind: Kind, *, at: datetime, by: str | None = None
) -> list[RecipientNotice]:
    """Tell every processor that received the person's data; return a row for each.

    The mail says who it is about by the address that the processor knows, `by` or the one that
    the person has now; where we know none, nothing can be said. An erasure tells by itself,
    because it erases this holding.
    """
    known = by
    if known is None and (contact := requests.contact(session, subject_id)) is not None:
        known = contact.email
    received = [one for one in _received(session) if known or not one.notify]
    made = [_tell(session, one, subject_id, kind, known, at) for one in received]
    session.add_all(made)
    session.flush()
    return made


def of_subject(session: Session, subject_id: UUID) -> list[RecipientNotice]:
    """Who was told of what, newest first."""
    return list(
        session.scalars(
            select(RecipientNotice)
            .where(RecipientNotice.subject_id == subject_id)
            .order_by(RecipientNotice.at.desc(), RecipientNotice.processor)
        )
    )


def any_told(session: Session, *, at: datetime) -> bool:
    """Whether `note_told` would find one."""
    return session.scalar(_SENT.limit(1)) is not None


_SENT = (
    select(RecipientNotice.id)
    .join(OutboxMessage, OutboxMessage.id == RecipientNotice.id)
    .where(RecipientNotice.state == NoticeState.QUEUED.value, OutboxMessage.state == outbox.SENT)
)


def note_told(session: Session, *, at: datetime, limit: int = 500) -> int:
    """Note which of those that wait have been sent their mail; return how many."""
    sent = session.scalars(_SENT.limit(limit)).all()
    if sent:
        session.execute(
            update(RecipientNotice)
            .where(RecipientNotice.id.in_(sent))
            .values(state=NoticeState.TOLD.value, done_at=at)
        )
    return len(sent)


def _received(session: Session) -> Iterable[Processor]:
    """The processors that some purpose names as a recipient."""
    register = purposes(session)
    named = {recipient for purpose in register for recipient in purpose.recipients}
    return [processor for processor in register.processors if processor.id in named]


def _tell(
    session: Session,
    processor: Processor,
    subject_id: UUID,
    kind: Kind,
    known: str | None,
    at: datetime,
) -> RecipientNotice:
    """The row; its id is that of the mail, if there is one to send."""
    state, notice_id = NoticeState.AUTOMATIC, uuid4()
    if processor.notify and known:
        letter = {"to": processor.notify, "name": None, "locale": DEFAULT}
        about = None if kind == "erasure" else subject_id
        letter |= {"kind": kind, "known_as": known}
        notice_id = outbox.post(session, _TOLD, letter, at=at, about=about)
        state = NoticeState.QUEUED
    return RecipientNotice(
        id=notice_id,
        subject_id=subject_id,
        processor=processor.id,
        kind=kind,
        state=state.value,
        at=at,
        done_at=at if state is NoticeState.AUTOMATIC else None,
    )


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    return [
        {
            "recipient": row.processor,
            "told_of": row.kind,
            "state": row.state,
            "at": timestamp(row.at),
            "done_at": timestamp(row.done_at) if row.done_at else None,
        }
        for row in reversed(of_subject(session, subject_id))
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Tell everybody of the erasure, and let go of the person: that somebody was told stays."""
    tell(session, subject_id, "erasure", at=at)
    let_go(session, subject_id)


def let_go(session: Session, subject_id: UUID) -> None:
    """That somebody was told stays, and is about nobody."""
    mine = RecipientNotice.subject_id == subject_id
    session.execute(update(RecipientNotice).where(mine).values(subject_id=None))


# Before the account in the inventory: whom it is about is told by the address.
HOLDINGS = (
    Holding(
        name="recipients",
        purposes=("rights",),
        source="use",
        retention=("cases",),
        columns={
            "recipient_notice": ("id", "subject_id", "processor", "kind", "state", "at", "done_at")
        },
        export=_export,
        erase=_erase,
        stays=True,
    ),
)
