"""Posting messages, and what an operator and the inventory do with them."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from database import Database
from domain.delivery import outbox
from domain.delivery.errors import NotDead, UnknownKind, UnknownMessage
from domain.delivery.models import OutboxMessage
from domain.keys import Keyring

MAIL = {"to": "kari@example.no", "name": "Kari", "locale": "nb"}


def row(session: Session, message: UUID) -> OutboxMessage:
    found = session.get(OutboxMessage, message, populate_existing=True)
    assert found is not None
    return found


def kill(session: Session, message: UUID, at: datetime) -> None:
    found = row(session, message)
    found.state, found.attempts, found.failure, found.closed_at = "dead", 8, "SMTP 550", at


def test_a_message_exists_only_if_its_cause_was_committed(
    database: Database, NOON: datetime
) -> None:
    """Nothing leaves before the commit, and nothing at all after a rollback."""
    with pytest.raises(RuntimeError), database.transaction() as session:
        outbox.post(session, "mail.confirm", MAIL, at=NOON)
        raise RuntimeError
    with database.reading() as session:
        assert outbox.messages(session) == []


@pytest.mark.requirement(82)
def test_the_database_never_holds_the_payload_in_the_clear(
    session: Session, NOON: datetime
) -> None:
    """An address or a token in a dump of the outbox would undo what the vault seals."""
    outbox.post(session, "mail.confirm", {**MAIL, "token": "t0ken"}, at=NOON)
    session.flush()
    dump = repr(session.execute(text("SELECT * FROM outbox_message")).all())
    for secret in ("kari", "Kari", "t0ken"):
        assert secret not in dump


def test_a_payload_comes_back_as_posted(session: Session, keys: Keyring, NOON: datetime) -> None:
    """Dates and UUIDs come back as text: what they were is the reader's business."""
    subject = UUID(int=7)
    message = outbox.post(
        session, "mail.access", {**MAIL, "due_on": date(2026, 12, 22), "subject": subject}, at=NOON
    )
    sealed = row(session, message).payload
    assert sealed is not None
    assert outbox.opened(keys, message, sealed) == {
        **MAIL,
        "due_on": "2026-12-22",
        "subject": str(subject),
    }


def test_a_payload_takes_nothing_that_json_cannot_say(session: Session, NOON: datetime) -> None:
    """A mistake in posting is seen when posting, not when delivering."""
    with pytest.raises(TypeError):
        outbox.post(session, "mail.confirm", {"to": object()}, at=NOON)


def test_a_kind_is_mail_or_intake(session: Session, NOON: datetime) -> None:
    """Anything else would wait for ever."""
    with pytest.raises(UnknownKind):
        outbox.post(session, "confirm", MAIL, at=NOON)


def test_each_message_has_its_own_message_id(session: Session, NOON: datetime) -> None:
    """The sender's domain stands in it where the composition gives one."""
    session.info["mail_domain"] = "lillemini.example"
    ids = {
        row(session, outbox.post(session, "mail.confirm", MAIL, at=NOON)).message_id
        for _ in range(2)
    }
    assert len(ids) == 2
    assert all(one.startswith("<") and one.endswith("@lillemini.example>") for one in ids)


def test_only_a_dead_message_is_sent_again(session: Session, NOON: datetime) -> None:
    """It gets all its tries anew; any other message is on its way or done."""
    message = outbox.post(session, "mail.confirm", MAIL, at=NOON)
    with pytest.raises(NotDead):
        outbox.send_again(session, message, at=NOON)
    kill(session, message, NOON)
    assert [one.id for one in outbox.dead(session)] == [message]
    later = NOON + timedelta(hours=1)
    outbox.send_again(session, message, at=later)
    again = row(session, message)
    assert (again.state, again.due_at, again.attempts, again.closed_at) == (
        "queued",
        later,
        0,
        None,
    )
    with pytest.raises(UnknownMessage):
        outbox.send_again(session, uuid4(), at=NOON)


def test_closed_messages_go(session: Session, NOON: datetime) -> None:
    """A dead message holds an address, so it is not kept for ever; a queued one is not touched."""
    waiting = outbox.post(session, "mail.confirm", MAIL, at=NOON)
    closed = outbox.post(session, "mail.reset", MAIL, at=NOON)
    kill(session, closed, NOON)
    assert outbox.purge(session, before=NOON - timedelta(seconds=1)) == 0
    assert outbox.purge(session, before=NOON) == 1
    assert [one.id for one in outbox.messages(session)] == [waiting]


@pytest.mark.requirement(56)
def test_the_export_shows_what_waits_and_where_it_goes(session: Session, NOON: datetime) -> None:
    """Queued and dead messages about the subject, nobody else's."""
    subject, other = uuid4(), uuid4()
    outbox.post(session, "mail.confirm", MAIL, at=NOON, about=subject)
    outbox.post(session, "intake.reset", {"email": "kari@example.no"}, at=NOON, about=subject)
    outbox.post(session, "mail.confirm", {**MAIL, "to": "ola@example.no"}, at=NOON, about=other)
    (holding,) = outbox.HOLDINGS
    exported = holding.export(session, subject)
    assert sorted(one["kind"] for one in exported) == ["intake.reset", "mail.confirm"]
    assert {one["to"] for one in exported} == {"kari@example.no"}
    assert {one["created_at"] for one in exported} == {"2026-11-22T12:00:00+00:00"}


def test_a_lost_key_hides_one_message_and_not_the_export(session: Session, NOON: datetime) -> None:
    """Access is answered with what can be read."""
    subject = uuid4()
    message = outbox.post(session, "mail.confirm", MAIL, at=NOON, about=subject)
    row(session, message).payload = b"\0\x09" + bytes(40)
    (holding,) = outbox.HOLDINGS
    assert [one["to"] for one in holding.export(session, subject)] == [None]


@pytest.mark.requirement(59)
def test_erasing_takes_every_message_about_the_subject(session: Session, NOON: datetime) -> None:
    """Dead ones too; what is about others, or about nobody, stays."""
    subject, other = uuid4(), uuid4()
    gone = outbox.post(session, "mail.confirm", MAIL, at=NOON, about=subject)
    kill(session, gone, NOON)
    outbox.post(session, "mail.reset", MAIL, at=NOON, about=subject)
    stays = {
        outbox.post(session, "mail.confirm", MAIL, at=NOON, about=other),
        outbox.post(session, "mail.erasure_done", MAIL, at=NOON),
    }
    (holding,) = outbox.HOLDINGS
    holding.erase(session, subject, NOON)
    assert {one.id for one in outbox.messages(session)} == stays
