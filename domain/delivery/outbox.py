"""Messages that leave after the commit: posting them, and what an operator does with them.

A message is a row in the transaction that decided on it, so it exists exactly when its cause
does. Its payload is sealed, because it holds an address and perhaps the token of a link, and
it goes as soon as the message is done.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, or_, select
from sqlalchemy.orm import Session

from database import table_of
from domain.delivery.errors import NotDead, UnknownKind, UnknownMessage
from domain.delivery.models import OutboxMessage
from domain.holding import Holding
from domain.keys import Keyring, SecretError, keyring
from domain.sealed import Sealed

QUEUED, SENT, DEAD, DROPPED = STATES = ("queued", "sent", "dead", "dropped")
MAIL, INTAKE = "mail.", "intake."
# After these nothing may be left of a person: not in a developer's folder, and not here when
# it cannot be delivered.
LAST_MAILS = ("mail.erasure_done", "mail.account_ended")
# Tells a processor whose data to erase: after an erasure the address stands there alone, too.
TO_RECIPIENT = "mail.recipient_told"
# The message is about nobody whom we know, and holds an address all the same.
PASSING = (*LAST_MAILS, TO_RECIPIENT)
# About nobody, and with nobody in it: whoever looks for an address need not open it.
SETTLE = "intake.settle"
# Where a sealed payload has the purpose that is asked for again when the message is delivered.
FOR_PURPOSE = "for_purpose"
# RFC 2606: what stands on the right of a Message-ID where no domain was given (in tests).
_NO_DOMAIN = "samtykke.invalid"
_POST = insert(table_of(OutboxMessage))
_UNATTRIBUTED = (
    OutboxMessage.about.is_(None),
    OutboxMessage.payload.is_not(None),
    OutboxMessage.kind != SETTLE,
)


def post(
    session: Session,
    kind: str,
    payload: Mapping[str, Any],
    *,
    at: datetime,
    about: UUID | None = None,
    purpose: str | None = None,
    due_at: datetime | None = None,
) -> UUID:
    """Queue a message, to be delivered once this transaction has committed, or at `due_at`.

    `payload` takes JSON values, dates and UUIDs; `about` is the subject, whose erasure takes
    the message with it. With a `purpose` it is delivered only if that is permitted for the subject
    then, and dropped otherwise; without one it is about their account, their safety or their
    rights, and always goes. The Message-ID is made here, so that a mail that is delivered twice
    can be told for one; `session.info["mail_domain"]` stands on its right.
    """
    if purpose is not None:
        if about is None:
            raise ValueError("a purpose is permitted for somebody")
        payload = {**payload, FOR_PURPOSE: purpose}
    domain = session.info.get("mail_domain")
    row = message(keyring(session), kind, payload, at=at, about=about, domain=domain)
    session.execute(_POST, {**row, "due_at": due_at or at})
    return cast(UUID, row["id"])


def message(
    ring: Keyring,
    kind: str,
    payload: Mapping[str, Any],
    *,
    at: datetime,
    about: UUID | None = None,
    domain: str | None = None,
) -> dict[str, Any]:
    """The row of a message, as `post` stores it."""
    if not kind.startswith((MAIL, INTAKE)):
        raise UnknownKind(kind)
    message_id = uuid4()
    return {
        "id": message_id,
        "message_id": f"<{uuid4().hex}@{domain or _NO_DOMAIN}>",
        "kind": kind,
        "about": about,
        "payload": ring.seal(_encode(payload), _context(message_id)),
        "state": QUEUED,
        "created_at": at,
        "due_at": at,
        "attempts": 0,
    }


def opened(keys: Keyring, message: UUID, sealed: bytes) -> dict[str, Any]:
    """The payload as it was posted, dates and UUIDs as text. Raises SecretError."""
    payload: dict[str, Any] = json.loads(keys.unseal(sealed, _context(message)))
    return payload


def messages(
    session: Session, state: str | None = None, *, limit: int = 100
) -> list[OutboxMessage]:
    """The newest messages, of one state or of all."""
    query = select(OutboxMessage).order_by(OutboxMessage.created_at.desc(), OutboxMessage.id)
    if state is not None:
        query = query.where(OutboxMessage.state == state)
    return list(session.scalars(query.limit(limit)))


def dead(session: Session) -> list[OutboxMessage]:
    """The messages that were given up, newest first."""
    return messages(session, DEAD)


def send_again(session: Session, message: UUID, *, at: datetime) -> None:
    """Queue a dead message anew, with all its tries. Raises UnknownMessage or NotDead."""
    row = session.get(OutboxMessage, message, with_for_update=True)
    if row is None or (row.state == DEAD and row.payload is None):
        raise UnknownMessage(message)
    if row.state != DEAD:
        raise NotDead(message, row.state)
    row.state, row.due_at, row.attempts, row.closed_at = QUEUED, at, 0, None


def forget(session: Session, subject_id: UUID) -> None:
    """Delete every message about the subject, whatever became of it."""
    session.execute(delete(OutboxMessage).where(OutboxMessage.about == subject_id))


def about_nobody(session: Session) -> Iterator[tuple[OutboxMessage, str]]:
    """The messages with an address in them and no subject, each with the address: requests that
    wait to be looked at, and answers to addresses that we do not know."""
    keys = keyring(session)
    for row in session.scalars(
        select(OutboxMessage).where(*_UNATTRIBUTED).order_by(OutboxMessage.created_at)
    ).all():
        recipient = _recipient(keys, row.id, row.payload)
        if recipient is not None:
            yield row, recipient


def recipients_about_nobody(session: Session) -> Iterator[tuple[UUID, str]]:
    """The ids of the same, for whoever erases: with nothing of what else is in them."""
    keys = keyring(session)
    for message, sealed in session.execute(
        select(OutboxMessage.id, OutboxMessage.payload).where(*_UNATTRIBUTED)
    ):
        recipient = _recipient(keys, message, sealed)
        if recipient is not None:
            yield message, recipient


def purge(session: Session, *, before: datetime, limit: int = 500) -> int:
    """Delete what was closed at that time or earlier, dead messages too; return how many went."""
    old = select(OutboxMessage.id).where(OutboxMessage.closed_at <= before).limit(limit)
    gone = delete(OutboxMessage).where(OutboxMessage.id.in_(old)).returning(OutboxMessage.id)
    return len(session.scalars(gone).all())


def _encode(payload: Mapping[str, Any]) -> bytes:
    return json.dumps(dict(payload), default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> str:
    if isinstance(value, date):  # a datetime is one
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a payload takes no {type(value).__name__}")


def _context(message: UUID) -> bytes:
    return b"outbox:" + message.bytes


# Gone with the message's end: whatever is there is still to be sent, or was given up.
SEALED = Sealed("messages", table_of(OutboxMessage).c.payload, _context)


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    waiting = (
        select(OutboxMessage)
        .where(OutboxMessage.about == subject_id, OutboxMessage.payload.is_not(None))
        .where(or_(OutboxMessage.state == QUEUED, OutboxMessage.state == DEAD))
        .order_by(OutboxMessage.created_at)
    )
    keys = keyring(session)
    return [
        described(row, _recipient(keys, row.id, row.payload)) for row in session.scalars(waiting)
    ]


def described(row: OutboxMessage, recipient: str | None) -> dict[str, Any]:
    """A message as a person's copy of their data lists it."""
    return {
        "kind": row.kind,
        "state": row.state,
        "created_at": row.created_at.isoformat(),
        "to": recipient,
    }


def _recipient(keys: Keyring, message: UUID, sealed: bytes | None) -> str | None:
    # One message whose key is gone must not keep a person from the rest of their data.
    try:
        payload = opened(keys, message, sealed or b"")
    except SecretError:
        return None
    return payload.get("to") or payload.get("email")


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    forget(session, subject_id)


HOLDINGS = (
    Holding(
        name="messages",
        purposes=("account", "rights"),
        source="use",
        retention=("messages",),
        columns={
            "outbox_message": (
                "id",
                "message_id",
                "kind",
                "about",
                "payload",
                "state",
                "created_at",
                "due_at",
                "attempts",
                "leased_until",
                "failure",
                "closed_at",
            )
        },
        export=_export,
        erase=_erase,
        places=("mail server", "mail folder"),
    ),
)
