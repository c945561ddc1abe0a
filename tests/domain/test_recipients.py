"""Recipients are told of rectification, erasure and restriction (GDPR art. 19)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.consent.errors import ContentError
from domain.consent.operator import Processor, load_processors
from domain.consent.purposes import PurposeRegister, purposes
from domain.delivery import outbox
from domain.delivery.errors import Refused
from domain.delivery.models import OutboxMessage
from domain.delivery.worker import Worker
from domain.rights import cases, erasure, recipients
from domain.rights.models import RecipientNotice
from domain.rights.requests import RequestKind
from tests.domain.asking import letters, verified
from tests.domain.consenting import CONTENT, publish
from tests.domain.deliveries import Clock, Network, render
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

MAILER = "personvern@utsending.example"
DAY = timedelta(days=1)


def with_mailer(register: PurposeRegister) -> PurposeRegister:
    """The register with a second processor, who is told by mail."""
    host: Processor = register.processors[0]
    mailer = replace(host, id="mailer", name="Utsending AS", notify=MAILER)
    idle = replace(host, id="idle", name="Ingenting AS", notify="x@ingenting.example")
    account = replace(register.purposes["account"], recipients=("aws", "mailer"))
    return replace(
        register,
        processors=(host, mailer, idle),
        purposes={**register.purposes, "account": account},
    )


@pytest.fixture
def told(session: Session) -> Callable[[], list[tuple[str, str, str]]]:
    """The rows there are: processor, kind, state."""
    session.info = {**session.info, "purposes": with_mailer(purposes(session))}

    def rows() -> list[tuple[str, str, str]]:
        session.flush()
        found = session.scalars(select(RecipientNotice)).all()
        return sorted((one.processor, one.kind, one.state) for one in found)

    return rows


@pytest.mark.requirement(61)
def test_every_processor_that_received_data_is_told(
    session: Session, told: Callable[[], list[tuple[str, str, str]]]
) -> None:
    """Who hosts the database by itself, who has an address by mail, who got nothing not at all;
    the person may see it."""
    who = opened(session).subject_id
    recipients.tell(session, who, "rectification", at=NOON)
    assert told() == [("aws", "rectification", "automatic"), ("mailer", "rectification", "queued")]
    (mail,) = letters(session)
    assert (mail["to"], mail["kind"]) == (MAILER, "rectification")
    assert mail["known_as"] == KARI.email.lower()
    assert mail["about"] == who
    mine = recipients.of_subject(session, who)
    assert [(one.processor, one.state) for one in mine] == [
        ("aws", "automatic"),
        ("mailer", "queued"),
    ]
    (holding,) = recipients.HOLDINGS
    assert {one["recipient"] for one in holding.export(session, who)} == {"aws", "mailer"}


@pytest.mark.requirement(61)
def test_a_restriction_and_an_erasure_are_told(
    session: Session, told: Callable[[], list[tuple[str, str, str]]]
) -> None:
    """Once each; after the erasure the rows are about nobody, and only the mail to the processor
    that must erase it still says whom."""
    publish(session)
    who = opened(session).subject_id
    for _ in range(2):
        cases.execute(session, verified(session, who, RequestKind.RESTRICTION), at=NOON)
    assert told() == [("aws", "restriction", "automatic"), ("mailer", "restriction", "queued")]
    erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON)
    assert told() == [
        ("aws", "erasure", "automatic"),
        ("aws", "restriction", "automatic"),
        ("mailer", "erasure", "queued"),
        ("mailer", "restriction", "queued"),
    ]
    assert {one.subject_id for one in session.scalars(select(RecipientNotice))} == {None}
    mails = [(one["mail"], one["to"], one.get("kind")) for one in letters(session)]
    assert sorted(mails, key=str) == [
        ("mail.erasure_done", KARI.email.lower(), None),
        ("mail.recipient_told", MAILER, "erasure"),
    ]


def _sent(database: Database, network: Network) -> str:
    """Tell of an erasure, try to deliver it, and note what came of it; the row's state."""
    database.info["purposes"] = with_mailer(database.info["purposes"])
    with database.transaction() as session:
        account = opened(session)
        made = recipients.tell(session, account.subject_id, "erasure", at=NOON)
        (waiting,) = [one.id for one in made if one.state == "queued"]
    Worker(database, network, render, {}, Clock(NOON)).run_once()
    with database.transaction() as session:
        recipients.note_told(session, at=NOON + DAY)
        return session.get_one(RecipientNotice, waiting).state


@pytest.mark.requirement(61)
def test_who_was_sent_the_mail_was_told(database: Database) -> None:
    """And noted only once it was sent."""
    assert _sent(database, Network()) == "told"


def test_a_mail_that_cannot_be_sent_keeps_nobodys_address(database: Database) -> None:
    """The person it names is erased; that the processor was not told stays to be seen."""
    assert _sent(database, Network(before=[Refused("SMTP 550")])) == "queued"
    with database.reading() as session:
        (mail,) = session.scalars(select(OutboxMessage).where(OutboxMessage.state == outbox.DEAD))
        assert mail.payload is None


def test_processors_are_read_with_where_to_tell_them(tmp_path: Path, NOON: datetime) -> None:
    """`notify` may be left out, as it is by who hosts the database."""
    assert [one.notify for one in load_processors(CONTENT)] == [""]
    words = (CONTENT / "processors.toml").read_text("utf-8")
    words = words.replace('transfer = ""', f'transfer = ""\nnotify = "{MAILER}"')
    (tmp_path / "processors.toml").write_text(words, "utf-8")
    assert [one.notify for one in load_processors(tmp_path)] == [MAILER]
    (tmp_path / "processors.toml").write_text(words.replace(MAILER, "call them"), "utf-8")
    with pytest.raises(ContentError, match="aws: notify"):
        load_processors(tmp_path)
