"""A newsletter's queue: who gets it, who has a mail in hand, and what became of each.

Every step is one small transaction, and each row goes one way: `queued`, then `handing`, then
closed. `handing` is committed before a mail becomes the mail server's, by a statement that finds
the row queued and claimed by whoever asks; so of any number of senders one hands it over, once.
What a kill leaves behind: before that commit a claim, which runs out; after it a row of which
nobody knows whether the mail left. That becomes `uncertain`, and is not sent again.

To wait for the disk at each mark would take longer than all else, and only a database that dies
loses what it has not written. Claims are written, with which life of the database they are from;
one from an earlier life is `uncertain`, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    LargeBinary,
    Uuid,
    and_,
    bindparam,
    case,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database, UtcDateTime, table_of
from domain.consent.models import CurrentDecision
from domain.consent.permission import permitted
from domain.identity.models import Account
from domain.marketing import campaigns
from domain.marketing.campaigns import PURPOSE, CampaignState, DeliveryState, addressees
from domain.marketing.incarnation import incarnation
from domain.marketing.models import Campaign, CampaignDelivery

# So many people are taken into the queue at a time: some milliseconds, while SQLite lets nobody
# else write.
CHUNK = 1000
# How long whoever claimed mails has to begin with them, and how long one who hands a mail over is
# believed to live: longer than the server may take to answer (domain/delivery/connections.py).
CLAIM, LEASE = timedelta(minutes=1), timedelta(minutes=5)
# With a rate, so much of the time in which nobody was looking is made good.
CATCH_UP = timedelta(seconds=1)
# The reason of who is dropped because nothing arrives at their address (domain/identity).
UNDELIVERABLE = "undeliverable"
NOBODY = UUID(int=0)

_D = table_of(CampaignDelivery).c
_C = table_of(Campaign).c
# The same, where rows are found by their key: a database that knows little of a new table would
# look through all that are queued instead.
_STATE = func.coalesce(_D.state, "")
_HANDED = (DeliveryState.HANDING.value, DeliveryState.UNCERTAIN.value)


@dataclass(frozen=True)
class Claimed:
    """One mail that is ours to send until `until`."""

    campaign_id: UUID
    subject_id: UUID
    attempts: int
    until: datetime
    # Where it goes, as it is stored: where that is another by then, it is not ours to send.
    address: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Outcome:
    """What became of a mail: its new state, why, and where it is to be tried again, when."""

    state: DeliveryState
    reason: str | None = None
    due_at: datetime | None = None


def fill(database: Database, campaign_id: UUID, *, at: datetime) -> int:
    """Take the next people into the queue, in the order of ids; how many. They are those for whom
    it is permitted now, which is asked again for each when their mail is about to leave."""
    try:
        with database.transaction() as session:
            campaign = _held(session, campaign_id)
            if campaign is None or campaign.filled_at is not None:
                return 0
            return _fill(session, campaign, at)
    except IntegrityError:  # somebody was erased at this very moment: the next try is without them
        return 0


def _fill(session: Session, campaign: Campaign, at: datetime) -> int:
    found = addressees(session, at).order_by(CurrentDecision.subject_id).limit(CHUNK)
    if campaign.cursor is not None:
        found = found.where(CurrentDecision.subject_id > campaign.cursor)
    named = {
        "campaign_id": literal(campaign.id, Uuid()),
        "subject_id": CurrentDecision.subject_id,
        "state": literal(DeliveryState.QUEUED.value),
        "attempts": literal(0),
        "due_at": literal(campaign.started_at or at, UtcDateTime()),
    }
    rows = found.with_only_columns(*named.values())
    into = insert(table_of(CampaignDelivery)).from_select(list(named), rows)
    counting = {"preserve_rowcount": True}
    taken = session.connection().execute(into.inline(), execution_options=counting).rowcount
    if taken < CHUNK:
        campaign.filled_at = at
    campaign.cursor = session.scalar(
        select(_D.subject_id)
        .where(_D.campaign_id == campaign.id)
        .order_by(_D.subject_id.desc())
        .limit(1)
    )
    return taken


def claim(
    database: Database,
    campaign_id: UUID,
    after: UUID | None,
    *,
    at: datetime,
    limit: int,
    pace: timedelta | None = None,
) -> list[Claimed] | None:
    """Make the next mails ours, those of people behind `after` first; None where there is none.
    Those that are not permitted any more are dropped. With a `pace` between two mails, only those
    whose time has come, whoever sent the others."""
    with database.transaction() as session:
        campaign = _held(session, campaign_id)
        if campaign is None:
            return None
        slots = _slots(session, campaign, at, limit, pace) if pace else None
        found = _waiting(session, campaign_id, after, at, limit if slots is None else len(slots))
        if not found:
            return None
        life = incarnation(session)
        ids = [one.subject_id for one in found]
        among = addressees(session, at).where(CurrentDecision.subject_id.in_(ids))
        wanted = set(session.scalars(among))
        claimed = []
        for one in found:
            if one.leased_until is not None and one.reason != life:
                outcome = Outcome(DeliveryState.UNCERTAIN, "DatabaseDied")
                _write(session, campaign_id, one.subject_id, outcome, at)
            elif one.subject_id in wanted:
                claimed.append(Claimed(campaign_id, one.subject_id, one.attempts, at + CLAIM))
            else:
                _drop(session, campaign_id, one.subject_id, at)
        _lease(session, claimed, life)
        if slots and claimed:
            campaign.paced_at = slots[len(claimed) - 1]
        return claimed


def _waiting(
    session: Session, campaign_id: UUID, after: UUID | None, at: datetime, limit: int
) -> Sequence[Any]:
    """By the key where we go on from somebody: what the other index has of those who were sent
    theirs is in the way until the database has cleared it up."""
    mine = (
        select(_D.subject_id, _D.attempts, _D.leased_until, _D.reason)
        .where(_D.campaign_id == campaign_id)
        .where(_D.due_at <= at, or_(_D.leased_until.is_(None), _D.leased_until <= at))
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    if after is not None:
        ahead = mine.where(_STATE == DeliveryState.QUEUED.value, _D.subject_id > after)
        if found := session.execute(ahead.order_by(_D.subject_id)).all():
            return found
    by_time = mine.where(_D.state == DeliveryState.QUEUED.value).order_by(_D.due_at)
    return session.execute(by_time).all()


def _slots(
    session: Session, campaign: Campaign, at: datetime, limit: int, pace: timedelta
) -> list[datetime]:
    """The times that may be given to mails now, each `pace` after the one before, whichever
    newsletter that was of. The last one stands in the row that is held, so several senders keep
    the rate together, also for what is tried again."""
    last = (campaign.started_at or at) - pace
    last = max(last, session.scalar(select(func.max(_C.paced_at))) or last)
    if last > at + CLAIM:  # the clock was set back, and would be waited for
        last = at - pace
    first = max(last + pace, at - CATCH_UP)
    return [first + n * pace for n in range(limit) if first + n * pace <= at]


def _lease(session: Session, claimed: list[Claimed], life: str) -> None:
    if not claimed:
        return
    ids = [one.subject_id for one in claimed]
    session.execute(
        update(table_of(CampaignDelivery))
        .where(_D.campaign_id == claimed[0].campaign_id, _D.subject_id.in_(ids))
        .values(leased_until=claimed[0].until, reason=life)
    )


def _drop(session: Session, campaign_id: UUID, subject_id: UUID, at: datetime) -> None:
    answer = permitted(session, subject_id, PURPOSE, at=at)
    outcome = Outcome(DeliveryState.DROPPED, UNDELIVERABLE if answer else answer.value)
    _write(session, campaign_id, subject_id, outcome, at)


_SENDING = exists().where(
    _C.id == bindparam("campaign", type_=Uuid()), _C.state == CampaignState.SENDING.value
)
_THERE = exists().where(
    Account.subject_id == bindparam("next", type_=Uuid()),
    Account.email == bindparam("address", type_=LargeBinary()),
)
_IS_NEXT = _D.subject_id == bindparam("next", type_=Uuid())
_OURS = and_(
    _IS_NEXT,
    _STATE == DeliveryState.QUEUED.value,
    _D.leased_until == bindparam("claim", type_=UtcDateTime()),
    _SENDING,
    _THERE,
)
_IS_PREVIOUS = _D.subject_id == bindparam("previous", type_=Uuid())
_SENT = and_(_IS_PREVIOUS, or_(*(_STATE == one for one in _HANDED)))
# One statement, and one commit, for what became of a mail and for the mark of the next.
_MARK = (
    update(table_of(CampaignDelivery))
    .where(_D.campaign_id == bindparam("campaign", type_=Uuid()))
    .where(or_(_IS_NEXT, _IS_PREVIOUS), or_(_OURS, _SENT))
    .values(
        state=case((_IS_NEXT, DeliveryState.HANDING.value), else_=DeliveryState.SENT.value),
        leased_until=case((_IS_NEXT, bindparam("until", type_=UtcDateTime())), else_=None),
        closed_at=case((_IS_NEXT, None), else_=bindparam("at", type_=UtcDateTime())),
        reason=None,
    )
    .returning(_D.state)
)


def mark(
    database: Database,
    campaign_id: UUID,
    following: Claimed | None,
    previous: UUID | None,
    *,
    at: datetime,
) -> bool:
    """Commit that `previous` was sent and that the one `following` is about to be. False where
    that is not ours to send: it was erased, its claim ran out, the newsletter was stopped, or
    their address is another since it was read."""
    values = {
        "campaign": campaign_id,
        "next": following.subject_id if following else NOBODY,
        "claim": following.until if following else at,
        "address": following.address if following else b"",
        "previous": previous or NOBODY,
        "until": at + LEASE,
        "at": at,
    }
    with database.at_once(durable=False) as driver:
        found = driver.execute(_MARK, values).all()
    return any(state == DeliveryState.HANDING.value for (state,) in found)


def confirm(database: Database, sent: Sequence[Claimed], *, at: datetime) -> None:
    """Commit that these were sent, and wait for the disk: whatever was marked before is on it
    then, too. Whoever saw the database die says so again."""
    if not sent:
        return
    with database.transaction() as session:
        session.execute(
            update(table_of(CampaignDelivery))
            .where(
                _D.campaign_id == sent[0].campaign_id,
                _D.subject_id.in_([one.subject_id for one in sent]),
                _STATE.in_([DeliveryState.QUEUED.value, *_HANDED]),
            )
            .values(state=DeliveryState.SENT.value, leased_until=None, reason=None, closed_at=at)
        )


def close(
    database: Database, one: Claimed, outcome: Outcome, *, handed: datetime | None, at: datetime
) -> None:
    """Commit what became of a mail, or that it is to be tried again; `handed` is when it was
    marked, if it was. Where the claim, or the mark, is not ours, nothing is done: somebody else
    may be sending it, or have sent it."""
    with database.transaction() as session:
        row = session.get(CampaignDelivery, (one.campaign_id, one.subject_id), with_for_update=True)
        if row is None:
            return
        if handed is None:
            ours = row.state == DeliveryState.QUEUED.value and row.leased_until == one.until
        else:
            ours = row.state in _HANDED and row.leased_until == handed + LEASE
        if ours:
            _write(session, one.campaign_id, one.subject_id, outcome, at)


def release(database: Database, rest: Sequence[Claimed]) -> None:
    """Let others have the mails that were claimed and not begun with."""
    if not rest:
        return
    with database.transaction() as session:
        session.execute(
            update(table_of(CampaignDelivery))
            .where(
                _D.campaign_id == rest[0].campaign_id,
                _D.subject_id.in_([one.subject_id for one in rest]),
                _STATE == DeliveryState.QUEUED.value,
                _D.leased_until == rest[0].until,
            )
            .values(leased_until=None, reason=None)
        )


def give_up(database: Database, *, at: datetime) -> None:
    """Whoever was handing these mails over is dead: nobody knows whether they left. Whose marks
    they were stays: one who is not dead after all may still say what became of theirs."""
    with database.transaction() as session:
        session.execute(
            update(table_of(CampaignDelivery))
            .where(_D.state == DeliveryState.HANDING.value, _D.leased_until <= at)
            .values(state=DeliveryState.UNCERTAIN.value, closed_at=at)
        )


def end(database: Database, campaign_id: UUID, *, at: datetime) -> bool:
    """Note that a newsletter is over, if it is."""
    with database.transaction() as session:
        weaker = {"key_share": True}
        campaign = session.get(Campaign, campaign_id, with_for_update=weaker)
        return campaign is not None and campaigns.end(session, campaign, at=at)


def _write(
    session: Session, campaign_id: UUID, subject_id: UUID, outcome: Outcome, at: datetime
) -> None:
    again = outcome.due_at is not None
    session.execute(
        update(table_of(CampaignDelivery))
        .where(_D.campaign_id == campaign_id, _D.subject_id == subject_id)
        .values(
            state=outcome.state.value,
            reason=outcome.reason,
            leased_until=None,
            closed_at=None if again else at,
            **({"attempts": _D.attempts + 1, "due_at": outcome.due_at} if again else {}),
        )
    )


def _held(session: Session, campaign_id: UUID) -> Campaign | None:
    """The newsletter, held until the transaction ends; None where it is not being sent."""
    weaker = {"key_share": True}
    campaign = session.get(Campaign, campaign_id, with_for_update=weaker, populate_existing=True)
    running = campaign is not None and campaign.state == CampaignState.SENDING.value
    return campaign if running else None
