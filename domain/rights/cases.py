"""Cases: what is written in a request, what is decided about it, and what it does by itself.

A request is closed in one of three ways: what it asks for is done, it is answered in words, or it
is refused with a reason. The person is told of each by mail, with where to complain, and the words
stand sealed under the person's key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, cast
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from domain.analytics import usage
from domain.consent import decisions
from domain.consent.purposes import purposes
from domain.dates import add_months, local_day, timestamp
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.holding import Holding
from domain.identity import vault
from domain.locales import DEFAULT
from domain.rights import requests, restricting, telling
from domain.rights.errors import NoAnswer, NoReason, NotOpen, NotVerified, TooLate, WrongKind
from domain.rights.models import DataSubjectRequest, RequestText
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects

Author = Literal["person", "controller"]

# Art. 12(3): for how many months from receipt there is time, when it was extended.
EXTENDED_MONTHS = 3
EXTENSIONS = ("complexity", "number")
# Why a request may be refused (art. 11(2), 12(5), 15(4), 17(3), 20(4)); the ledger's words.
REFUSALS = ("unfounded", "excessive", "unidentified", "legal_duty", "others_rights")
# Words alone are an answer to these; what any other asks for has to be done.
ANSWERED = (RequestKind.ENQUIRY, RequestKind.OBJECTION, RequestKind.RECTIFICATION)
# Longer than this nobody has to write to say what is wrong.
MOST_CHARACTERS = 4000
# So long before its day the operator is told of a case that is still open.
WARNED = timedelta(days=7)
_TABLE, _FIELD = "request_text", "words"
_ALARM = "mail.case_due"


@dataclass(frozen=True, repr=False)
class Text:
    """What somebody wrote in a case."""

    author: Author
    words: str
    written_at: datetime


def write(
    session: Session, request: DataSubjectRequest, author: Author, text: str, *, at: datetime
) -> None:
    """Add words to a case, sealed under the person's key; nothing where there are none.

    Raises NotOpen when the case is closed and the person writes, or has nobody any more.
    """
    words = text.strip()[:MOST_CHARACTERS]
    if request.subject_id is None or (author == "person" and request.state not in requests.OPEN):
        raise NotOpen(request.reference, request.state)
    if not words:
        return
    text_id, key = uuid4(), vault.key_of(session, request.subject_id)
    session.add(
        RequestText(
            id=text_id,
            request_id=request.id,
            subject_id=request.subject_id,
            author=author,
            words=vault.seal_bytes(key, _TABLE, text_id, _FIELD, words.encode()),
            written_at=at,
        )
    )
    session.flush()


def write_anew(session: Session, request: DataSubjectRequest, text: str, *, at: datetime) -> None:
    """Put the person's words in place of those that somebody wrote in a request that nobody has
    verified; nothing in place of them where there are none. Raises NotOpen."""
    session.execute(delete(RequestText).where(RequestText.request_id == request.id))
    write(session, request, "person", text, at=at)


def texts(session: Session, request: DataSubjectRequest) -> list[Text]:
    """What was written in the case, oldest first; nothing once the person is erased."""
    if request.subject_id is None:
        return []
    return [text for _, text in _texts(session, request.subject_id, request.id)]


def hand_over(session: Session, writer: UUID, subject_id: UUID) -> None:
    """Seal what was written about one person under the key of another, who turned out to be the
    same (joining.py)."""
    rows = session.scalars(select(RequestText).where(RequestText.subject_id == writer)).all()
    old, new = vault.key_of(session, writer), vault.key_of(session, subject_id)
    for row in rows:
        words = vault.open_bytes(old, _TABLE, row.id, _FIELD, row.words)
        row.words = vault.seal_bytes(new, _TABLE, row.id, _FIELD, words)
        row.subject_id = subject_id
    session.flush()


def extend(
    session: Session, request: DataSubjectRequest, reason: str, words: str, *, at: datetime
) -> None:
    """Give ourselves three months from receipt, and tell the person why (art. 12(3)).

    `reason` is one of EXTENSIONS, `words` are for the person. Raises NoReason, NotOpen, and
    TooLate after the first month or a second time.
    """
    _require_reason(reason, words, EXTENSIONS)
    _require_open(request)
    if request.extended_at is not None or local_day(at) > request.due_on:
        raise TooLate(request.reference, request.due_on)
    request.due_on = add_months(local_day(request.received_at), EXTENDED_MONTHS)
    request.extended_at = at
    request.reason = reason
    write(session, request, "controller", words, at=at)
    data = {"due_on": request.due_on.isoformat(), "reason": reason}
    requests.record(session, request, "request.extended", data, at=at)
    telling.tell(
        session, request, "mail.request_extended", at=at, reason=reason, written=words.strip()
    )


def refuse(
    session: Session, request: DataSubjectRequest, reason: str, words: str, *, at: datetime
) -> None:
    """Close a request without doing what it asks for, and tell the person why, where to complain
    and that a court may be asked (art. 12(4)).

    `reason` is one of REFUSALS, `words` are for the person. Raises NoReason, NotOpen.
    """
    _require_reason(reason, words, REFUSALS)
    _require_open(request)
    request.reason = reason
    write(session, request, "controller", words, at=at)
    requests.close(session, request, RequestState.REFUSED, {"reason": reason}, at=at)
    telling.tell(
        session, request, "mail.request_refused", at=at, reason=reason, written=words.strip()
    )


def answer(session: Session, request: DataSubjectRequest, words: str, *, at: datetime) -> None:
    """Answer an enquiry, an objection that was assessed, or a rectification, and close it.

    The answer stands in the mail too: who wrote to us reads it where they wrote from. Raises
    NoAnswer, NotOpen, WrongKind, NotVerified.
    """
    if RequestKind(request.kind) not in ANSWERED:
        raise WrongKind(request.reference, request.kind)
    _require_open(request)
    if not words.strip():
        raise NoAnswer(request.reference)
    write(session, request, "controller", words, at=at)
    requests.fulfil(session, request, at=at)
    telling.tell(session, request, "mail.case_answered", at=at, written=words.strip())


def object_to(session: Session, subject_id: UUID, purpose_id: str, *, at: datetime) -> list[str]:
    """Stop a purpose that rests on consent, marketing above all: absolutely and at once (art.
    21(2) and (3)), whether or not a consent was ever given; return the ids of the entries.

    Raises UnknownPurpose, UnknownSubject.
    """
    purpose = purposes(session).consent_purpose(purpose_id)
    subjects.lock(session, subject_id)
    made = [subjects.record(session, subject_id, "objection.made", {"purpose": purpose.id}, at=at)]
    ended = decisions.invalidate(session, subject_id, purpose.id, "objection", at=at)
    usage.follow(session, subject_id)
    return [*made, ended] if ended else made


def execute(session: Session, request: DataSubjectRequest, *, at: datetime) -> bool:
    """Do what a verified request does by itself, and mail the person that it is done; False where
    it stays open: for the person's next step, or as a case for the operator, who is told.

    A restriction and an objection to marketing take effect here and now. An objection to anything
    else is assessed first, and meanwhile nothing else changes. Raises NotVerified.
    """
    kind, subject_id = RequestKind(request.kind), request.subject_id
    if kind is RequestKind.ENQUIRY:
        tell_operator(session, request, at=at)
        return False
    if subject_id is None or request.state != RequestState.VERIFIED.value:
        raise NotVerified(request.reference)
    if kind is RequestKind.RESTRICTION:
        restricting.place(session, request, subject_id, at=at)
        return True
    if kind is not RequestKind.OBJECTION:
        return False
    purpose = purposes(session).purposes.get(request.about_purpose or "")
    if purpose is None or not purpose.optional:
        tell_operator(session, request, at=at)
        return False
    made = object_to(session, subject_id, purpose.id, at=at)
    requests.fulfil(session, request, at=at)
    telling.tell(session, request, "mail.objection_done", at=at, entries=made)
    return True


def tell_operator(session: Session, request: DataSubjectRequest, *, at: datetime) -> None:
    """Mail the operator that there is a case to answer: its reference, kind and day, and nothing
    of who wrote or what."""
    letter = {
        **_to_operator(session),
        "kind": request.kind,
        "about_purpose": request.about_purpose,
        "reference": request.reference,
        "due_on": request.due_on,
    }
    outbox.post(session, "mail.case_opened", letter, at=at)


def alarms(session: Session, *, at: datetime) -> int:
    """Tell the operator which cases are due within a week or overdue, in one mail a day; return
    how many they are, 0 where today's mail was posted before. It names references and kinds only.
    """
    today = local_day(at)
    due = requests.open_ones(session, due_by=today + WARNED)
    if not due or _told_today(session, at):
        return 0
    cases = [
        {
            "reference": one.reference,
            "kind": one.kind,
            "due_on": one.due_on.isoformat(),
            "overdue": one.due_on < today,
            "waits_for_person": waits_for_person(one),
        }
        for one in due
    ]
    outbox.post(session, _ALARM, {**_to_operator(session), "cases": cases}, at=at)
    return len(cases)


def waits_for_person(request: DataSubjectRequest) -> bool:
    """Whether an open request goes on when the person does something, and not when staff do."""
    if request.state == RequestState.RECEIVED.value:
        return request.kind != RequestKind.ENQUIRY.value
    return RequestKind(request.kind) not in ANSWERED


def _told_today(session: Session, at: datetime) -> bool:
    """Whether today's mail was posted. A message that was sent keeps the day it was posted on."""
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    posted = select(OutboxMessage.id).where(
        OutboxMessage.kind == _ALARM, OutboxMessage.created_at >= midnight
    )
    return session.scalar(posted.limit(1)) is not None


