"""The worker: takes messages from the outbox and delivers them, at least once.

What a crash leaves behind: before the lease, a queued message; between lease and closing, a
leased one that another worker takes when the lease runs out (a mail may then arrive twice,
with one Message-ID); in the closing transaction, either of the two. An intake's work and its
closing are one transaction, so that its effects happen once.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from email.message import EmailMessage
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from database import Database
from domain.delivery import leases
from domain.delivery.errors import NotYet, Refused, TransportError, UnknownKind, Unwanted
from domain.delivery.leases import Lease
from domain.delivery.outbox import DROPPED, FOR_PURPOSE, INTAKE, SENT, opened
from domain.delivery.transports import Transport
from domain.keys import UnknownEpoch, WrongSeal

Render = Callable[[str, Mapping[str, Any], str, datetime], EmailMessage]
Handler = Callable[[Session, Mapping[str, Any], datetime], object]
Ready = Callable[[Mapping[str, Any]], bool]
Clock = Callable[[], datetime]
# Why a purpose is not permitted for a subject now; None where it is.
Forbids = Callable[[UUID, str, datetime], str | None]

# How long a mail waits, from when it was posted, for what it is to enclose.
PATIENCE = timedelta(seconds=10)

log = structlog.get_logger()


class Outcome(StrEnum):
    """What became of one try."""

    DELIVERED = "delivered"
    POSTPONED = "postponed"
    # Too early by a moment; no failed try.
    PUT_OFF = "put off"
    GIVEN_UP = "given up"
    DROPPED = "dropped"
    # The lease ran out, or the message was erased meanwhile: nothing was left to say.
    LOST = "lost"


class Worker:
    """Delivers what is due.

    `render(kind, payload, message_id, at)` makes a mail of a `mail.` message, which `transport`
    sends; `handlers` run the `intake.` ones, by kind. A mail whose payload is not `ready` waits
    for it, a second at a time and ten at most, and is sent as it is then. A mail that was posted
    for a purpose is dropped if it `forbids` that for its subject; this is asked when the mail is
    taken up and again when it is made, right before it leaves. Any number of workers may run at
    once.
    """

    def __init__(
        self,
        database: Database,
        transport: Transport,
        render: Render,
        handlers: Mapping[str, Handler],
        clock: Clock,
        ready: Ready = lambda payload: True,
        forbids: Forbids = lambda subject_id, purpose, at: "nobody_asked",
    ):
        self.transport = transport
        self._database = database
        self._render = render
        self._handlers = handlers
        self._clock = clock
        self._ready = ready
        self._forbids = forbids

    def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Deliver all that is due, and what that posts in turn; return how many were delivered.

        `stopping` is asked between two messages. A database that is away raises; what was in
        hand is taken up again when its lease runs out.
        """
        delivered = 0
        while not stopping() and (outcome := self.step()) is not None:
            delivered += outcome is Outcome.DELIVERED
        return delivered

    def step(self) -> Outcome | None:
        """Try the message that has waited longest; return None if none is due."""
        lease = self._take()
        if lease is None:
            return None
        try:
            delivered = self._deliver(lease)
        except Unwanted as unwanted:
            outcome = self._drop(lease, unwanted.reason)
        except NotYet:
            outcome = self._put_off(lease)
        except Exception as error:
            outcome = self._fail(lease, error)
        else:
            # Outside the try: a mail that was sent and could not be closed is no failed mail.
            outcome = delivered if lease.kind.startswith(INTAKE) else self._close(lease)
        log.info("message_tried", message=str(lease.id), kind=lease.kind, outcome=str(outcome))
        return outcome

    def _take(self) -> Lease | None:
        at = self._clock()
        with self._database.reading() as session:  # an idle worker writes nothing
            if not leases.due(session, at=at):
                return None
        with self._database.transaction() as session:
            return leases.take(session, at=at)

    def _deliver(self, lease: Lease) -> Outcome:
        payload = opened(self._database.info["keyring"], lease.id, lease.sealed)
        if lease.kind.startswith(INTAKE):
            return self._run(lease, payload)
        at = self._clock()
        # A clock that was set back must not make anybody wait until it has caught up.
        if timedelta() <= at - lease.posted_at < PATIENCE and not self._ready(payload):
            raise NotYet
        self._ask(lease, payload)
        mail = self._render(lease.kind, payload, lease.message_id, at)
        self._ask(lease, payload)
        self.transport.send(mail, kind=lease.kind)
        return Outcome.DELIVERED

    def _ask(self, lease: Lease, payload: Mapping[str, Any]) -> None:
        """Raise Unwanted where what the mail is for is not permitted at this moment."""
        purpose = payload.get(FOR_PURPOSE)
        if purpose is None or lease.about is None:
            return
        reason = self._forbids(lease.about, purpose, self._clock())
        if reason is not None:
            raise Unwanted(reason)

    def _run(self, lease: Lease, payload: Mapping[str, Any]) -> Outcome:
        handler = self._handlers.get(lease.kind)
        if handler is None:
            raise UnknownKind(lease.kind)
        at = self._clock()
        with self._database.transaction() as session:
            row = leases.held(session, lease)
            if row is None:
                return Outcome.LOST
            handler(session, payload, at)
            leases.finish(row, SENT, at=at)
        return Outcome.DELIVERED

    def _close(self, lease: Lease) -> Outcome:
        with self._database.transaction() as session:
            closed = leases.close(session, lease, at=self._clock())
        return Outcome.DELIVERED if closed else Outcome.LOST

    def _put_off(self, lease: Lease) -> Outcome:
        with self._database.transaction() as session:
            kept = leases.put_off(session, lease, at=self._clock())
        return Outcome.PUT_OFF if kept else Outcome.LOST

    def _drop(self, lease: Lease, reason: str) -> Outcome:
        at = self._clock()
        with self._database.transaction() as session:
            row = leases.held(session, lease)
            if row is None:
                return Outcome.LOST
            leases.finish(row, DROPPED, at=at, failure=reason)
        return Outcome.DROPPED

    def _fail(self, lease: Lease, error: Exception) -> Outcome:
        failure, at = _name(error), self._clock()
        # No other try opens a seal whose key is gone, or makes a server take what it refused.
        hopeless = lease.last or isinstance(error, Refused | UnknownEpoch | WrongSeal)
        with self._database.transaction() as session:
            record = leases.bury if hopeless else leases.postpone
            kept = record(session, lease, failure, at=at)
        log.log(
            logging.ERROR if hopeless else logging.WARNING,
            "message_failed",
            message=str(lease.id),
            kind=lease.kind,
            attempt=lease.attempt,
            failure=failure,
            place=_place(error),
        )
        if not kept:
            return Outcome.LOST
        return Outcome.GIVEN_UP if hopeless else Outcome.POSTPONED


def _name(error: Exception) -> str:
    """What is stored of a failure: a class or a code. Its text may quote a person's address."""
    return (error.failure if isinstance(error, TransportError) else type(error).__name__)[:200]


def _place(error: Exception) -> str:
    """Where it happened, for the log, in place of the text that we cannot show."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
