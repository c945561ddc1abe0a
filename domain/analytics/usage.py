"""Who is counted, and what they did: only by those who said yes, and only while the yes stands.

A member or a browser is counted by a random key of its own, which is made when they say yes (a
member's at the latest when something is counted) and deleted, with every event, by the transaction
that ends the yes. What is recorded (recording.py) is either before that, and goes with it, or finds
no key: nothing is recorded after a withdrawal was answered.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, time
from enum import StrEnum
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Select, bindparam, delete, or_, select
from sqlalchemy.orm import Session

from database import Database, inserting, table_of
from domain.analytics import pseudonyms
from domain.analytics.models import UsageEvent, UsageKey
from domain.consent.decisions import DecisionState
from domain.consent.models import CurrentDecision
from domain.dates import OSLO, local_day
from domain.keys import KEY_BYTES
from domain.subjects import service as subjects

PURPOSE = "analytics"


class Kind(StrEnum):
    """What somebody did with a tip or a tool."""

    READ = "read"
    FINISHED = "finished"
    USED = "used"
    USEFUL = "useful"
    NOT_USEFUL = "not_useful"


def browser_hash(token: str) -> bytes:
    """What stands in the database of what a browser's cookie holds."""
    return hashlib.sha256(token.encode()).digest()


def has_key(database: Database, token: str) -> bool:
    """Whether the browser whose cookie holds this token has a key; whoever ended it took it."""
    return database.first(_OF_BROWSER, {"browser": browser_hash(token)}) is not None


def begin(
    session: Session,
    *,
    subject_id: UUID | None = None,
    browser: str | None = None,
    despite_signal: bool,
    expires_at: datetime | None = None,
    at: datetime,
) -> None:
    """From now on a member, or the browser whose cookie holds this token, is counted.

    Where they are already, the pseudonyms stay. A member who once said yes with a browser that
    sends `Sec-GPC: 1` has said so until they withdraw; of a browser its newest answer counts. A
    member is locked, and nothing begins where their decision is no yes. Raises UnknownSubject.

    Of a browser no time is kept but the day, and nothing for longer than it said: by the second its
    key would lead to its yes in the ledger, and from there to who signed up in it.
    """
    if (subject_id is None) == (browser is None) or (browser is None) != (expires_at is None):
        raise ValueError("either a member, or a browser until a time")
    if subject_id is not None:
        subjects.lock(session, subject_id)
    if expires_at is not None:
        at, expires_at = _midnight(at), _midnight(expires_at)
    by = _KEY.c.subject_id if browser is None else _KEY.c.browser
    statement = inserting(session, _KEY).values(
        id=uuid4(),
        subject_id=subject_id,
        browser=browser_hash(browser) if browser is not None else None,
        key=secrets.token_bytes(KEY_BYTES),
        despite_signal=despite_signal,
        begun_at=at,
        expires_at=expires_at,
    )
    new = statement.excluded
    renewed = {"despite_signal": new.despite_signal, "expires_at": new.expires_at}
    if browser is None:
        renewed = {"despite_signal": or_(_KEY.c.despite_signal, new.despite_signal)}
    session.execute(statement.on_conflict_do_update(index_elements=[by], set_=renewed))
    if subject_id is not None:
        follow(session, subject_id)


def end_member(session: Session, subject_id: UUID) -> int:
    """Stop counting a member and delete what was counted; how many events went. The person is
    locked, by the decision that this comes of."""
    return _end(session, _KEY.c.subject_id == subject_id)


def end_browser(session: Session, token: str) -> int:
    """The same for the browser whose cookie holds this token."""
    return _end(session, _KEY.c.browser == browser_hash(token))


def end_browsers(session: Session, *, limit: int) -> int:
    """The same for so many browsers, whatever they said; how many. After an older copy of the
    database was restored nobody knows which of them have said no since."""
    ids = session.scalars(select(_KEY.c.id).where(_KEY.c.browser.is_not(None)).limit(limit)).all()
    _end(session, _KEY.c.id.in_(ids))
    return len(ids)


def due(at: datetime) -> Select[tuple[UUID]]:
    """The keys of browsers whose yes has run out."""
    return select(_KEY.c.id).where(_KEY.c.expires_at <= at)


def end_due(session: Session, *, at: datetime, limit: int) -> int:
    """The same for browsers whose yes has run out, so many at most; how many browsers."""
    ids = session.scalars(due(at).limit(limit).with_for_update(skip_locked=True)).all()
    _end(session, _KEY.c.id.in_(ids))
    return len(ids)


def follow(session: Session, subject_id: UUID) -> None:
    """What comes of a member's decisions: where none of them permits any more, `end_member`.

    For whoever changed one, in the same transaction. That only the words of the purpose are newer
    than the yes ends nothing: recording rests until it is renewed.
    """
    state = session.scalar(_STATE, {"subject": subject_id})
    if state is None or not DecisionState(state).permits:
        end_member(session, subject_id)


def despite_signal(session: Session, subject_id: UUID) -> bool:
    """Whether a member said yes with a browser that asks not to be counted, so that it counts
    there too."""
    found = select(_KEY.c.despite_signal).where(_KEY.c.subject_id == subject_id)
    return bool(session.scalar(found))


def _midnight(at: datetime) -> datetime:
    """The beginning of the day, as days are in Norway."""
    return datetime.combine(local_day(at), time.min, OSLO).astimezone(UTC)


def _end(session: Session, which: ColumnElement[bool]) -> int:
    """Delete keys, and then the events of each: who is recording holds the key, so we wait for
    them, and see what they wrote."""
    session.flush()
    keys = session.scalars(delete(_KEY).where(which).returning(_KEY.c.key)).all()
    if not keys:
        return 0
    months = pseudonyms.month_keys(session).values()
    connection, gone = session.connection(), 0
    for key in keys:
        whose = [pseudonyms.pseudonym(bytes(key), month) for month in months]
        gone += connection.execute(delete(_EVENT).where(_EVENT.c.pseudonym.in_(whose))).rowcount
    return gone


_KEY, _EVENT = table_of(UsageKey), table_of(UsageEvent)
_OF_BROWSER = select(_KEY.c.id).where(_KEY.c.browser == bindparam("browser"))
_DECISION = table_of(CurrentDecision)
_STATE = select(_DECISION.c.state).where(
    _DECISION.c.subject_id == bindparam("subject"), _DECISION.c.purpose_id == PURPOSE
)
