"""Sending a newsletter: to each person once, and only while they say yes.

A mail is given to the mail server but for its end. Then its row is marked `handing`, and that is
committed; then it is asked whether the person permits it; then the end follows, which makes it
the server's. So nobody's "no" that was answered is passed over (handing.py), a mail that did not
get as far as the mark is tried again, and one that did is not (docs/decisions/0024).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

import structlog
from sqlalchemy.exc import SQLAlchemyError

from database import Database
from domain.consent.permission import Permission, permitted
from domain.delivery.connections import Connection
from domain.delivery.errors import Away, NoMailbox, Refused, TransportError, Unanswered
from domain.delivery.leases import BACKOFF
from domain.delivery.transports import Connects
from domain.identity import accounts
from domain.keys import KeyServiceError
from domain.marketing import addressees, campaigns, jobs, queue, tokens
from domain.marketing.addressees import Addressee
from domain.marketing.campaigns import PURPOSE, DeliveryState, Text
from domain.marketing.errors import NotNow
from domain.marketing.jobs import Job
from domain.marketing.queue import Claimed, Outcome

log = structlog.get_logger()


@dataclass(frozen=True, repr=False, slots=True)
class Letter:
    """What one mail needs. Its repr shows none of it."""

    to: str
    name: str
    locale: str
    # Of the unsubscribe link (tokens.py).
    token: str
    # With its angle brackets.
    message_id: str
    at: datetime


# The envelope's sender and recipient, bare, and the mail: ASCII, with CRLF at each line's end.
Compose = Callable[[Letter], tuple[str, str, bytes]]
# Made once for a newsletter, of what it says by language.
Composing = Callable[[Mapping[str, Text]], Compose]
Clock = Callable[[], datetime]
Ask = Callable[[UUID, datetime], Permission]
Stopping = Callable[[], bool]

# So many mails are claimed at once, and begun with within so many seconds: what is read of people
# together with it is no older than that when it is used.
BATCH, FRESH = 200, 2.0
# Where the server is slower than this, what became of a mail is committed at once and not
# together with the mark of the next: nobody who withdraws waits for that one then.
SLOW = 0.05
# Where so many seconds passed between the mark and the end (the process was stopped, the database
# hung), what was asked is asked again.
STALLED = 30.0
# The wait for a server that takes nothing, twice as long each time.
REST = (timedelta(seconds=1), timedelta(minutes=1))
# What stands on the right of a Message-ID where no domain was given (RFC 2606): in tests.
NO_DOMAIN = "samtykke.invalid"
# So many mails refused one after the other: it is not the addresses.
REFUSED = 25


class Sender:
    """Sends what newsletters are started. Any number may run at once, in any number of processes.

    `post` gives connections, of which one is kept open; `composing` makes the mails. `rate` is how
    many mails may leave in a minute, of all senders together; 0 for as many as the server takes.
    """

    def __init__(
        self,
        database: Database,
        post: Connects,
        composing: Composing,
        clock: Clock,
        *,
        rate: int = 0,
        ask: Ask | None = None,
    ):
        self._database = database
        self._post, self._composing, self._clock = post, composing, clock
        self._pace = timedelta(minutes=1) / rate if rate else None
        self._ask = ask or self._permitted
        self._connection: Connection | None = None
        self._compose: tuple[UUID, Compose] | None = None
        self._after: tuple[UUID, UUID] | None = None
        # Sent, and not committed yet: with the mark of the next.
        self._sent: Claimed | None = None
        # Sent since it was last waited for the disk.
        self._unwritten: list[Claimed] = []
        # What could not be committed when it was known, because the database was away.
        self._owed: deque[tuple[Claimed, datetime, Outcome]] = deque()
        self._rest: tuple[datetime, timedelta] | None = None
        self._refused = 0

    def run_once(self, stopping: Stopping = lambda: False, *, only: UUID | None = None) -> int:
        """Send all that may leave now; return how many mails were tried. `only` is one newsletter
        of several. A database that is away raises; nothing is lost or sent twice by that."""
        tried = 0
        while not stopping() and (done := self.step(stopping, only=only)) is not None:
            tried += done
        return tried

    def step(self, stopping: Stopping = lambda: False, *, only: UUID | None = None) -> int | None:
        """Do a little: some hundred mails at most. How many were tried; None when nothing is to be
        done now."""
        self._confirm()
        at = self._clock()
        found = jobs.waiting(self._database, at=at, only=only)
        resting = self._resting(at)
        for job in found:
            done = None
            if job.dead or job.over:
                done = self._clear_up(job, at)
            elif not resting:
                done = self._send_some(job, at, stopping)
            if done is not None:
                return done
            if self._pace and job.due:
                return None  # the rate is for all newsletters together
        if not found:
            self.close()
        return None

    def close(self) -> None:
        """Hang up, until there is something to send again."""
        self._confirm()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _clear_up(self, job: Job, at: datetime) -> int | None:
        if job.dead:
            queue.give_up(self._database, at=at)
        elif not queue.end(self._database, job.id, at=at):
            return None
        log.info("campaign_cleared_up", campaign=str(job.id), over=job.over)
        return 0

    def _send_some(self, job: Job, at: datetime, stopping: Stopping) -> int | None:
        if not job.filled:
            queue.fill(self._database, job.id, at=at)
        after = self._after[1] if self._after and self._after[0] == job.id else None
        claimed = queue.claim(self._database, job.id, after, at=at, limit=BATCH, pace=self._pace)
        if claimed is None:
            return None if job.filled else 0
        if claimed:
            self._after = job.id, max(one.subject_id for one in claimed)
        left = deque(claimed)
        try:
            self._batch(job, left, stopping)
        except (Away, KeyServiceError) as error:
            self._tire(error)
        self._confirm()
        queue.release(self._database, list(left))
        if self._refused >= REFUSED:
            self._stop(job)
        return len(claimed) - len(left)

    def _batch(self, job: Job, left: deque[Claimed], stopping: Stopping) -> None:
        """Send what was claimed, as far as we come; the rest is left."""
        begun = time.monotonic()
        with self._database.reading() as session:
            rows = addressees.sealed(session, [one.subject_id for one in left])
            session.rollback()  # its connection goes back; what is opened needs none
            while left and not stopping() and self._refused < REFUSED:
                if time.monotonic() - begun > FRESH:
                    return
                one = left.popleft()
                row = rows.get(one.subject_id)
                if row is None:  # they were erased
                    continue
                one = replace(one, address=row.email)
                # Where it is not ours to send, perhaps none is.
                if not self._try(job, one, partial(addressees.opened, session, row)):
                    return

    def _resting(self, at: datetime) -> bool:
        # A clock that was set back must not make it longer.
        return self._rest is not None and self._rest[0] - self._rest[1] <= at < self._rest[0]

    def _tire(self, error: Exception) -> None:
        pause = min(2 * self._rest[1], REST[1]) if self._rest else REST[0]
        self._rest = self._clock() + pause, pause
        failure = error.failure if isinstance(error, Away) else type(error).__name__
        log.warning("campaign_waits", failure=failure, seconds=pause.total_seconds())

    def _stop(self, job: Job) -> None:
        """Whatever the server has against us, it has it against all of them."""
        self._refused = 0
        with suppress(NotNow), self._database.transaction() as session:
            campaigns.pause(session, job.id, at=self._clock())
            log.error("campaign_refused", campaign=str(job.id), mails=REFUSED)

    def _try(self, job: Job, one: Claimed, whom: Callable[[], Addressee]) -> bool:
        """One mail, and what comes of it. False where it was not ours to send; raises Away where
        the server takes none."""
        ours = True
        begun = time.monotonic()
        try:
            self._offer(*self._mail(one, whom()))
        except KeyServiceError:
            queue.release(self._database, [one])
            raise
        except SQLAlchemyError:
            raise  # away: that is no fault of this mail's, and the claim runs out by itself
        except TransportError as error:
            self._not_taken(job, one, error, handed=None)
        except Exception as error:
            # Not its text, which may quote a person. No other try will make this mail.
            reason = type(error).__name__
            log.error("campaign_mail_failed", campaign=str(job.id), failure=reason)
            self._close(one, Outcome(DeliveryState.FAILED, reason[:40]), handed=None)
            self._refused += 1
        else:
            ours = self._hand_over(job, one)
        if time.monotonic() - begun > SLOW:
            self._settle()
        return ours

    def _mail(self, one: Claimed, person: Addressee) -> tuple[str, str, bytes]:
        if self._compose is None or self._compose[0] != one.campaign_id:
            with self._database.reading() as session:
                texts = campaigns.texts(session, one.campaign_id)
            self._compose = one.campaign_id, self._composing(texts)
        at, info = self._clock(), self._database.info
        letter = Letter(
            to=person.email,
            name=person.name,
            locale=person.locale,
            token=tokens.make(info["keyring"], one.subject_id, at),
            message_id=f"<{uuid4().hex}@{info.get('mail_domain', NO_DOMAIN)}>",
            at=at,
        )
        return self._compose[1](letter)

    def _offer(self, sender: str, recipient: str, content: bytes) -> None:
        """Give it to the server but for its end. A connection that was used before may have been
        closed by the server meanwhile: then by another."""
        if self._connection is not None:
            try:
                return self._connection.offer(sender, recipient, content)
            except Away:
                self._connection = None
        connection = self._post.connect()
        connection.offer(sender, recipient, content)
        self._connection = connection

    def _hand_over(self, job: Job, one: Claimed) -> bool:
        """Mark it, ask whether it is permitted, and give the end of it: in this order. False, and
        it is not sent, where it is not ours (queue.mark)."""
        connection, at, marked = self._connection, self._clock(), time.monotonic()
        assert connection is not None  # noqa: S101 - it has just been offered the mail
        try:
            before = self._sent.subject_id if self._sent else None
            ours = queue.mark(self._database, job.id, one, before, at=at)
            self._sent = None
            answer = ours and self._ask(one.subject_id, self._clock())
        except BaseException:
            self._drop()
            # It may be marked, and did not leave.
            self._owed.append((one, at, Outcome(DeliveryState.QUEUED, None, at)))
            raise
        if not answer:
            self._drop()
            if isinstance(answer, Permission):
                outcome = Outcome(DeliveryState.DROPPED, answer.value)
                self._close(one, outcome, handed=at)
            return ours
        try:
            if time.monotonic() - marked > STALLED:
                self._drop()  # whoever says no may wait for this one no longer
                raise Away("Stalled")
            connection.end()
        except TransportError as error:
            self._not_taken(job, one, error, handed=at)
        else:
            self._sent, self._rest, self._refused = one, None, 0
            self._unwritten.append(one)
        return True

    def _drop(self) -> None:
        """Let the server forget what it was offered."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _not_taken(
        self, job: Job, one: Claimed, error: TransportError, *, handed: datetime | None
    ) -> None:
        """Note why the server did not take it, or that nobody knows. Raises Away again."""
        at = self._clock()
        if isinstance(error, Unanswered):
            outcome = Outcome(DeliveryState.UNCERTAIN, error.failure[:40])
        elif isinstance(error, Refused) or one.attempts >= len(BACKOFF):
            outcome = Outcome(DeliveryState.FAILED, error.failure[:40])
        else:
            due = at + BACKOFF[one.attempts]
            outcome = Outcome(DeliveryState.QUEUED, error.failure[:40], due)
        self._close(one, outcome, handed=handed)
        if isinstance(error, NoMailbox):
            with self._database.transaction() as session:
                accounts.mark_undeliverable(session, one.subject_id, error.status or "5.1.1", at=at)
        if isinstance(error, Refused):
            self._refused += 1
        if isinstance(error, Unanswered | Away):
            self._connection = None
            raise Away(error.failure)

    def _close(self, one: Claimed, outcome: Outcome, *, handed: datetime | None) -> None:
        self._settle()
        queue.close(self._database, one, outcome, handed=handed, at=self._clock())

    def _settle(self) -> None:
        """Commit what became of the mails so far."""
        at = self._clock()
        if self._sent is not None:
            queue.mark(self._database, self._sent.campaign_id, None, self._sent.subject_id, at=at)
            self._sent = None
        while self._owed:
            one, handed, outcome = self._owed[0]
            queue.close(self._database, one, outcome, handed=handed, at=at)
            self._owed.popleft()

    def _confirm(self) -> None:
        """Wait for the disk. What a database that died has lost is said again."""
        self._settle()
        queue.confirm(self._database, self._unwritten, at=self._clock())
        self._unwritten.clear()

    def _permitted(self, subject_id: UUID, at: datetime) -> Permission:
        return permitted(self._database, subject_id, PURPOSE, at=at)
