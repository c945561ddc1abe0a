"""The gate: what was queued for a purpose leaves only while that is permitted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.delivery.transports import recipients
from domain.delivery.worker import Outcome, Worker
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.rights import cases, erasure, gate
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from tests.domain.asking import verified
from tests.domain.consenting import decide, publish
from tests.domain.deliveries import Clock, Network, row
from tests.domain.identity_people import opened
from tests.support import NOON

DAY = timedelta(days=1)
CAMPAIGN = "mail.campaign"
Act = Callable[[Session, UUID], object]


def customer(session: Session, name: str) -> UUID:
    """Somebody who said yes to the newsletter."""
    account = opened(session, Person(name=name, email=f"{name}@kunde.example"))
    accounts.confirm_address(session, account.subject_id, at=NOON)
    decide(session, account.subject_id, marketing=True)
    return account.subject_id


def restrict(session: Session, who: UUID) -> None:
    cases.execute(session, verified(session, who, RequestKind.RESTRICTION), at=NOON)


def object_to_it(session: Session, who: UUID) -> None:
    case = verified(session, who, RequestKind.OBJECTION, about="marketing")
    cases.execute(session, case, at=NOON)


def withdraw(session: Session, who: UUID) -> None:
    decide(session, who, marketing=False)


def erase(session: Session, who: UUID) -> None:
    erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON)


ACTS: dict[str, Act] = {
    "restricted": restrict,
    "not_given": object_to_it,
    "withdrawn": withdraw,
    "erasing": lambda session, who: subjects.freeze(session, who, at=NOON),
    "erased": erase,
}


def campaign(session: Session, who: UUID, number: int = 0) -> UUID:
    """One mail of many, to somebody."""
    letter = {"to": f"{who.hex}@kunde.example", "number": number}
    return outbox.post(session, CAMPAIGN, letter, at=NOON, about=who, purpose="marketing")


def render(kind: str, payload: Mapping[str, Any], message_id: str, at: datetime) -> EmailMessage:
    mail = EmailMessage()
    mail["To"], mail["Message-ID"] = payload["to"], message_id
    return mail


def worker(database: Database, network: Any, rendering: Any = render) -> Worker:
    forbids = partial(gate.forbids, database)
    return Worker(database, network, rendering, {}, Clock(NOON), forbids=forbids)


@pytest.fixture
def who(database: Database) -> UUID:
    with database.transaction() as session:
        publish(session)
        return customer(session, "kari")


@pytest.mark.requirement(35, 60, 75)
@pytest.mark.parametrize("act", ACTS)
def test_what_waits_in_the_queue_does_not_leave(database: Database, who: UUID, act: str) -> None:
    """After a restriction, an objection, a withdrawal, and an erasure that waits or is done; the
    mails about the right itself do."""
    with database.transaction() as session:
        message = campaign(session, who)
    with database.transaction() as session:
        ACTS[act](session, who)
    network = Network()
    name = f"{who.hex}@kunde.example"
    kinds: list[str] = []

    def noting(kind: str, payload: Mapping[str, Any], *rest: Any) -> EmailMessage:
        kinds.append(kind)
        return render(kind, payload, *rest)

    worker(database, network, noting).run_once()
    assert CAMPAIGN not in kinds
    assert name not in repr(network.sent)
    if act == "erased":
        with database.reading() as session:
            assert session.get(OutboxMessage, message) is None
        return
    dropped = row(database, message)
    reason = {"withdrawn": "not_given"}.get(act, act)
    assert (dropped.state, dropped.failure) == ("dropped", reason)
    assert (dropped.payload, dropped.about) == (None, None)
    assert len(network.sent) == len(kinds)


@pytest.mark.requirement(60)
def test_what_is_permitted_leaves_and_what_has_no_purpose_always_does(
    database: Database, who: UUID
) -> None:
    """A restricted person still hears about their account and their rights."""
    network = Network()
    with database.transaction() as session:
        campaign(session, who)
    assert worker(database, network).run_once() == 1
    with database.transaction() as session:
        restrict(session, who)
        letter = {"to": "kari@kunde.example"}
        outbox.post(session, "mail.password_changed", letter, at=NOON, about=who)
        campaign(session, who)
    assert worker(database, network).run_once() == 2  # restriction_placed, password_changed
    assert len(network.sent) == 3


@pytest.mark.requirement(35)
@pytest.mark.parametrize("act", ["restricted", "not_given", "withdrawn", "erasing", "erased"])
def test_it_is_asked_again_right_before_it_leaves(database: Database, who: UUID, act: str) -> None:
    """What is decided while the mail is being made counts: between the lease and the sending."""
    network = Network()
    with database.transaction() as session:
        campaign(session, who)

    def slow(*arguments: Any) -> EmailMessage:
        with database.transaction() as session:
            ACTS[act](session, who)
        return render(*arguments)

    outcome = worker(database, network, slow).step()
    assert outcome is (Outcome.LOST if act == "erased" else Outcome.DROPPED)
    assert network.sent == []


def test_a_purpose_is_somebodys_and_stands_in_the_register(database: Database, who: UUID) -> None:
    """A message for a purpose without a subject is refused, and one for a purpose that nobody
    declared is not sent; nor is any by a worker that has nobody to ask."""
    network = Network()
    with database.transaction() as session:
        with pytest.raises(ValueError, match="somebody"):
            outbox.post(session, CAMPAIGN, {"to": "x@y.example"}, at=NOON, purpose="marketing")
        letter = {"to": "x@y.example"}
        outbox.post(session, CAMPAIGN, letter, at=NOON, about=who, purpose="world_domination")
        message = campaign(session, who)
    assert worker(database, network).step() is Outcome.POSTPONED
    assert Worker(database, network, render, {}, Clock(NOON)).step() is Outcome.DROPPED
    assert row(database, message).failure == "nobody_asked"
    assert network.sent == []


@dataclass
class Halting:
    """A network that stops in the middle of the campaign until it is told to go on."""

    after: int
    sent: list[str] = field(default_factory=list)
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def render(self, *arguments: Any) -> EmailMessage:
        """Between the lease and the sending."""
        if len(self.sent) == self.after and not self.go_on.is_set():
            self.reached.set()
            assert self.go_on.wait(30)
        return render(*arguments)

    def send(self, mail: EmailMessage, *, kind: str) -> None:
        if kind == CAMPAIGN:
            self.sent += recipients(mail)


@pytest.fixture
def crowd(database: Database) -> dict[str, UUID]:
    """One person for each thing that can happen, and one who stays."""
    with database.transaction() as session:
        publish(session)
        return {act.replace("_", ""): customer(session, act) for act in (*ACTS, "staying")}


@pytest.mark.requirement(35, 60)
def test_nothing_of_a_campaign_goes_out_after_the_answer(
    database: Database, crowd: dict[str, UUID]
) -> None:
    """Two hundred mails, a worker in the midst of them, and five people who have had enough: not
    one mail to any of them after their answer, and all of the one who stays."""
    people = list(crowd.values())
    with database.transaction() as session:
        for number in range(200):
            campaign(session, people[number % len(people)], number)
    network = Halting(after=50)
    running = worker(database, network, network.render)
    errors = list(_beside(running, network, database, crowd))
    assert errors == []
    before, after = network.sent[:50], network.sent[50:]
    staying = f"{people[-1].hex}@kunde.example"
    assert len(set(before)) == len(people)
    assert set(after) == {staying}
    assert network.sent.count(staying) == 200 // len(people)
    with database.reading() as session:
        rows = session.scalars(select(OutboxMessage).where(OutboxMessage.kind == CAMPAIGN))
        states = [one.state for one in rows]
    assert set(states) == {"sent", "dropped"}
    assert states.count("sent") == len(network.sent)


def _beside(
    running: Worker, network: Halting, database: Database, crowd: dict[str, UUID]
) -> Iterator[BaseException]:
    """Run the worker in a thread; act in the middle; yield what went wrong there."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            running.run_once()
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert network.reached.wait(60)
    for act, name in zip(ACTS.values(), crowd, strict=False):
        with database.transaction() as session:
            act(session, crowd[name])
    network.go_on.set()
    thread.join(120)
    yield from errors
