"""Accounts: opening, finding and correcting them. They know nothing of consent."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.identity import emails, signed_links, vault
from domain.identity.errors import AddressTaken, BadLink, InvalidAddress, UnknownAccount
from domain.identity.models import Account
from domain.identity.passwords import NO_PASSWORD
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.subjects import service as subjects
from domain.subjects.models import Subject


@dataclass(frozen=True, repr=False)
class Person:
    """What a person told us about themselves. Its repr shows none of it."""

    name: str
    email: str
    phone: str | None = None
    address: str | None = None
    postal_code: str | None = None
    city: str | None = None


def register(
    session: Session,
    person: Person,
    password_hash: str,
    *,
    locale: str,
    terms: str,
    declared_age: int,
    at: datetime,
) -> Account:
    """Open an account, its subject and the ledger's entry of it.

    Raises AddressTaken if another account has the address, also when that one is being opened
    at this very moment; then nothing of this one remains and the session can be used on.
    There is no look beforehand: a known address costs the same work as an unknown one
    (requirement 64).
    """
    said = {"terms": terms, "locale": locale, "declared_age": declared_age}
    return _open(session, person, password_hash, "account.opened", said, at=at)


def bring(
    session: Session, person: Person, *, locale: str, declared_age: int, at: datetime
) -> Account:
    """Open an account for somebody who comes from another controller, as they are there. Nobody
    enters it until the person has accepted the terms and chosen a password. Raises AddressTaken.
    """
    said = {"locale": locale, "declared_age": declared_age}
    return _open(session, person, NO_PASSWORD, "account.imported", said, at=at)


def accept(session: Session, account: Account, terms: str, *, at: datetime) -> None:
    """The person who was brought here has come, by a link to their address, and accepts the
    terms: from now on the account is as any other."""
    subject = subjects.lock(session, account.subject_id)
    account.terms_accepted = terms
    subject.confirmed_at = subject.confirmed_at or at
    said = {"terms": terms, "locale": account.locale, "declared_age": subject.declared_age}
    subjects.record(session, account.subject_id, "account.opened", said, at=at)


def _open(
    session: Session,
    person: Person,
    password_hash: str,
    entry: str,
    said: Mapping[str, Any],
    *,
    at: datetime,
) -> Account:
    email = emails.normalise(person.email)
    with _claiming(session, email):
        subject = subjects.open_subject(session, at=at, declared_age=said["declared_age"])
        subjects.record(session, subject.id, entry, dict(said), at=at)
        account = Account(
            id=uuid4(),
            subject_id=subject.id,
            email_lookup=_lookup(session, email),
            password_hash=password_hash,
            locale=said["locale"],
            terms_accepted=said.get("terms", ""),
            stamp=1,
            opened_at=at,
        )
        key = vault.field_key(subjects.subject_key(session, subject))
        account.email = _sealed(key, account, "email", email)
        _seal_person(key, account, person)
        session.add(account)
        session.flush()
    return account


def find(session: Session, email: str) -> Account | None:
    """The account with this e-mail address, however it is spelled."""
    try:
        lookup = _lookup(session, emails.normalise(email))
    except InvalidAddress:
        return None
    return session.scalar(sa.select(Account).where(Account.email_lookup == lookup))


def get(session: Session, account_id: UUID) -> Account | None:
    """The account with this id: of whoever is signed in."""
    return session.get(Account, account_id)


def of_subject(session: Session, subject_id: UUID) -> Account | None:
    """The account of a subject."""
    return session.scalar(sa.select(Account).where(Account.subject_id == subject_id))


def staff(session: Session) -> list[Account]:
    """The accounts of those who work for the operator."""
    return list(session.scalars(sa.select(Account).where(Account.staff)))


def never_confirmed(session: Session, *, before: datetime, limit: int) -> list[UUID]:
    """The subjects of accounts opened before a time, whose address nobody has confirmed."""
    statement = (
        sa.select(Account.subject_id)
        .join(Subject, Subject.id == Account.subject_id)
        .where(
            Subject.confirmed_at.is_(None),
            Subject.erasing_at.is_(None),  # what is left of them is under a legal hold
            Subject.restricted_at.is_(None),
            Account.opened_at <= before,
        )
        .order_by(Subject.id)  # as the index of those whom nobody confirmed
        .limit(limit)
    )
    return list(session.scalars(statement))


def person(session: Session, account: Account) -> Person:
    """What the person told us, opened."""
    key = _key(session, account)

    def opened(field: str) -> str | None:
        return vault.open_field(key, account.id, field, getattr(account, field))

    return Person(
        name=opened("name") or "",
        email=opened("email") or "",
        phone=opened("phone"),
        address=opened("address"),
        postal_code=opened("postal_code"),
        city=opened("city"),
    )


def addressed(session: Session, account: Account) -> dict[str, Any]:
    """What the payload of every mail to an account's owner begins with."""
    owner = person(session, account)
    return {"to": owner.email, "name": owner.name, "locale": account.locale}


def pending_email(session: Session, account: Account) -> str | None:
    """The new address that its owner has not confirmed yet."""
    key = _key(session, account)
    return vault.open_field(key, account.id, "pending_email", account.pending_email)


def update(session: Session, account: Account, person: Person, *, at: datetime) -> None:
    """Correct what the person told us (GDPR art. 16), but for the e-mail address, which must
    be confirmed first: see `request_new_address`."""
    _seal_person(_key(session, account), account, person)
    session.flush()


def set_locale(session: Session, account: Account, locale: str) -> None:
    """Remember the language that the person reads."""
    account.locale = locale
    session.flush()


def declare_age(session: Session, account: Account, age: int) -> None:
    """Keep the age, in years, that the person says to have reached."""
    _subject(session, account).declared_age = age
    session.flush()


