"""A person's choices on a form of their own: decided, recorded and told of, in as few steps as
there can be.

This is the site's most frequent write, and each journey to a database costs as much as all else
that a request does. So the ordinary case is one read and one write:

1. What the decision depends on is read, without a lock.
2. What comes of it is made: entries, projection, the message that will carry the receipts.
3. All of that is written in one transaction, which first locks the person's row and finds them
   as they were read. Where it does not, nothing is written, and it is decided anew under a lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Uuid, bindparam, select

from database import Database, table_of
from domain.analytics import usage
from domain.consent import decisions, presentations
from domain.consent.decisions import Decided, DecisionState, Standing
from domain.consent.presentations import Notice
from domain.consent.statements import STANDING_AND_NOTICES
from domain.dates import local_day
from domain.identity.errors import TooManyTries
from domain.ledger.models import LedgerEntry
from domain.rights import telling
from domain.subjects import recording
from domain.subjects.models import EntryLink
from domain.subjects.recording import Known

# So many entries about one person in an hour, and they may say yes again when it is over. Each
# is kept for ever, and each change is a mail. Saying no is never refused: it needs a yes before.
MOST, HOUR = 120, timedelta(hours=1)
_NTH = (
    select(table_of(LedgerEntry).c.recorded_at)
    .join(table_of(EntryLink), table_of(EntryLink).c.entry_id == table_of(LedgerEntry).c.id)
    .where(
        table_of(EntryLink).c.subject_id == bindparam("subject", type_=Uuid()),
        table_of(EntryLink).c.ordinal == bindparam("ordinal"),
    )
)


def choose(
    database: Database,
    subject_id: UUID,
    surface_id: str,
    signed: str | None,
    choices: Mapping[str, bool],
    *,
    signal: bool = False,
    despite: bool = False,
    at: datetime,
) -> list[str]:
    """Record what a person chose on the form whose token is `signed`, and queue the mail about
    it; return the ids of the entries. It is committed when this returns, and with it what a yes
    or no to being counted brings (domain/analytics/usage.py); `signal` is whether the browser
    asks not to be counted. A yes that is said from there counts there; one that only stays as it
    was does with `despite`, which the person asked for by itself.

    What comes of the choices says `decisions.decide`. Raises what it raises, UnknownSubject,
    TooManyTries, and what `presentations.shown` raises.
    """
    register = database.info["purposes"].on(local_day(at))
    ring = database.info["keyring"]
    token = presentations.opened(ring, signed, at=at)
    looked_up = {"subject": subject_id, "hash": token.hash, "on": local_day(at)}
    rows = database.every(STANDING_AND_NOTICES, looked_up)
    standing = Standing.of(subject_id, rows)
    published = [Notice(one.effective_on, one.locale, one.notice) for one in rows if one.locale]
    shown = presentations.answered(register, surface_id, token, published)
    decided = decisions.decide(register, standing, choices, shown, at=at)
    despite = signal and choices.get(usage.PURPOSE, False) and (despite or _anew(decided))
    if not decided and not despite:
        return []
    if any(state.permits for state, _ in decided):
        _spare(database, standing.known, at=at)
    if standing.stored and not despite and not _ends_counting(standing, decided):
        entries, projection = decisions.written(ring, standing.known, decided, at=at)
        ids = [entry.id for entry in entries]
        mail = telling.message(database.info, subject_id, ids, at=at)
        with database.at_once() as connection:
            if recording.write(connection, standing.known, entries, projection, mail):
                return ids
    # The first to be shown these words, or something happened to this person since we read; or
    # what was counted goes with the decision.
    with database.transaction() as session:
        ids = decisions.record(session, subject_id, choices, shown, at=at)
        if despite:
            usage.begin(session, subject_id=subject_id, despite_signal=True, at=at)
        usage.follow(session, subject_id)
        telling.changed(session, subject_id, ids, at=at)
    return ids


def _anew(decided: Sequence[Decided]) -> bool:
    """Whether something about being counted was decided, and did not just stay ticked."""
    return any(data["purpose"] == usage.PURPOSE for _, data in decided)


def _ends_counting(standing: Standing, decided: Sequence[Decided]) -> bool:
    """Whether a yes to being counted stands there and does not stand any more. Without one there
    is nothing that could end."""
    row = standing.newest.get(usage.PURPOSE)
    if row is None or not DecisionState(row.state).permits:
        return False
    return any(data["purpose"] == usage.PURPOSE and not state.permits for state, data in decided)


def _spare(database: Database, known: Known, *, at: datetime) -> None:
    """Raise TooManyTries where the person has as many new entries as there may be in an hour.

    The ledger itself counts them, so nothing is kept for this, and who has fewer entries than
    that altogether is not even looked up.
    """
    if known.linked < MOST:
        return
    nth = database.first(_NTH, {"subject": known.subject_id, "ordinal": known.linked - MOST + 1})
    if nth is not None and nth.recorded_at > at - HOUR:
        raise TooManyTries(nth.recorded_at + HOUR)
