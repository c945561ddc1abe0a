"""A person of whom something is kept in every table, for the tests of access and erasure."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import partial
from uuid import UUID, uuid4

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from database import Database
from domain.accounting import records
from domain.accounting.invoices import Invoice
from domain.analytics import pseudonyms
from domain.analytics.models import UsageEvent, UsageKey
from domain.consent.models import CurrentDecision, RenewalAsk
from domain.dates import local_day
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, limits, signed_links, subscriptions, vault
from domain.identity.accounts import Person
from domain.identity.limits import LimitKind
from domain.identity.models import Correspondent
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.locales import LOCALES
from domain.marketing import campaigns
from domain.marketing.models import CampaignDelivery
from domain.rights import archives, brought, cases, holds, recipients, requests
from domain.rights.models import DataSubjectRequest, ExportPart
from domain.rights.requests import RequestKind
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import opened
from tests.support import NOON
from tests.support.tables import readable

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
# What is in each column that is sealed, as a search would look for it.
WORDS = {
    ("account", "name"): "Kanarifugl",
    ("account", "email"): RAGNHILD.email,
    ("account", "pending_email"): NEW_ADDRESS,
    ("account", "phone"): "+4793939393",
    ("account", "address"): "Fuglevegen 93",
    ("account", "postal_code"): "PQ-7093",
    ("account", "city"): "Kanaridal",
    ("correspondent", "email"): "ragnhild.gammel@kanari.example",
    ("request_text", "words"): "Kanarisang",
    ("legal_hold", "reason"): "Kanarikrav",
    ("imported_document", "document"): "Kanarifrø",
    ("export_part", "sealed"): "Kanarikopi",
    ("accounting_record", "buyer"): "Kanaribur 5",
    ("outbox_message", "payload"): RAGNHILD.email,
}
CANARIES = (*WORDS.values(), "Ragnhild", "kanari.example", "Fuglevegen", IP)
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
    plant_messages(session, who)
    plant_rights(session, who, access)
    plant_usage(session, who, at=NOON)
    plant_renewal(session, who, at=NOON)
    plant_newsletter(session, who, at=NOON)
    session.flush()
    return who, erasure


def charge(accounting: Database, who: UUID) -> None:
    """An invoice of hers in the books, which the application's session cannot reach: what it
    writes must be committed before, on SQLite."""
    invoice = Invoice(
        number="2025-93",
        day=date(2025, 3, 9),
        currency="NOK",
        amount=93_093,
        vat=18_619,
        item="Abonnement",
        buyer_name=RAGNHILD.name,
        buyer_address=WORDS["accounting_record", "buyer"],
    )
    with accounting.transaction() as session:
        records.add(session, who, invoice, at=NOON)


def plant_rights(session: Session, who: UUID, request: DataSubjectRequest) -> None:
    """What the rights leave: words of a case, a copy, a hold that ended, whom we told, what she
    brought, a subscription, and that she once wrote to us from an address of no account."""
    said = {column: word for (_, column), word in WORDS.items()}
    cases.write(session, request, "person", f"Hvor er min {said['words']}?", at=NOON)
    recipients.tell(session, who, "rectification", at=NOON)
    brought.keep(session, who, {"words": said["document"]}, at=NOON)
    subscriptions.start(session, who, on=date(2025, 3, 9), at=NOON)
    subscriptions.end(session, who, on=date(2026, 9, 3), at=NOON)
    hold = holds.place(
        session, who, "legal_claim", said["reason"], ["account"], date(2027, 1, 1), at=NOON
    )
    holds.release(session, hold, at=NOON)
    key = vault.key_of(session, who)
    email = WORDS["correspondent", "email"]
    sealed = vault.seal_field(key, who, "email", email, table="correspondent")
    assert sealed
    lookup = keyring(session).lookup("correspondent.email", email)
    session.add(
        Correspondent(
            subject_id=who, email_lookup=lookup, email=sealed, locale="nb", opened_at=NOON
        )
    )
    copy = archives.new(session, request.id, who, "nb", at=NOON)
    copy.state, copy.done, copy.total, copy.size = "ready", 93, 93, 1
    copy.expires_at = NOON + timedelta(days=1)
    part = vault.seal_bytes(
        key, "export_part", copy.id, "sealed:0", WORDS["export_part", "sealed"].encode()
    )
    session.add(ExportPart(archive_id=copy.id, number=0, sealed=part))


def plant_usage(session: Session, who: UUID, *, at: datetime) -> None:
    """She is counted, and read a tip today."""
    key = {"key": secrets.token_bytes(32), "despite_signal": True, "begun_at": at}
    session.add(UsageKey(id=uuid4(), subject_id=who, **key))
    session.flush()
    day = local_day(at)
    pseudonyms.make_month(session, pseudonyms.month_of(day))
    (pseudonym,) = pseudonyms.of_member(session, who)
    read = {"item": "kanaritips", "kind": "read", "day": day, "locale": "nb"}
    session.add(UsageEvent(pseudonym=pseudonym, **read))
    session.flush()


def plant_renewal(session: Session, who: UUID, *, at: datetime) -> None:
    """She was asked whether her yes goes on."""
    yes = session.scalars(
        select(CurrentDecision).where(
            CurrentDecision.subject_id == who, CurrentDecision.purpose_id == "marketing"
        )
    ).one()
    session.add(RenewalAsk(entry_id=yes.entry_id, purpose_version=1, subject_id=who, asked_at=at))
    session.flush()


def plant_newsletter(session: Session, who: UUID, *, at: datetime) -> None:
    """One that did not reach her."""
    text = campaigns.Text("Kanarinytt", "Les mer.")
    campaign = campaigns.draft(session, dict.fromkeys(LOCALES, text), at=at)
    failed = {"state": "failed", "reason": "SMTP 550", "attempts": 93}
    times = {"due_at": at, "closed_at": at}
    session.add(CampaignDelivery(campaign_id=campaign, subject_id=who, **failed, **times))
    session.flush()


def plant_messages(session: Session, who: UUID) -> None:
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
    for table in readable():
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
