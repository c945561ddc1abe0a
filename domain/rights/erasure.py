"""Erasure (GDPR art. 17): real, complete, and proved by what it leaves.

What is erased is in the erasure journal before the transaction commits (marks.py says in which
order, and what a crash leaves), and nobody is told that it is done before both.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from database import Database
from domain.accounting import records
from domain.apart import apart, each
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts, correspondents, signed_links, subscriptions
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.ledger.append import pad
from domain.rights import held, marks, requests, sharing
from domain.rights.errors import NotVerified
from domain.rights.inventory import INVENTORY
from domain.rights.journal_file import Word
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from domain.subjects.models import Subject

Cause = Literal["request", "replaced", "unconfirmed", "retention", "hold_ended", "restored"]

# Anybody can set these off for an address, so they leave one entry whatever was kept of it
# (docs/decisions/0014).
_SET_OFF_BY_ANYBODY = ("replaced", "unconfirmed")
# Not for the journal: their own rule ends them in a restored copy too, within days, and somebody
# may confirm what an erasure that failed has left. What is restored stands there already.
_UNMARKED = (*_SET_OFF_BY_ANYBODY, "restored")
# Kept by law, and not ours to erase: no entry says that it was.
_BOOKS = tuple(holding.name for holding in records.HOLDINGS)


def fulfil(session: Session, request: DataSubjectRequest, *, at: datetime) -> None:
    """Erase the person that a verified request is about, and tell them so a last time.

    One transaction: the request is closed, the ledger has its entries, every holding is gone,
    and the last mail waits in the outbox, which is the only place where the address still is.
    Where a legal hold keeps something back, the rest goes, the request is held, and the mail says
    what stays and until when: it goes then by itself (holds.py). Whoever else is found by the
    address goes too (sharing.py). Raises NotVerified.
    """
    subject_id = _subject_of(request)
    kept = held.kept_back(session, subject_id)
    if kept:
        requests.hold(session, request)
    elif not requests.fulfil(session, request, at=at):
        raise NotVerified(request.reference)
    letter = _last_letter(session, subject_id)
    # The whole story: an earlier mail about the request may just have gone with the person, and
    # nobody but the reader of this one will be able to tell that these entries are theirs.
    told = requests.entries(session, request)
    reference = request.reference
    beside = sharing.others(session, subject_id)
    told.append(forget(session, subject_id, "request", at=at))
    for other in beside:
        # One who is being confirmed at this very moment stays: that came after the request.
        if _free(session, other):
            forget(session, other, "request", at=at)
    if letter is not None:
        letter.update(reference=reference, entries=told)
        outbox.post(session, "mail.erasure_done", letter, at=at)


def end(session: Session, subject_id: UUID, *, at: datetime) -> None:
    """Erase somebody whose time as a customer is over (due.py), and tell them a last time what
    went, what stays and until when; in one transaction. Nobody writes to an address that was
    never confirmed."""
    ended = subscriptions.last_day(session, subject_id)
    confirmed = subjects.get(session, subject_id).confirmed_at is not None
    letter = _last_letter(session, subject_id) if confirmed and ended else None
    entry_id = forget(session, subject_id, "retention", at=at)
    if letter is not None:
        letter.update(ended_on=ended, due_on=local_day(at), entries=[entry_id])
        outbox.post(session, "mail.account_ended", letter, at=at)


def wait(session: Session, request: DataSubjectRequest, *, until: datetime, at: datetime) -> None:
    """Carry out a verified request at `until` and not at once, so that the person can stop it.

    From now on nothing is done with their data, their sessions have ended, and a mail has the
    link that stops it. A second time changes nothing. Raises NotVerified.
    """
    subject_id = _subject_of(request)
    if request.state != RequestState.VERIFIED.value:
        raise NotVerified(request.reference)
    if request.act_at is not None:
        return
    request.act_at = until
    subjects.freeze(session, subject_id, at=at)
    accounts.end_sessions(session, subject_id)
    contact = requests.contact(session, subject_id)
    if contact is None:
        return
    token = signed_links.issue(
        session,
        LinkKind.CANCEL,
        subject_id,
        stamp=contact.stamp,
        lifetime=until - at,
        request_id=request.id,
        at=at,
    )
    letter = {
        "to": contact.email,
        "name": contact.name,
        "locale": contact.locale,
        "token": token,
        "reference": request.reference,
        "until": until,
        "entries": requests.entries(session, request),
    }
    outbox.post(session, "mail.erasure_waiting", letter, at=at, about=subject_id)


def cancel(session: Session, request: DataSubjectRequest, *, at: datetime) -> bool:
    """Stop an erasure in its time of grace; False where none waits any more."""
    if not _waits(request) or request.subject_id is None:
        return False
    signed_links.void(session, LinkKind.CANCEL, request.subject_id)
    requests.cancel(session, request, at=at)
    subjects.thaw(session, request.subject_id)
    return True


def run_due(session: Session, *, at: datetime, limit: int = 50) -> int:
    """Carry out the erasures whose time of grace is over, so many at most; return how many."""

    def carry_out(request_id: UUID) -> bool:
        request = requests.take(session, request_id)
        if request is None or not _waits(request):  # stopped, or done, since we looked
            return False
        fulfil(session, request, at=at)
        return True

    due = _due(at).order_by(DataSubjectRequest.subject_id, DataSubjectRequest.id)
    return each(session, due, carry_out, doing="erasing", limit=limit)


def any_due(session: Session, *, at: datetime) -> bool:
    """Whether `run_due` would find one."""
    return session.scalar(_due(at).limit(1)) is not None


def _due(at: datetime) -> Select[UUID]:
    return select(DataSubjectRequest.id).where(
        DataSubjectRequest.kind == RequestKind.ERASURE.value,
        DataSubjectRequest.state == RequestState.VERIFIED.value,
        DataSubjectRequest.act_at <= at,
    )


def forget(
    session: Session,
    subject_id: UUID,
    cause: Cause,
    *,
    at: datetime,
    but: Collection[str] = (),
    into: UUID | None = None,
) -> str:
    """Erase every holding of a person, `but` those named and what a legal hold keeps back, and
    append `erasure.executed`, whose id is returned.

    The entry is appended before the key that made its tag is destroyed: afterwards nobody can
    tell whose it was; where it does not open any more, the entry is about nobody from the start.
    It names what goes now; what is held has one of its own when it goes. Open requests are closed,
    each with its entry, and the journal has the person's mark before this is committed. `into` is
    the person who has what was theirs (joining.py).
    """
    kept = held.kept_back(session, subject_id)
    _close_requests(session, subject_id, cause, whole=not kept, at=at)
    names = [one.name for one in INVENTORY if one.name not in kept and one.name not in but]
    return _erase(session, subject_id, cause, names, kept, at=at, into=into)


def go_on(session: Session, subject_id: UUID, released: Collection[str], *, at: datetime) -> None:
    """A hold that kept these holdings has ended: erase them, if the person is being erased, but
    for what another hold keeps. Nothing happens to anybody else."""
    if not begun(session, subject_id):
        return
    kept = held.kept_back(session, subject_id)
    if kept:
        # The requests go with the last: the one that is held leads to the person until then.
        free = {*released} - {*kept, "requests"}
        names = [one.name for one in INVENTORY if one.name in free]
        if names:
            _erase(session, subject_id, "hold_ended", names, kept, at=at)
        return
    _close_requests(session, subject_id, "hold_ended", whole=True, at=at)
    left = {*released, "requests", *held.ALONG}
    names = [one.name for one in INVENTORY if one.name in left]
    _erase(session, subject_id, "hold_ended", names, kept, at=at)


def begun(session: Session, subject_id: UUID) -> bool:
    """Whether all that could be erased of a person is, and a hold keeps the rest. In a time of
    grace nothing is erased yet."""
    if subjects.get(session, subject_id).erasing_at is None:
        return False
    return not any(_waits(request) for request in requests.of_subject(session, subject_id))


def _erase(
    session: Session,
    subject_id: UUID,
    cause: Cause,
    names: Collection[str],
    kept: Mapping[str, date],
    *,
    at: datetime,
    into: UUID | None = None,
) -> str:
    waiting = _held_requests(session, subject_id)
    # The request that is held leads to the person until the rest goes, and is named then.
    unsaid = (*_BOOKS, "requests") if waiting and kept else _BOOKS
    data = {"cause": cause, "holdings": [name for name in names if name not in unsaid]}
    entry_id = subjects.record_anyway(session, subject_id, "erasure.executed", data, at=at)
    for holding in INVENTORY:
        if holding.name in names:
            holding.erase(session, subject_id, at)
    if kept:
        _leave(session, subject_id, waiting, kept, at=at)
    session.flush()
    if into is not None:
        marks.note(session, subject_id, Word.JOINED, at=at, into=into)
    elif cause not in _UNMARKED:
        marks.note(session, subject_id, Word.HELD if kept else Word.WHOLE, at=at)
    return entry_id


def _leave(
    session: Session,
    subject_id: UUID,
    waiting: Collection[UUID],
    kept: Mapping[str, date],
    *,
    at: datetime,
) -> None:
    """What a hold keeps lies still: nobody finds it by an address, nothing is done with it, and
    the request leads to it until it goes."""
    mine = DataSubjectRequest.id.in_(list(waiting))
    session.execute(update(DataSubjectRequest).where(mine).values(subject_id=subject_id))
    if "account" in kept:
        accounts.let_go(session, subject_id)
    if "correspondent" in kept:
        correspondents.let_go(session, subject_id)
    subjects.freeze(session, subject_id, at=at)


def _close_requests(
    session: Session, subject_id: UUID, cause: Cause, *, whole: bool, at: datetime
) -> None:
    """Close what is open while the ledger can still say whose it was: a verified request for
    erasure is done by any erasure, and nobody is left to answer the others."""
    states = (*requests.OPEN, RequestState.HELD.value)
    mine = select(DataSubjectRequest).where(
        DataSubjectRequest.subject_id == subject_id, DataSubjectRequest.state.in_(states)
    )
    for request in session.scalars(mine.order_by(DataSubjectRequest.received_at)):
        if cause in _SET_OFF_BY_ANYBODY:
            request.state, request.closed_at = RequestState.CANCELLED.value, at
        elif (
            request.kind != RequestKind.ERASURE.value
            or request.state == RequestState.RECEIVED.value
        ):
            requests.cancel(session, request, at=at)
        elif whole:
            requests.fulfil(session, request, at=at)
        elif request.state == RequestState.VERIFIED.value:
            request.act_at = None
            requests.hold(session, request)


def _held_requests(session: Session, subject_id: UUID) -> list[UUID]:
    query = select(DataSubjectRequest.id).where(
        DataSubjectRequest.subject_id == subject_id,
        DataSubjectRequest.state == RequestState.HELD.value,
    )
    return list(session.scalars(query))


def _subject_of(request: DataSubjectRequest) -> UUID:
    if request.subject_id is None or request.kind != RequestKind.ERASURE.value:
        raise NotVerified(request.reference)
    return request.subject_id


def _waits(request: DataSubjectRequest) -> bool:
    return request.state == RequestState.VERIFIED.value and request.act_at is not None


def _last_letter(session: Session, subject_id: UUID) -> dict[str, Any] | None:
    """The last mail but for its entries: what stays, and until when. Read before anything goes;
    the address only, since the name goes now and not when the mail does."""
    contact = requests.contact(session, subject_id)
    if contact is None:
        return None
    books: Database | None = session.info.get("accounting")
    until = records.kept_until(books, keyring(session), subject_id) if books else None
    return {
        "to": contact.email,
        "name": None,
        "locale": contact.locale,
        "kept": held.told(session, subject_id),
        "accounting": until,
        "accounting_known": records.known(session),
    }


def forget_unconfirmed(session: Session, email: str, *, at: datetime) -> Account | None:
    """Erase a registration of this address that nobody confirmed, because the address comes
    anew; return the account that stays: a confirmed one, one that was brought here from another
    controller and waits for its person, or one whose person had it restricted (GDPR art. 18).

    Appends one entry whatever it finds: `erasure.executed`, or one that says nothing.

    The tries at the address stay: they spare the inbox of whoever has it from being flooded.
    """
    account = accounts.find(session, email)
    if account is not None and _held(session, account.subject_id):
        restricted = subjects.get(session, account.subject_id).restricted_at is not None
        stays = restricted or not account.terms_accepted
        if not stays and not accounts.is_confirmed(session, account):
            forget(session, account.subject_id, "replaced", at=at, but=("attempts",))
            return None
    else:
        account = None
    pad(session, at=at)
    return account


def _held(session: Session, subject_id: UUID) -> bool:
    """Lock the person until the transaction ends; False if they were erased since we looked."""
    try:
        subjects.lock(session, subject_id)
    except UnknownSubject:
        return False
    return True


def _free(session: Session, subject_id: UUID) -> bool:
    """Lock the person, unless somebody else holds them: to wait could mean to wait for each other,
    where two people are locked."""
    unwaiting = {"skip_locked": True}
    found = session.get(Subject, subject_id, with_for_update=unwaiting, populate_existing=True)
    return found is not None


def forget_never_confirmed(
    session: Session, *, at: datetime, waited: timedelta, limit: int = 100
) -> int:
    """Erase the registrations that nobody confirmed in the time they `waited`; return how many.

    Who asked for a restriction stays.
    """

    def gone(subject_id: UUID) -> bool:
        if not _held(session, subject_id):  # erased since we looked
            return False
        subject = subjects.get(session, subject_id)
        if subject.confirmed_at is not None or subject.erasing_at is not None:
            return False
        forget(session, subject_id, "unconfirmed", at=at)
        return True

    waiting = accounts.never_confirmed(session, before=at - waited, limit=limit)
    return sum(apart(session, "unconfirmed", partial(gone, one)) for one in waiting)
