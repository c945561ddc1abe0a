"""Signed links: a person proves that they read the mail of an address, once.

A token is random and signed with a salt for each kind, so a forged or swapped one is refused
without asking the database. Its row, found by the token's SHA-256, is bound to the subject, the
kind, the request and the account's stamp: a changed password or address voids it. Who wrote to
us without an account has links too; their stamp is NO_ACCOUNT.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from domain.identity.errors import BadLink, ExpiredLink, UsedLink
from domain.identity.models import Account, SignedLink
from domain.keys import keyring
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

_RANDOM_BYTES = 24  # 192 bits; OWASP ASVS 11.5.1 asks for 128
# How long a case can be followed by its link (docs/decisions/0020): it is never used up.
FOLLOWED = timedelta(days=14)
# The stamp of who has no account: it never changes.
NO_ACCOUNT = 0


class LinkKind(StrEnum):
    """What a link is for. One of a kind never does what another does."""

    CONFIRM = "confirm"
    NEW_ADDRESS = "new_address"
    # Shows that mail reaches the address after all: following any link does, and this does no more.
    CHECK = "check"
    RESET = "reset"
    ACCESS = "access"
    PORTABILITY = "portability"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    OBJECTION = "objection"
    # Shows how far a case has come, and does nothing: so it may be looked at until it expires.
    CASE = "case"
    # Leads to a copy that the worker made, and does nothing: so it works as long as the copy is
    # there, however often, and nobody who asks for another one voids it.
    COPY = "copy"
    # Stops an erasure in its time of grace.
    CANCEL = "cancel"


# Those of one case: of two cases each has its own.
_OF_A_CASE = (LinkKind.CASE, LinkKind.COPY)


def issue(
    session: Session,
    kind: LinkKind,
    subject_id: UUID,
    *,
    stamp: int,
    lifetime: timedelta,
    at: datetime,
    request_id: UUID | None = None,
) -> str:
    """Make a link and return its token, which is kept nowhere. Older unused links of the same
    kind and subject are void from now on; those to a case or its copy, of the same case.

    `stamp` is the account's, or NO_ACCOUNT for who has none.
    """
    void(session, kind, subject_id, request_id if kind in _OF_A_CASE else None)
    token = str(_serializer(session, kind).dumps(secrets.token_urlsafe(_RANDOM_BYTES)))
    session.add(
        SignedLink(
            id=uuid4(),
            kind=kind.value,
            token_hash=_hash(token),
            subject_id=subject_id,
            request_id=request_id,
            stamp=stamp,
            issued_at=at,
            expires_at=at + lifetime,
        )
    )
    session.flush()
    return token


def look(session: Session, kind: LinkKind, token: str, *, at: datetime) -> SignedLink:
    """The link, if it would work now. Changes nothing: scanners of mail open links too.

    Raises ExpiredLink for a genuine unused link that is merely too old, UsedLink for one that
    has done its work, and BadLink for anything else.
    """
    _check_signature(session, kind, token)
    statement = (
        select(SignedLink, func.coalesce(Account.stamp, NO_ACCOUNT))
        .outerjoin(Account, Account.subject_id == SignedLink.subject_id)
        .where(SignedLink.token_hash == _hash(token), SignedLink.kind == kind.value)
        .execution_options(populate_existing=True)
    )
    row = session.execute(statement).one_or_none()
    if row is None:
        raise BadLink
    link, stamp = row
    if link.used_at is not None:
        raise UsedLink
    if link.stamp != stamp:
        raise BadLink
    if link.expires_at <= at:
        raise ExpiredLink(link.expires_at, link.kind)
    found: SignedLink = link
    return found


def consume(session: Session, kind: LinkKind, token: str, *, at: datetime) -> SignedLink:
    """Use the link up and return it; raise as `look` does. Of several at once one succeeds.

    Mail to the address arrives, then: an account that it was thought to fail for is written to
    again.
    """
    link = look(session, kind, token, at=at)
    # From here to the end of the transaction nothing else happens to this person: a password
    # that is being changed right now has voided this link, or waits for what the link does.
    try:
        subjects.lock(session, link.subject_id)
    except UnknownSubject:  # erased since we looked
        raise BadLink from None
    used = session.scalar(
        update(SignedLink)
        .where(
            SignedLink.id == link.id,
            SignedLink.used_at.is_(None),
            SignedLink.expires_at > at,
            SignedLink.stamp == _stamp(link.subject_id),
        )
        .values(used_at=at)
        .returning(SignedLink.id)
        .execution_options(synchronize_session=False)
    )
    if used is None:
        look(session, kind, token, at=at)  # says what has happened since
        raise BadLink
    session.refresh(link)
    _reached(session, link.subject_id)
    return link


def stamp_of(session: Session, subject_id: UUID) -> int:
    """What a person's links and proofs are bound to: it changes when their password or address
    does. NO_ACCOUNT for who has none."""
    return session.scalars(select(_stamp(subject_id))).one()


def void(
    session: Session, kind: LinkKind, subject_id: UUID, request_id: UUID | None = None
) -> None:
    """Delete the unused links of one kind, or those for one request: they are superseded or
    their reason is gone."""
    # Of two that ask at once, the later one voids the earlier one.
    subjects.lock(session, subject_id)
    unused = delete(SignedLink).where(
        SignedLink.subject_id == subject_id,
        SignedLink.kind == kind.value,
        SignedLink.used_at.is_(None),
    )
    if request_id is not None:
        unused = unused.where(SignedLink.request_id == request_id)
    session.execute(unused)


def purge(session: Session, *, before: datetime, limit: int = 500) -> int:
    """Delete links, used or not, that expired at that time or earlier; return how many went. A row
    outlives its link so that an expired one is still told from a forged one."""
    old = select(SignedLink.id).where(SignedLink.expires_at <= before).limit(limit)
    gone = delete(SignedLink).where(SignedLink.id.in_(old)).returning(SignedLink.id)
    return len(session.scalars(gone).all())


def _reached(session: Session, subject_id: UUID) -> None:
    reached = session.scalar(
        update(Account)
        .where(Account.subject_id == subject_id, Account.undeliverable_at.is_not(None))
        .values(undeliverable_at=None, undeliverable_status=None)
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    )
    if reached is not None:
        session.refresh(session.get_one(Account, reached))


def _check_signature(session: Session, kind: LinkKind, token: str) -> None:
    try:
        _serializer(session, kind).loads(token)
    except (BadData, ValueError):  # ValueError: text that has no bytes in UTF-8
        raise BadLink from None


def _serializer(session: Session, kind: LinkKind) -> URLSafeSerializer:
    return URLSafeSerializer(
        keyring(session).signing_key,
        salt=f"samtykke.link.{kind.value}",
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def _hash(token: str) -> bytes:
    # Unsalted and fast is enough: nobody can try 192 random bits.
    return hashlib.sha256(token.encode()).digest()


def _stamp(subject_id: UUID) -> ColumnElement[int]:
    of_account = select(Account.stamp).where(Account.subject_id == subject_id).scalar_subquery()
    return func.coalesce(of_account, NO_ACCOUNT)
