"""Tables of accounts, correspondents, subscriptions, signed links and attempts."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class Account(Base):
    """A login and what the person told us, sealed under the subject's key (see vault.py).

    `email_lookup` is a keyed hash of the address: the only way to find an account by it.
    `stamp` grows with each change that must end sessions and void links (password, address).
    `pending_email` is a new address that its owner has not confirmed yet. `staff` is whether the
    person works for the operator. `undeliverable_at` is when the address turned out to fail for
    good, and `undeliverable_status` by which answer (RFC 3463): nobody writes to it unasked then.
    """

    __tablename__ = "account"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), unique=True)
    email_lookup: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    email: Mapped[bytes] = mapped_column(LargeBinary)
    pending_email: Mapped[bytes | None] = mapped_column(LargeBinary)
    name: Mapped[bytes] = mapped_column(LargeBinary)
    phone: Mapped[bytes | None] = mapped_column(LargeBinary)
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    postal_code: Mapped[bytes | None] = mapped_column(LargeBinary)
    city: Mapped[bytes | None] = mapped_column(LargeBinary)
    password_hash: Mapped[str] = mapped_column(String(200))
    locale: Mapped[str] = mapped_column(String(2))
    terms_accepted: Mapped[str] = mapped_column(String(10))
    stamp: Mapped[int] = mapped_column(default=1)
    opened_at: Mapped[datetime]
    staff: Mapped[bool] = mapped_column(default=False)
    undeliverable_at: Mapped[datetime | None]
    undeliverable_status: Mapped[str | None] = mapped_column(String(10))


class Correspondent(Base):
    """Somebody who wrote to us and has no account: where the answer goes, sealed as an account's
    fields are, and a keyed hash to find it by."""

    __tablename__ = "correspondent"

    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    email_lookup: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    email: Mapped[bytes] = mapped_column(LargeBinary)
    locale: Mapped[str] = mapped_column(String(2))
    opened_at: Mapped[datetime]


class Subscription(Base):
    """What a person subscribes to, from a day to a day, as they are in Norway. `warned_at` is
    when they were told that the account is about to go."""

    __tablename__ = "subscription"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    started_on: Mapped[date]
    ended_on: Mapped[date | None] = mapped_column(index=True)
    warned_at: Mapped[datetime | None]


class SignedLink(Base):
    """A link that was mailed. The token itself is never stored, only its SHA-256."""

    __tablename__ = "signed_link"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    subject_id: Mapped[UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    request_id: Mapped[UUID | None]
    stamp: Mapped[int]
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """One try at something limited. `key` is a keyed hash: no address and no IP is stored."""

    __tablename__ = "attempt"
    __table_args__ = (Index("ix_attempt_kind_key_at", "kind", "key", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kind: Mapped[str] = mapped_column(String(20))
    key: Mapped[bytes] = mapped_column(LargeBinary(32))
    at: Mapped[datetime]
