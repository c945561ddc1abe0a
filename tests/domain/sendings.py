"""What tests of newsletters share: people who want one, and a mail server at the network's edge."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from database import Database
from domain.delivery.errors import Away
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.marketing import campaigns
from domain.marketing.campaigns import Progress, Text
from domain.marketing.sending import Compose, Letter, Sender
from tests.domain.consenting import decide, publish
from tests.domain.deliveries import Clock
from tests.domain.identity_people import opened
from tests.support import NOON

TEXTS = {
    "nb": Text("Nye tips", "Les **mer**."),
    "nn": Text("Nye tips", "Les **meir**."),
    "en": Text("New tips", "Read **more**."),
}
MINUTE = timedelta(minutes=1)


def composing(texts: Mapping[str, Text]) -> Compose:
    """The plainest mail there is."""

    def compose(letter: Letter) -> tuple[str, str, bytes]:
        said = f"To: {letter.to}\r\nMessage-ID: {letter.message_id}\r\n"
        said += f"List-Unsubscribe: <https://samtykke.example/unsubscribe/{letter.token}>\r\n"
        said += f"Subject: {texts[letter.locale].subject}\r\n\r\n.Hi {letter.name}\r\n"
        return "nytt@lillemini.example", letter.to, said.encode()

    return compose


def customer(session: Session, name: str, **differing: Any) -> UUID:
    """Somebody who said yes to newsletters."""
    person = Person(name=name.title(), email=f"{name}@kunde.example")
    account = opened(session, person, **differing)
    accounts.confirm_address(session, account.subject_id, at=NOON)
    decide(session, account.subject_id, marketing=True)
    return account.subject_id


def crowd(database: Database, number: int) -> dict[str, UUID]:
    """So many of them, by their addresses."""
    with database.transaction() as session:
        publish(session)
        return {f"p{n}@kunde.example": customer(session, f"p{n}") for n in range(number)}


def started(database: Database) -> UUID:
    """A newsletter that is to be sent."""
    with database.transaction() as session:
        campaign = campaigns.draft(session, TEXTS, at=NOON)
        campaigns.start(session, campaign, at=NOON)
    return campaign


def progress(database: Database, campaign: UUID) -> Progress:
    with database.reading() as session:
        return campaigns.progress(session, campaign)


def counted(database: Database, campaign: UUID) -> dict[str, int]:
    """How many mails are in each state that any is in."""
    return {name: n for name, n in progress(database, campaign).counts.items() if n}


@dataclass
class Post:
    """A mail server: it keeps what it took, and fails as told at each step of a mail."""

    taken: list[str] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    connections: int = 0
    # What happens, by step (connect, offer, end, after), to the mails that come next.
    plan: dict[str, list[BaseException | None]] = field(default_factory=dict)
    # Called with the recipient between `offer` and `end`, and when the mail was taken.
    meanwhile: Callable[[str], object] = lambda recipient: None
    afterwards: Callable[[str], object] = lambda recipient: None

    def connect(self) -> Line:
        self.fail("connect")
        self.connections += 1
        return Line(self)

    def fail(self, step: str) -> None:
        plan = self.plan.get(step, [])
        if plan and (error := plan.pop(0)) is not None:
            raise error


@dataclass
class Line:
    """One connection to it."""

    post: Post
    offered: tuple[str, bytes] | None = None
    closed: bool = False

    def offer(self, sender: str, recipient: str, content: bytes) -> None:
        assert self.offered is None, "a mail before was neither ended nor dropped"
        if self.closed:
            raise Away("closed")
        self.post.fail("offer")
        self.offered = recipient, content

    def end(self) -> None:
        assert self.offered is not None
        recipient, content = self.offered
        self.offered = None
        self.post.fail("end")
        self.post.taken.append(recipient)
        self.post.mails.append(content)
        self.post.afterwards(recipient)
        self.post.fail("after")

    def drop(self) -> None:
        self.offered, self.closed = None, True

    def close(self) -> None:
        self.closed = True


def sender(database: Database, post: Any, clock: Clock | None = None, **more: Any) -> Sender:
    return Sender(database, post, composing, clock or Clock(NOON), **more)
