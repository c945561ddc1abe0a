"""What is due by each rule of retention: the words that `after` takes in content/purposes.toml.

A rule in months ends on the same day of the month, as it is in Norway (domain/dates.py), and what
it speaks of goes on that day, so that nothing stays longer than the words say; a rule in days ends
at the same time of day. What the law says must be kept is the other way round: bookkeeping goes on
the day after.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    delete,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from domain.apart import apart
from domain.consent.purposes import RetentionRule
from domain.dates import OSLO, add_months, local_day
from domain.delivery.models import OutboxMessage
from domain.identity.models import Account, Attempt, Correspondent, SignedLink, Subscription
from domain.rights import erasure, settling
from domain.rights.models import (
    DataSubjectRequest,
    ExportArchive,
    LegalHold,
    RecipientNotice,
    RequestText,
)
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject

Model = type[Any]
Ids = Select[Any]
_DAY = timedelta(days=1)
# On SQLite nobody writes meanwhile, and elsewhere nobody writes about these people.
_LONGEST_SECONDS = 0.1


@dataclass(frozen=True)
class Scope:
    """A rule, the holding that it is asked for, and the time it is."""

    rule: RetentionRule
    holding: str
    at: datetime

    @property
    def moment(self) -> datetime:
        """What happened then, or before, has to go now."""
        if not self.rule.months:
            return self.at - self.rule.span
        midnight = datetime.combine(self.day + _DAY, datetime.min.time(), OSLO)
        return midnight.astimezone(UTC) - timedelta(microseconds=1)

    @property
    def day(self) -> date:
        """The newest day whose time is over today."""
        today = local_day(self.at)
        day = add_months(today - self.rule.span, -self.rule.months)
        while self.rule.end(day + _DAY) <= today:  # the 28th of February ends four days of August
            day += _DAY
        return day


@dataclass(frozen=True)
class People:
    """A rule that ends with a person: `due` finds the ids of those whose time is over."""

    due: Callable[[Scope], Ids]
    cause: erasure.Cause

    def go(self, session: Session, scope: Scope, limit: int) -> int:
        """Erase some of those who are due; how many. It stops when others have waited enough."""
        until = time.monotonic() + _LONGEST_SECONDS
        gone = 0
        # In the order of ids, as everybody who locks several people.
        for subject_id in sorted(set(session.scalars(self.due(scope).limit(limit)))):
            gone += apart(session, "retention", partial(self._end, session, scope, subject_id))
            if gone and time.monotonic() > until:
                break
        return gone

    def _end(self, session: Session, scope: Scope, subject_id: UUID) -> bool:
        if not self._still(session, scope, subject_id):
            return False
        if scope.rule.after == CUSTOMER:
            erasure.end(session, subject_id, at=scope.at)
        else:
            erasure.forget(session, subject_id, self.cause, at=scope.at)
        return True

    def _still(self, session: Session, scope: Scope, subject_id: UUID) -> bool:
        """Whether the person, who is locked from here on, is still there and still due."""
        try:
            subjects.lock(session, subject_id)
        except UnknownSubject:
            return False
        due = self.due(scope)
        (column,) = due.selected_columns
        return session.scalar(due.where(column == subject_id).limit(1)) is not None


@dataclass(frozen=True)
class Rows:
    """A rule that ends with rows of `model`. `subject` is who a row is about, where it says, and
    `begins` when its time begins to run."""

    model: Model
    subject: Any
    begins: Any
    due: Callable[[Scope], Ids]

    def go(self, session: Session, scope: Scope, limit: int) -> int:
        """Delete some of those that are due, but what somebody else has in hand; how many."""
        found = self.due(scope).limit(limit).with_for_update(skip_locked=True, of=self.model)
        ids = session.scalars(found).all()
        session.execute(
            delete(self.model)
            .where(self.model.id.in_(ids))
            .execution_options(synchronize_session=False)
        )
        return len(ids)


def people(after: str) -> People | None:
    """What a rule does that ends with a person."""
    return _PEOPLE.get(after)


def rows(after: str, tables: Collection[str]) -> tuple[Rows, ...]:
    """What a rule does with the rows of these tables."""
    return tuple(one for one in _ROWS.get(after, ()) if one.model.__tablename__ in tables)


def customers(scope: Scope) -> Ids:
    """Whose last subscription ended so long ago, and none runs; who has an account, was told in
    time that it goes; and nothing that they asked for is open."""
    over = _ended(Subscription.ended_on <= scope.day, scope.day, scope)
    return over.where(~_untold(scope), ~_asks(Subject.id))


def to_warn(scope: Scope) -> Ids:
    """Who is to be told that the account goes, and was not. Where it should be gone already,
    because the end was entered late, say, it goes so long after they were told."""
    soon = Scope(scope.rule, scope.holding, scope.at + timedelta(days=scope.rule.warn_days))
    near = and_(Subscription.ended_on <= soon.day, Subscription.warned_at.is_(None))
    return _ended(near, soon.day, scope).where(_has_account)


def staying(scope: Scope) -> Mapping[str, Ids]:
    """Whose time is over and who stay all the same, by why: `held` are those whose erasure has
    left what a legal hold keeps, whatever it was that ended."""
    due = _last_ended(Subscription.ended_on <= scope.day, scope.day)
    begun = Subject.erasing_at.is_not(None)
    free = due.where(*_free())
    return {
        "asking": free.where(_asks(Subject.id)),
        "warned": free.where(~_asks(Subject.id), _untold(scope)),
        "restricted": due.where(Subject.restricted_at.is_not(None), ~begun),
        "held": select(Subject.id).where(begun, _held(Subject.id), ~_waits(Subject.id)),
        "erasing": due.where(begun, _waits(Subject.id)),
    }


def _ended(condition: ColumnElement[bool], latest: date, scope: Scope) -> Ids:
    return _last_ended(condition, latest).where(*_free())


def _last_ended(condition: ColumnElement[bool], latest: date) -> Ids:
    later = aliased(Subscription)
    running = exists().where(
        later.subject_id == Subscription.subject_id,
        or_(later.ended_on.is_(None), later.ended_on > latest),
    )
    return (
        select(Subscription.subject_id)
        .join(Subject, Subject.id == Subscription.subject_id)
        .where(condition, ~running)
        .order_by(Subscription.ended_on, Subscription.subject_id)
    )


def _unconfirmed(scope: Scope) -> Ids:
    """Those that settling.py should have settled a day ago: it has the first turn, or the log
    would grow by one more than for an address that we do not know."""
    return (
        select(Account.subject_id)
        .join(Subject, Subject.id == Account.subject_id)
        .where(Subject.confirmed_at.is_(None), Account.opened_at <= scope.moment - settling.LATE)
        .where(*_free())
        .order_by(Account.opened_at)
    )


def _correspondents(scope: Scope) -> Ids:
    """Who wrote to us, has no account, and of whom nothing is open or was closed since."""
    open_or_new = exists().where(
        DataSubjectRequest.subject_id == Correspondent.subject_id,
        or_(
            DataSubjectRequest.closed_at.is_(None),
            DataSubjectRequest.closed_at > scope.moment,
        ),
    )
    return (
        select(Correspondent.subject_id)
        .join(Subject, Subject.id == Correspondent.subject_id)
        .where(Correspondent.opened_at <= scope.moment, ~open_or_new)
        .where(~exists().where(Account.subject_id == Correspondent.subject_id))
        .where(*_free())
        .order_by(Correspondent.opened_at)
    )


def _free() -> tuple[ColumnElement[bool], ...]:
    """Nothing keeps the person back: no restriction (GDPR art. 18), no erasure that waits for its
    day or has begun. A legal hold keeps what it names, and not the rest (erasure.forget)."""
    return Subject.restricted_at.is_(None), Subject.erasing_at.is_(None)


_has_account = exists().where(Account.subject_id == Subscription.subject_id)


def _untold(scope: Scope) -> ColumnElement[bool]:
    """Who has an account, and was not told so many days ago that it goes."""
    if not scope.rule.warn_days:
        return false()
    last = local_day(scope.at) - timedelta(days=scope.rule.warn_days)
    midnight = datetime.combine(last + _DAY, datetime.min.time(), OSLO).astimezone(UTC)
    one = aliased(Subscription)
    late = exists().where(
        one.subject_id == Subscription.subject_id,
        or_(one.warned_at.is_(None), one.warned_at >= midnight),
    )
    return and_(_has_account, late)


def _asks(subject_id: Any) -> ColumnElement[bool]:
    """Who waits for something else than to be erased, and is known to have asked for it. That
    has an end by itself: what waits for us has a time limit, what waits for them lapses."""
    return exists().where(
        DataSubjectRequest.subject_id == subject_id,
        DataSubjectRequest.kind != RequestKind.ERASURE.value,
        or_(
            DataSubjectRequest.state == RequestState.VERIFIED.value,
            and_(
                DataSubjectRequest.state == RequestState.RECEIVED.value,
                DataSubjectRequest.kind == RequestKind.ENQUIRY.value,
                DataSubjectRequest.channel == "account",
            ),
        ),
    )


def asks(request: DataSubjectRequest) -> bool:
    """The same of one request."""
    if request.kind == RequestKind.ERASURE.value:
        return False
    asked = request.kind == RequestKind.ENQUIRY.value and request.channel == "account"
    received = asked and request.state == RequestState.RECEIVED.value
    return received or request.state == RequestState.VERIFIED.value


def _held(subject_id: Any) -> ColumnElement[bool]:
    return exists().where(LegalHold.subject_id == subject_id, LegalHold.ended_at.is_(None))


def _waits(subject_id: Any) -> ColumnElement[bool]:
    """Whose erasure has not begun, because its day has not come."""
    return exists().where(
        DataSubjectRequest.subject_id == subject_id,
        DataSubjectRequest.state == RequestState.VERIFIED.value,
        DataSubjectRequest.act_at.is_not(None),
    )


def _kept_back(subject_id: Any, holding: str) -> ColumnElement[bool]:
    """Whose restriction, or whose legal hold on this holding, keeps the rows of it."""
    named = (literal(" ") + LegalHold.holdings + literal(" ")).contains(
        f" {holding} ", autoescape=True
    )
    hold = exists().where(LegalHold.subject_id == subject_id, LegalHold.ended_at.is_(None), named)
    restricted = exists().where(Subject.id == subject_id, Subject.restricted_at.is_not(None))
    return or_(hold, restricted)


def _older(id: InstrumentedAttribute[Any], when: Any) -> Callable[[Scope], Ids]:
    """Rows about nobody's words: they go when their time is over, whoever they are about."""
    return lambda scope: select(id).where(when <= scope.moment)


