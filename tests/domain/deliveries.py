"""What tests of delivery share: a clock, a network that fails as told, and a process that dies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from database import Database
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage

MAIL = {"to": "kari@example.no", "name": "Kari", "locale": "nb"}


class Died(BaseException):
    """The process ended here: nothing catches it."""


@dataclass
class Clock:
    """The time, which tests move."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def move(self, by: timedelta) -> None:
        self.at += by


@dataclass
class Network:
    """The edge: keeps what was sent, and fails as told, before or after sending."""

    sent: list[str] = field(default_factory=list)
    before: list[BaseException | None] = field(default_factory=list)
    after: list[BaseException | None] = field(default_factory=list)

    def send(self, mail: EmailMessage, *, kind: str) -> None:
        self._fail(self.before)
        self.sent.append(str(mail["Message-ID"]))
        self._fail(self.after)

    def _fail(self, plan: list[BaseException | None]) -> None:
        if plan and (error := plan.pop(0)) is not None:
            raise error


def render(kind: str, payload: Mapping[str, Any], message_id: str, at: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["To"], mail["Message-ID"] = payload["to"], message_id
    return mail


def row(database: Database, message: UUID) -> OutboxMessage:
    with database.reading() as session:
        found = session.get(OutboxMessage, message)
    assert found is not None
    return found


def posted(database: Database, kind: str, at: datetime, **payload: Any) -> UUID:
    """Post a message about Kari, and commit."""
    about = payload.pop("about", None)
    with database.transaction() as session:
        return outbox.post(session, kind, {**MAIL, **payload}, at=at, about=about)
