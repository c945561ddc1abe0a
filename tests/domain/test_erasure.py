"""Erasure: nothing that leads to the person is left in any column of any table."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from commands.ledger import CHECKS
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.identity.limits import LimitKind
from domain.keys import Keyring, keyring
from domain.ledger.entry import decode
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, requests
from domain.rights.errors import NotVerified
from domain.rights.inventory import INVENTORY
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.models import EntryLink
from tests.domain.consenting import decide, publish, somebody
from tests.domain.identity_people import KARI, opened
from tests.domain.leaving import CANARIES, RAGNHILD, cells, plant
from tests.support import NOON
from tests.support.tables import readable


def counted(session: Session) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: session.scalar(select(func.count()).select_from(table)) or 0
        for table in readable()
    }


@pytest.mark.requirement(50, 59, 82)
def test_no_column_of_any_table_leads_to_the_person_any_more(session: Session) -> None:
    """No name, no address, no id, no keyed hash, no key; also not of links, messages and tries.
    The last mail is the one place where the address still is, sealed."""
    who, request = plant(session)
    account = accounts.of_subject(session, who)
    assert account
    subject = subjects.get(session, who)
    secret = subjects.subject_key(session, subject)
    marks = [
        *(one.hex for one in (who, account.id)),
        *(account.email_lookup.hex(), account.password_hash, secret.hex()),
        *(subject.wrapped_key.hex(), account.email.hex(), account.name.hex(), *CANARIES),
    ]
    assert {mark for mark in marks if any(mark in text for _, _, text in cells(session))} == {
        *marks[:4],
        *marks[5:8],
    }, "names are nowhere in the clear, and the rest is found before it goes"
    before = counted(session)
    erasure.fulfil(session, request, at=NOON)
    session.flush()
    found = [
        f"{table.name}.{column}: {mark}"
        for table, column, text in cells(session)
        for mark in marks
        if mark in text
    ]
    assert found == []
    after = counted(session)
    # fulfilled, another cancelled, executed; the last mail and a stranger's; that the recipient
    # was told; tries by nothing but the IP.
    assert {name: rows for name, rows in after.items() if rows != before[name]} == {
        "ledger_entry": before["ledger_entry"] + 3,
        "ledger_pending": before["ledger_pending"] + 3,
        **dict.fromkeys(("account", "current_decision", "entry_link", "signed_link"), 0),
        "subject": 0,
        "attempt": len(LimitKind),
        "recipient_notice": before["recipient_notice"] + 1,
        **dict.fromkeys(("export_archive", "export_part", "request_text", "legal_hold"), 0),
        **dict.fromkeys(("usage_key", "usage_event", "campaign_delivery", "renewal_ask"), 0),
        **dict.fromkeys(("correspondent", "imported_document", "subscription"), 0),
        "outbox_message": 2,
    }
    assert after["data_subject_request"] == 2
    assert first_violation(session, CHECKS) is None


@pytest.mark.requirement(45, 50, 59)
def test_the_entries_stay_byte_for_byte(session: Session) -> None:
    """What a receipt shows can still be checked; whose it was cannot be told."""
    _, request = plant(session)
    linked = select(LedgerEntry.id, LedgerEntry.bytes).join(
        EntryLink, EntryLink.entry_id == LedgerEntry.id
    )
    before = {one: raw for one, raw in session.execute(linked)}
    erasure.fulfil(session, request, at=NOON)
    rows = session.execute(select(LedgerEntry.id, LedgerEntry.bytes))
    everything = {one: raw for one, raw in rows}
    assert len(before) >= 6
    assert {one: everything[one] for one in before} == before
    new = [decode(raw) for one, raw in everything.items() if one not in before]
    said = {entry.type: entry.data for entry in new if entry.type != "notice.published"}
    assert set(said) == {"request.fulfilled", "request.cancelled", "erasure.executed"}
    erased = [holding.name for holding in INVENTORY if holding.name != "accounting"]
    assert said["erasure.executed"] == {"cause": "request", "holdings": erased}


@pytest.mark.requirement(73, 75)
def test_a_last_mail_goes_to_the_address_and_is_about_nobody(session: Session) -> None:
    """It has the reference, is in the person's language, and no subject holds it back; what it
    is about is told by the entries' ids, since no link will tell."""
    _, request = plant(session)
    told = requests.entries(session, request)
    erasure.fulfil(session, request, at=NOON)
    session.flush()
    (last,) = [one for one in outbox.messages(session) if one.kind == "mail.erasure_done"]
    assert last.about is None
    payload = outbox.opened(keyring(session), last.id, last.payload or b"")
    assert payload == {
        "to": RAGNHILD.email,
        "name": None,
        "locale": "nb",
        "kept": [],
        "accounting": None,
        "accounting_known": True,
        "reference": request.reference,
        "entries": [*told, *payload["entries"][-2:]],
    }
    last_two = [decode(session.get_one(LedgerEntry, one).bytes) for one in payload["entries"][-2:]]
    assert [one.type for one in last_two] == ["request.fulfilled", "erasure.executed"]