def _texts(scope: Scope) -> Ids:
    return (
        select(RequestText.id)
        .join(DataSubjectRequest, DataSubjectRequest.id == RequestText.request_id)
        .where(DataSubjectRequest.closed_at <= scope.moment)
        .where(~_kept_back(RequestText.subject_id, scope.holding))
    )


def _cases(scope: Scope) -> Ids:
    """The requests themselves, about somebody or nobody, once nothing hangs on them."""
    return (
        select(DataSubjectRequest.id)
        .where(DataSubjectRequest.closed_at <= scope.moment)
        .where(~exists().where(RequestText.request_id == DataSubjectRequest.id))
        .where(~exists().where(ExportArchive.request_id == DataSubjectRequest.id))
        .where(~_kept_back(DataSubjectRequest.subject_id, scope.holding))
    )


def _notices(scope: Scope) -> Ids:
    return (
        select(RecipientNotice.id)
        .where(_noticed <= scope.moment)
        .where(~_kept_back(RecipientNotice.subject_id, scope.holding))
    )


def _exports(scope: Scope) -> Ids:
    """Copies whose time is over. The time is counted when one is made (exports.py)."""
    return select(ExportArchive.id).where(ExportArchive.expires_at <= scope.at)


_noticed = func.coalesce(RecipientNotice.done_at, RecipientNotice.at)
_closed = (
    select(DataSubjectRequest.closed_at)
    .where(DataSubjectRequest.id == RequestText.request_id)
    .scalar_subquery()
)
ERASURE, BOOKS = "erasure", "financial_year_ended"
CUSTOMER = "subscription_ended"
_PEOPLE: Mapping[str, People] = {
    CUSTOMER: People(customers, "retention"),
    "account_opened": People(_unconfirmed, "unconfirmed"),
    "last_case_closed": People(_correspondents, "retention"),
}
_ROWS: Mapping[str, tuple[Rows, ...]] = {
    "message_closed": (
        Rows(
            OutboxMessage,
            OutboxMessage.about,
            OutboxMessage.closed_at,
            _older(OutboxMessage.id, OutboxMessage.closed_at),
        ),
    ),
    # Whose they are only a keyed hash says.
    "attempt": (Rows(Attempt, None, Attempt.at, _older(Attempt.id, Attempt.at)),),
    "link_expired": (
        Rows(
            SignedLink,
            SignedLink.subject_id,
            SignedLink.expires_at,
            _older(SignedLink.id, SignedLink.expires_at),
        ),
    ),
    "case_closed": (
        Rows(RequestText, RequestText.subject_id, _closed, _texts),
        Rows(
            DataSubjectRequest,
            DataSubjectRequest.subject_id,
            DataSubjectRequest.closed_at,
            _cases,
        ),
        Rows(RecipientNotice, RecipientNotice.subject_id, _noticed, _notices),
    ),
    "export_made": (
        Rows(ExportArchive, ExportArchive.subject_id, ExportArchive.expires_at, _exports),
    ),
}
# Every word that `after` takes.
WORDS = frozenset({*_PEOPLE, *_ROWS, ERASURE, BOOKS})
