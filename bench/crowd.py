"""The addresses of a run: people with an account, people who never confirmed, and strangers."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from bench.site import Site
from domain.consent import decisions, notices, presentations
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.accounts import Person
from domain.identity.models import Account
from domain.identity.passwords import Passwords
from domain.identity.signed_links import LinkKind

KNOWN, AGAIN, UNKNOWN, UNCONFIRMED = GROUPS = ("known", "again", "unknown", "unconfirmed")


def gather(site: Site, each: int) -> dict[str, list[str]]:
    """`each` addresses of each group. They are spelled alike, and each is used for one try:
    the limits on mail and sign-in count by address.

    `again` is a second group of known addresses: how far apart two groups that are the same
    seem to be is the noise of the run.
    """
    crowd = {group: [_address() for _ in range(each)] for group in GROUPS}
    # One hash for all: it costs as much to check as each one's own, and far less to make.
    password_hash = Passwords(site.settings.password_hashing).hash(secrets.token_urlsafe())
    with site.database.transaction() as session:
        for group in (KNOWN, AGAIN, UNCONFIRMED):
            for address in crowd[group]:
                _open(session, address, password_hash, confirmed=group != UNCONFIRMED)
    return crowd


def _address() -> str:
    return f"{secrets.token_hex(8)}@kunde.example"


def open_customers(session: Session, count: int) -> Iterator[Account]:
    """`count` people who said yes to the newsletter and confirmed; their password opens nothing."""
    for _ in range(count):
        yield _open(session, _address(), "none", confirmed=True)


def _open(session: Session, address: str, password_hash: str, *, confirmed: bool) -> Account:
    """What registration leaves behind, and what confirming adds."""
    at = datetime.now(UTC)
    terms = notices.in_force(session, "terms", "nb", on=local_day(at))
    person = Person(name="Ingrid Haugland-Testesen", email=address)
    account = accounts.register(
        session,
        person,
        password_hash,
        locale="nb",
        terms=terms.effective_on.isoformat(),
        declared_age=15,
        at=at,
    )
    shown = presentations.Shown(presentations.current(session, "register", "nb", at=at), at)
    decisions.record(session, account.subject_id, {"marketing": True}, shown, at=at)
    if confirmed:
        return accounts.confirm_address(session, account.subject_id, at=at)
    token = signed_links.issue(
        session,
        LinkKind.CONFIRM,
        account.subject_id,
        stamp=account.stamp,
        lifetime=timedelta(hours=1),
        at=at,
    )
    letter = {"to": address, "name": person.name, "locale": "nb", "token": token}
    outbox.post(session, "mail.confirm", letter, at=at, about=account.subject_id)
    return account
