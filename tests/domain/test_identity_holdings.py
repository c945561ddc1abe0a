"""What identity tells of a person, and what it leaves of them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from domain.identity import accounts, limits, signed_links
from domain.identity.holdings import HOLDINGS
from domain.identity.limits import LimitKind
from domain.identity.models import Account, Attempt, SignedLink
from domain.identity.signed_links import LinkKind
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

HOUR = timedelta(hours=1)
BY_NAME = {holding.name: holding for holding in HOLDINGS}


def _filled(session: Session) -> Account:
    account = opened(session)
    accounts.request_new_address(session, account, "ny@firma.example", at=NOON)
    details = {"stamp": account.stamp, "lifetime": HOUR, "at": NOON}
    for kind in (LinkKind.CONFIRM, LinkKind.RESET):
        token = signed_links.issue(session, kind, account.subject_id, **details)  # type: ignore[arg-type]
    signed_links.consume(session, LinkKind.RESET, token, at=NOON + HOUR / 2)
    for address in (KARI.email, "ny@firma.example"):
        limits.spend(session, LimitKind.MAIL, address=address, ip="192.0.2.7", at=NOON)
    accounts.mark_undeliverable(session, account.subject_id, "5.1.1", at=NOON)
    return account


@pytest.mark.requirement(56)
def test_the_export_has_every_column_of_the_account(session: Session) -> None:
    """Opened and whole; what is left out is the means to find and to check, not a fact."""
    account = _filled(session)
    [record] = BY_NAME["account"].export(session, account.subject_id)
    columns = {column.key for column in inspect(Account).column_attrs}
    assert columns - record.keys() == {"subject_id", "email_lookup", "password_hash"}
    assert record == {
        "id": str(account.id),
        "name": "Kari Nordmann",
        "email": "kari.nordmann@firma.example",
        "phone": "+4790000000",
        "address": "Elgeseter gate 1",
        "postal_code": "7030",
        "city": "Trondheim",
        "pending_email": "ny@firma.example",
        "password": "scrambled (Argon2id)",
        "locale": "nb",
        "terms_accepted": "2026-11-01",
        "stamp": 1,
        "opened_at": "2026-11-22T12:00:00.000Z",
        "staff": False,
        "undeliverable_at": "2026-11-22T12:00:00.000Z",
        "undeliverable_status": "5.1.1",
        "confirmed_at": None,
        "declared_age": 15,
    }


@pytest.mark.requirement(56)
def test_the_export_has_links_and_tries(session: Session) -> None:
    """When a link was mailed and used, and what was tried at the person's addresses."""
    account = _filled(session)
    issued = {"issued_at": "2026-11-22T12:00:00.000Z", "expires_at": "2026-11-22T13:00:00.000Z"}
    links = BY_NAME["links"].export(session, account.subject_id)
    assert sorted(links, key=lambda link: str(link["kind"])) == [
        {"kind": "confirm", **issued, "used_at": None},
        {"kind": "reset", **issued, "used_at": "2026-11-22T12:30:00.000Z"},
    ]
    tried = {"kind": "mail", "at": "2026-11-22T12:00:00.000Z"}
    assert BY_NAME["attempts"].export(session, account.subject_id) == [tried, tried]
    json.dumps([holding.export(session, account.subject_id) for holding in HOLDINGS])


@pytest.mark.requirement(59)
def test_erasing_leaves_nothing_of_the_person(session: Session) -> None:
    """In the order of HOLDINGS: account, links and tries at both addresses go."""
    account = _filled(session)
    subject_id = account.subject_id
    for holding in HOLDINGS:
        holding.erase(session, subject_id, NOON)
    for model in (Account, SignedLink):
        assert session.scalar(select(func.count()).select_from(model)) == 0
    # The place that asked has two tries left; they are keyed hashes of no person.
    assert session.scalar(select(func.count()).select_from(Attempt)) == 2
    assert [holding.export(session, subject_id) for holding in HOLDINGS] == [[], [], []]


@pytest.mark.requirement(59)
def test_erasing_one_person_leaves_the_other(session: Session) -> None:
    """And erasing again is no error."""
    ola = opened(session, OLA)
    limits.spend(session, LimitKind.MAIL, address=OLA.email, at=NOON)
    kari = _filled(session)
    before = [holding.export(session, ola.subject_id) for holding in HOLDINGS]
    for _ in range(2):
        for holding in HOLDINGS:
            holding.erase(session, kari.subject_id, NOON)
    assert [holding.export(session, ola.subject_id) for holding in HOLDINGS] == before


def test_the_holdings_answer_for_every_table_of_identity() -> None:
    """A table that is added later needs a holding."""
    tables = {table for holding in HOLDINGS for table in holding.tables}
    assert tables == {model.__tablename__ for model in (Account, SignedLink, Attempt)}
