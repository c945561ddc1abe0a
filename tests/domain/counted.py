"""People and browsers that are counted, for the tests of usage."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select

from database import Base, Database, table_of
from domain.analytics import recording, usage
from domain.analytics.models import UsageEvent
from domain.analytics.usage import Kind
from domain.consent import notices, presentations
from domain.dates import months_later
from domain.rights import choosing
from domain.subjects import service as subjects
from tests.domain.consenting import CONTENT, decide, served, somebody
from tests.support import NOON

TIP = "a-tip"
# A Wednesday, on which what the purpose says today is in force.
START = NOON + timedelta(days=3)


def member(database: Database, *, yes: bool = True, at: datetime = START) -> UUID:
    """Somebody who said yes, or no, to being counted."""
    with database.transaction() as session:
        if not notices.versions(session, "privacy"):
            notices.publish(session, CONTENT, at=START)
        who = somebody(session)
        shown = served(session, who, at=at)
        decide(session, who, at=at, shown=shown, analytics=yes)
    return who


def choose(
    database: Database,
    who: UUID,
    *,
    signal: bool = False,
    despite: bool = False,
    at: datetime,
    **choices: bool,
) -> list[str]:
    """What they say on a new page of preferences."""
    with database.reading() as session:
        document = presentations.current(session, "preferences", "nb", at=at)
        seen = subjects.get(session, who).linked
        token = presentations.token(session, document, at=at, seen=seen)
    said = {"signal": signal, "despite": despite}
    return choosing.choose(database, who, "preferences", token, choices, **said, at=at)


def browser(
    database: Database, token: str, *, despite: bool = False, months: int = 12, at: datetime = START
) -> str:
    """A browser whose visitor said yes, for so long."""
    until = months_later(at, months)
    with database.transaction() as session:
        usage.begin(session, browser=token, despite_signal=despite, expires_at=until, at=at)
    return token


def count(
    database: Database,
    who: UUID | str,
    item: str = TIP,
    kind: Kind = Kind.READ,
    locale: str = "nb",
    *,
    signal: bool = False,
    at: datetime = START,
) -> bool:
    """A member or a browser does something."""
    if isinstance(who, UUID):
        return recording.record(database, item, kind, locale, subject_id=who, signal=signal, at=at)
    return recording.record(database, item, kind, locale, browser=who, signal=signal, at=at)


def events(database: Database) -> list[tuple[bytes, str, str]]:
    """Who did what, as it is stored."""
    event = table_of(UsageEvent).c
    with database.reading() as session:
        rows = session.execute(
            select(event.pseudonym, event.item, event.kind).order_by(event.day, event.item)
        )
        return [(bytes(who), item, kind) for who, item, kind in rows]


def rows(database: Database, table: str) -> int:
    """How many there are in a table."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Base.metadata.tables[table])) or 0
