"""Kari and Ola, whom the tests of identity register."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from domain.identity import accounts
from domain.identity.accounts import Person
from domain.identity.models import Account
from tests.support import NOON

KARI = Person(
    name="Kari Nordmann",
    email="Kari.Nordmann@firma.example",
    phone="+4790000000",
    address="Elgeseter gate 1",
    postal_code="7030",
    city="Trondheim",
)
OLA = Person(name="Ola Nordmann", email="ola@firma.example")


def opened(
    session: Session, person: Person = KARI, *, at: datetime = NOON, **differing: Any
) -> Account:
    """An account of that person."""
    details = {"locale": "nb", "terms": "2026-11-01", "declared_age": 15, **differing}
    return accounts.register(session, person, "scrambled", at=at, **details)