def test_requests_stay_about_nobody(session: Session) -> None:
    """Reference, kind and dates; what was still open is cancelled, and the ledger says so while it
    can tell whose it was."""
    who, request = plant(session)
    mine = requests.of_subject(session, who)
    erasure.fulfil(session, request, at=NOON)
    session.expire_all()
    closed = {one.kind: (one.subject_id, one.state, one.closed_at) for one in mine}
    assert closed == {
        "erasure": (None, "fulfilled", NOON),
        "access": (None, "cancelled", NOON),
    }
    (access,) = [one for one in mine if one.kind == "access"]
    said = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    (cancelled,) = [one.data for one in said if one.type == "request.cancelled"]
    assert cancelled == {"kind": "access", "reference": access.reference}


@pytest.mark.requirement(68)
def test_only_a_verified_request_erases_and_only_once(session: Session) -> None:
    """Not one that waits for its link, not one that was done."""
    publish(session)
    account = opened(session)
    request = requests.receive(
        session, account.subject_id, RequestKind.ERASURE, channel="link", at=NOON
    )
    with pytest.raises(NotVerified):
        erasure.fulfil(session, request, at=NOON)
    assert accounts.find(session, KARI.email)
    requests.verify(session, request, channel="link", at=NOON)
    erasure.fulfil(session, request, at=NOON)
    session.expire_all()
    with pytest.raises(NotVerified):
        erasure.fulfil(session, request, at=NOON)
    kinds = [one.kind for one in session.scalars(select(OutboxMessage))]
    assert kinds == ["mail.erasure_done"]


def test_nobody_else_is_touched(session: Session) -> None:
    """Another person's choices, account and messages are as they were, and verify holds."""
    _, request = plant(session)
    other = somebody(session)
    decide(session, other, analytics=True)
    kari = opened(session)
    person = accounts.person(session, kari)
    before = [holding.export(session, other) for holding in INVENTORY]
    erasure.fulfil(session, request, at=NOON)
    assert [holding.export(session, other) for holding in INVENTORY] == before
    assert accounts.person(session, kari) == person
    assert first_violation(session, CHECKS) is None


@pytest.mark.requirement(75)
def test_a_registration_that_nobody_confirmed_is_replaced_without_a_mail(session: Session) -> None:
    """The ledger says why; its open messages go with it."""
    publish(session)
    account = opened(session)
    outbox.post(session, "mail.confirm", {"to": KARI.email}, at=NOON, about=account.subject_id)
    later = NOON + timedelta(minutes=1)
    assert erasure.forget_unconfirmed(session, KARI.email, at=later) is None
    assert accounts.find(session, KARI.email) is None
    assert session.scalar(select(func.count()).select_from(OutboxMessage)) == 0
    entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    causes = [entry.data["cause"] for entry in entries if entry.type == "erasure.executed"]
    assert causes == ["replaced"]


def test_a_row_that_still_points_at_the_person_stops_it(session: Session) -> None:
    """An erasure that would leave something behind is refused by the database."""
    who, _ = plant(session)
    with pytest.raises(IntegrityError):
        subjects.forget(session, who)


def test_messages_about_nobody_are_opened_once_for_all_who_go(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many people a transaction erases, and however many messages wait. Those to any of
    them go, in whatever spelling; others' stay."""
    publish(session)
    people = [opened(session, Person(f"Nr {n}", f"n{n}@firma.example")).subject_id for n in (1, 2)]
    for email in ("N1@FIRMA.example", "n2@firma.example", "n3@firma.example"):
        outbox.post(session, "intake.reset", {"email": email, "locale": "nb"}, at=NOON)
    looked_into: list[UUID] = []
    real = outbox.opened

    def opening(keys: Keyring, message: UUID, sealed: bytes) -> dict[str, Any]:
        looked_into.append(message)
        return real(keys, message, sealed)

    monkeypatch.setattr(outbox, "opened", opening)
    for who in people:
        erasure.forget(session, who, "retention", at=NOON)
    assert len(looked_into) == 3
    (left,) = outbox.messages(session)
    assert real(keyring(session), left.id, left.payload or b"")["email"] == "n3@firma.example"