def is_confirmed(session: Session, account: Account) -> bool:
    """Whether the person has shown that they read the mail of their address."""
    return _subject(session, account).confirmed_at is not None


def confirm_address(session: Session, subject_id: UUID, *, at: datetime) -> Account:
    """Note that the person reads the mail of their address. The first time counts.

    Ends other sessions and voids links: whoever made the account with someone else's address
    must not stay in it once the owner has come.
    """
    subjects.lock(session, subject_id)
    account = _require(session, subject_id)
    subject = _subject(session, account)
    subject.confirmed_at = subject.confirmed_at or at
    _bump(session, account)
    return account


def request_new_address(
    session: Session, account: Account, email: str, *, at: datetime
) -> str | None:
    """Keep a new address until its owner confirms it; return it as mail is to be sent to it.

    None if it is the address that the account has: then none is waiting any more. Whether
    another account has it is not told here: that would let anyone with an account ask who
    else has one. Links for an address asked for earlier are void at once.
    """
    wanted = emails.normalise(email)
    signed_links.void(session, LinkKind.NEW_ADDRESS, account.subject_id)
    if _lookup(session, wanted) == account.email_lookup:
        account.pending_email = None
        session.flush()
        return None
    account.pending_email = _sealed(_key(session, account), account, "pending_email", wanted)
    session.flush()
    return wanted


def take_new_address(session: Session, subject_id: UUID, *, at: datetime) -> str:
    """Let the confirmed new address replace the old one; return the old one, to be told.

    Raises AddressTaken if another account got it meanwhile, and BadLink if none is waiting.
    """
    subjects.lock(session, subject_id)
    account = _require(session, subject_id)
    key = _key(session, account)
    old = vault.open_field(key, account.id, "email", account.email) or ""
    new = vault.open_field(key, account.id, "pending_email", account.pending_email)
    if new is None:
        raise BadLink
    with _claiming(session, new):
        account.email = _sealed(key, account, "email", new)
        account.email_lookup = _lookup(session, new)
        account.pending_email = None
        session.flush()
    _subject(session, account).confirmed_at = at
    _bump(session, account)
    return old


def mark_undeliverable(session: Session, subject_id: UUID, status: str, *, at: datetime) -> bool:
    """Note that mail to the address fails for good, by which answer (RFC 3463): nobody writes to
    it unasked any more. False where that stood there already, or nobody has an account.

    Whoever follows a link that was mailed to the address takes it back (signed_links.consume).
    """
    marked = session.scalar(
        sa.update(Account)
        .where(Account.subject_id == subject_id, Account.undeliverable_at.is_(None))
        .values(undeliverable_at=at, undeliverable_status=status[:10])
        .returning(Account.id)
        .execution_options(synchronize_session=False)
    )
    if marked is not None:
        session.refresh(session.get_one(Account, marked))
    return marked is not None


def change_password(session: Session, account: Account, password_hash: str) -> None:
    """Set a new password. Ends other sessions and voids every link that was mailed."""
    subjects.lock(session, account.subject_id)
    account.password_hash = password_hash
    _bump(session, account)


def rescramble(session: Session, account: Account, password_hash: str) -> None:
    """Keep the same password at today's strength: nothing ends. Does nothing if the password
    was changed since the account was read."""
    session.execute(
        sa.update(Account)
        .where(Account.id == account.id, Account.password_hash == account.password_hash)
        .values(password_hash=password_hash)
        .execution_options(synchronize_session=False)
    )
    session.refresh(account)


def end_sessions(session: Session, subject_id: UUID) -> Account | None:
    """End the sessions of a person and void their links; return the account, if they have one."""
    account = of_subject(session, subject_id)
    if account is not None:
        _bump(session, account)
    return account


def let_go(session: Session, subject_id: UUID) -> None:
    """Nobody finds or enters the account any more, and the address is free for another one: what
    is kept of it is under a legal hold."""
    account = end_sessions(session, subject_id)
    if account is not None:
        account.email_lookup = secrets.token_bytes(32)
        account.password_hash = NO_PASSWORD
        session.flush()


@contextmanager
def _claiming(session: Session, email: str) -> Iterator[None]:
    """Undo the block and raise AddressTaken when another account has the address. The unique
    constraint decides, so two at once cannot both succeed."""
    try:
        with session.begin_nested():
            yield
    except IntegrityError:
        if find(session, email) is None:
            raise
        # `from None`: the database's message quotes the row.
        raise AddressTaken from None


def _seal_person(key: bytes, account: Account, person: Person) -> None:
    account.name = _sealed(key, account, "name", person.name)
    for field in ("phone", "address", "postal_code", "city"):
        setattr(account, field, vault.seal_field(key, account.id, field, getattr(person, field)))


def _sealed(key: bytes, account: Account, field: str, text: str) -> bytes:
    sealed = vault.seal_field(key, account.id, field, text)
    if sealed is None:
        raise ValueError(f"an account has no empty {field}")
    return sealed


def _lookup(session: Session, email: str) -> bytes:
    return keyring(session).lookup("account.email", email)


def _key(session: Session, account: Account) -> bytes:
    return vault.field_key(subjects.subject_key(session, _subject(session, account)))


def _subject(session: Session, account: Account) -> Subject:
    return session.get_one(Subject, account.subject_id)


def _require(session: Session, subject_id: UUID) -> Account:
    account = of_subject(session, subject_id)
    if account is None:
        raise UnknownAccount
    return account


def _bump(session: Session, account: Account) -> None:
    """End the account's sessions and void its links. Counted by the database: two changes at
    once must not arrive at the same number."""
    account.stamp = Account.stamp + 1
    session.flush()
    session.refresh(account)