def _to_operator(session: Session) -> dict[str, Any]:
    return {"to": purposes(session).operator.email, "name": None, "locale": DEFAULT}


def _require_open(request: DataSubjectRequest) -> None:
    """An erasure that is in its time of grace goes on or is stopped by the person."""
    if request.state not in requests.OPEN or request.act_at is not None:
        raise NotOpen(request.reference, request.state)


def _require_reason(reason: str, words: str, known: tuple[str, ...]) -> None:
    if reason not in known or not words.strip():
        raise NoReason(known)


def _texts(
    session: Session, subject_id: UUID, request_id: UUID | None = None
) -> list[tuple[UUID, Text]]:
    """What was written about a person, in one case or in all, with the id of the case."""
    found = select(RequestText).where(RequestText.subject_id == subject_id)
    if request_id is not None:
        found = found.where(RequestText.request_id == request_id)
    rows = session.scalars(found.order_by(RequestText.written_at, RequestText.id)).all()
    key = vault.key_of(session, subject_id) if rows else b""
    return [
        (
            row.request_id,
            Text(
                cast(Author, row.author),
                vault.open_bytes(key, _TABLE, row.id, _FIELD, row.words).decode(),
                row.written_at,
            ),
        )
        for row in rows
    ]


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    references = {one.id: one.reference for one in requests.of_subject(session, subject_id)}
    return [
        {
            "reference": references.get(request_id),
            "author": text.author,
            "words": text.words,
            "written_at": timestamp(text.written_at),
        }
        for request_id, text in _texts(session, subject_id)
    ]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(RequestText).where(RequestText.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="case_texts",
        purposes=("support", "rights"),
        source="both",
        retention=("case_texts",),
        columns={
            "request_text": ("id", "request_id", "subject_id", "author", "words", "written_at")
        },
        export=_export,
        erase=_erase,
        holdable=True,
    ),
)
