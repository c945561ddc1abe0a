"""A person of whom something is kept in every table, for the tests of access and erasure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from database import Base
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, limits, signed_links
from domain.identity.accounts import Person
from domain.identity.limits import LimitKind
from domain.identity.signed_links import LinkKind
from domain.rights import requests
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import opened
from tests.support import NOON

RAGNHILD = Person(
    name="Ragnhild Kanarifugl",
    email="ragnhild@kanari.example",
    phone="+4793939393",
    address="Fuglevegen 93",
    postal_code="PQ-7093",
    city="Kanaridal",
)
NEW_ADDRESS = "ragnhild.ny@kanari.example"
IP = "192.0.2.93"
CANARIES = (
    *("Ragnhild", "Kanarifugl", "kanari.example", "+4793939393", "Fuglevegen", "PQ-7093"),
    *("Kanaridal", IP),
)
HOUR = timedelta(hours=1)


def plant(session: Session) -> tuple[UUID, DataSubjectRequest]:
    """The person, with a row of every kind; their verified request for erasure."""
    publish(session)
    account = opened(session, RAGNHILD, at=NOON - timedelta(days=2))
    who = account.subject_id
    accounts.request_new_address(session, account, NEW_ADDRESS, at=NOON)
    accounts.confirm_address(session, who, at=NOON)
    decide(session, who, marketing=True)
    for kind in LimitKind:
        limits.spend(session, kind, address=RAGNHILD.email, ip=IP, at=NOON)
    access = requests.receive(session, who, RequestKind.ACCESS, channel="link", at=NOON)
    erasure = requests.receive(session, who, RequestKind.ERASURE, channel="account", at=NOON)
    requests.verify(session, erasure, channel="account", at=NOON)
    issue = partial(signed_links.issue, session, stamp=account.stamp, lifetime=HOUR, at=NOON)
    issue(LinkKind.ACCESS, who, request_id=access.id)
    token = issue(LinkKind.RESET, who)
    signed_links.consume(session, LinkKind.RESET, token, at=NOON)
    _messages(session, who)
    session.flush()
    return who, erasure


def _messages(session: Session, who: UUID) -> None:
    """About the person, and with nothing but their address in them: queued and given up."""
    letter = {"to": RAGNHILD.email, "name": RAGNHILD.name, "locale": "nb"}
    outbox.post(session, "mail.password_changed", letter, at=NOON, about=who)
    asked = {"kind": "access", "email": RAGNHILD.email.upper(), "locale": "nb"}
    outbox.post(session, "intake.request", asked, at=NOON)
    given_up = [
        outbox.post(session, "intake.reset", {"email": NEW_ADDRESS, "locale": "nb"}, at=NOON),
        outbox.post(session, "mail.request_unknown", {**letter, "kind": "access"}, at=NOON),
    ]
    session.flush()
    for message in given_up:
        session.get_one(OutboxMessage, message).state = outbox.DEAD
    # Somebody else's, which stays.
    other = {"kind": "access", "email": "ola@firma.example", "locale": "nb"}
    outbox.post(session, "intake.request", other, at=NOON)


def cells(session: Session) -> Iterator[tuple[Table, str, str]]:
    """Every value in every column of every table, as text, whatever it is stored as."""
    for table in Base.metadata.sorted_tables:
        for row in session.execute(select(table)).mappings():
            for column, value in row.items():
                yield table, str(column), spelled(value)


def spelled(value: object) -> str:
    """A value so that a name, an id or a hash in it is found."""
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return f"{raw.decode('latin-1')} {raw.decode('utf-8', 'ignore')} {raw.hex()}"
    if isinstance(value, UUID):
        return f"{value} {value.hex}"
    return str(value)
