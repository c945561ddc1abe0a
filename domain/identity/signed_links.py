"""Signed links: a person proves that they read the mail of an address, once.

A token is random and signed with a salt for each kind, so a forged or swapped one is refused
without asking the database. Its row, found by the token's SHA-256, is bound to the subject, the
kind, the request and the account's stamp: a changed password or address voids it.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from itsdangerous import BadData, URLSafeSerializer
from sqlalchemy import ScalarSelect, delete, select, update
from sqlalchemy.orm import Session

from domain.identity.errors import BadLink, ExpiredLink, UsedLink
from domain.identity.models import Account, SignedLink
from domain.keys import keyring
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject

_RANDOM_BYTES = 24  # 192 bits; OWASP ASVS 11.5.1 asks for 128
# How long a row outlives its link: so long an expired link is still told from a forged one.
KEPT = timedelta(days=7)


class LinkKind(StrEnum):
    """What a link is for. One of a kind never does what another does."""

    CONFIRM = "confirm"
    NEW_ADDRESS = "new_address"
    RESET = "reset"
    ACCESS = "access"
    ERASURE = "erasure"


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
    kind and subject are void from now on."""
    void(session, kind, subject_id)
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
        select(SignedLink, Account.stamp)
        .join(Account, Account.subject_id == SignedLink.subject_id)
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
    """Use the link up and return it; raise as `look` does. Of several at once one succeeds."""
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
    return link


def void(session: Session, kind: LinkKind, subject_id: UUID) -> None:
    """Delete the unused links of one kind: they are superseded or their reason is gone."""
    subjects.lock(
        session, subject_id
    )  # of two that ask at once, the later one voids the earlier one
    session.execute(
        delete(SignedLink).where(
            SignedLink.subject_id == subject_id,
            SignedLink.kind == kind.value,
            SignedLink.used_at.is_(None),
        )
    )


def purge(session: Session, *, at: datetime) -> None:
    """Delete the links, used or not, that expired more than `KEPT` ago."""
    session.execute(delete(SignedLink).where(SignedLink.expires_at <= at - KEPT))


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


def _stamp(subject_id: UUID) -> ScalarSelect[int]:
    return select(Account.stamp).where(Account.subject_id == subject_id).scalar_subquery()
