"""What identity keeps about people, for access and erasure."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from domain.dates import timestamp
from domain.holding import Holding
from domain.identity import accounts, correspondents, limits
from domain.identity.models import Account, SignedLink
from domain.keys import DoesNotOpen
from domain.subjects.models import Subject


def export_account(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """The account, opened, with what it told the subject. The password is given as the fact
    that a scrambled one is kept: the hash would help only someone who wants to guess it."""
    account = accounts.of_subject(session, subject_id)
    if account is None:
        return []
    subject = session.get_one(Subject, subject_id)
    confirmed, failed = subject.confirmed_at, account.undeliverable_at
    return [
        {
            "id": str(account.id),
            **asdict(accounts.person(session, account)),
            "pending_email": accounts.pending_email(session, account),
            "password": "scrambled (Argon2id)",
            "locale": account.locale,
            "terms_accepted": account.terms_accepted,
            "stamp": account.stamp,
            "opened_at": timestamp(account.opened_at),
            "staff": account.staff,
            "undeliverable_at": timestamp(failed) if failed else None,
            "undeliverable_status": account.undeliverable_status,
            "confirmed_at": timestamp(confirmed) if confirmed else None,
            "declared_age": subject.declared_age,
        }
    ]


def erase_account(session: Session, subject_id: UUID, at: datetime) -> None:
    """Delete the account and all that was sealed in it."""
    session.execute(delete(Account).where(Account.subject_id == subject_id))


def export_links(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """The links that were mailed: what for, when, and whether they were used."""
    statement = select(SignedLink).where(SignedLink.subject_id == subject_id)
    return [
        {
            "kind": link.kind,
            "issued_at": timestamp(link.issued_at),
            "expires_at": timestamp(link.expires_at),
            "used_at": timestamp(link.used_at) if link.used_at else None,
        }
        for link in session.scalars(statement.order_by(SignedLink.issued_at, SignedLink.id))
    ]


def erase_links(session: Session, subject_id: UUID, at: datetime) -> None:
    """Delete every link, also those that still work."""
    session.execute(delete(SignedLink).where(SignedLink.subject_id == subject_id))


def export_attempts(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    """The tries of the last hour, and of the last day at requests, at the person's addresses."""
    return [
        {"kind": attempt.kind, "at": timestamp(attempt.at)}
        for address in _addresses(session, subject_id)
        for attempt in limits.tries(session, address)
    ]


def erase_attempts(session: Session, subject_id: UUID, at: datetime) -> None:
    """Delete the tries at the person's addresses. They are found by the account's address, so
    this comes before the account goes. Tries kept by IP or by link alone tell of nobody, and go
    within the hour."""
    with suppress(DoesNotOpen):  # else they go by themselves, within the day
        for address in _addresses(session, subject_id):
            limits.forget(session, address)


def _addresses(session: Session, subject_id: UUID) -> list[str]:
    account = accounts.of_subject(session, subject_id)
    if account is None:
        written_from = correspondents.email_of(session, subject_id)
        return [written_from] if written_from else []
    known = (accounts.person(session, account).email, accounts.pending_email(session, account))
    return [address for address in known if address]


# In the order in which they are to be erased: tries are found through the account.
HOLDINGS: tuple[Holding, ...] = (
    Holding(
        name="attempts",
        purposes=("security",),
        source="use",
        retention=("attempts",),
        columns={"attempt": ("id", "kind", "key", "at")},
        export=export_attempts,
        erase=erase_attempts,
    ),
    Holding(
        name="links",
        purposes=("account", "rights"),
        source="use",
        retention=("links",),
        columns={
            "signed_link": (
                "id",
                "kind",
                "token_hash",
                "subject_id",
                "request_id",
                "stamp",
                "issued_at",
                "expires_at",
                "used_at",
            )
        },
        export=export_links,
        erase=erase_links,
    ),
    Holding(
        name="account",
        purposes=("account",),
        source="person",
        retention=("customer", "unconfirmed", "person"),
        columns={
            "account": (
                "id",
                "subject_id",
                "email_lookup",
                "email",
                "pending_email",
                "name",
                "phone",
                "address",
                "postal_code",
                "city",
                "password_hash",
                "locale",
                "terms_accepted",
                "stamp",
                "opened_at",
                "staff",
                "undeliverable_at",
                "undeliverable_status",
            )
        },
        export=export_account,
        erase=erase_account,
        holdable=True,
    ),
)
