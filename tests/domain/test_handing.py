"""Who says no while a newsletter to them is being handed over is answered when it has left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import pytest

from database import Database
from domain.marketing import handing, queue
from domain.marketing.models import CampaignDelivery
from domain.rights import erasure
from domain.rights.requests import RequestKind
from tests.domain.asking import verified
from tests.domain.consenting import decide
from tests.domain.deliveries import Clock
from tests.domain.sendings import Line, Post, counted, crowd, sender, started
from tests.support import NOON

PATIENCE = 30.0


@dataclass
class Slow(Post):
    """A mail server that takes its time with the end of a mail: `reached` is set then."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)

    def connect(self) -> Line:
        return Lingering(self)


class Lingering(Line):
    def end(self) -> None:
        assert isinstance(self.post, Slow)
        self.post.reached.set()
        assert self.post.go_on.wait(PATIENCE)
        super().end()


@contextmanager
def handing_over(database: Database) -> Iterator[tuple[UUID, UUID, Slow]]:
    """A newsletter, and the one person it is for, who is being handed it all the time that the
    block lasts."""
    (who,) = crowd(database, 1).values()
    campaign, post = started(database), Slow()
    thread = threading.Thread(target=sender(database, post).run_once)
    thread.start()
    try:
        assert post.reached.wait(PATIENCE)
        yield campaign, who, post
    finally:
        post.go_on.set()
        thread.join(PATIENCE)


def withdraw(database: Database, who: UUID) -> None:
    with database.transaction() as session:
        decide(session, who, marketing=False)


@pytest.mark.requirement(35, 42)
def test_a_withdrawal_is_answered_when_the_mail_has_left(database: Database) -> None:
    """Not before, and not after: and where the mail server takes too long, it is told so."""
    with handing_over(database) as (_, who, post):
        withdraw(database, who)
        assert not handing.wait(database, who, at=NOON, patience=0.05)
        answered: list[int] = []
        waiting = threading.Thread(
            target=lambda: answered.append(
                handing.wait(database, who, at=NOON, patience=PATIENCE) and len(post.taken)
            )
        )
        waiting.start()
        time.sleep(0.1)
        assert not answered
        post.go_on.set()
        waiting.join(PATIENCE)
        assert answered == [1]


@pytest.mark.requirement(35, 50)
def test_an_erasure_waits_for_the_mail_and_leaves_nothing(database: Database) -> None:
    """Nobody is erased while a mail to them is on its way: with its row, nobody could wait for it.
    Where that takes too long they are, and are told."""
    with handing_over(database) as (campaign, who, post):

        def erase() -> None:
            with database.transaction() as session:
                erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON)

        with pytest.raises(handing.OnItsWay):
            erase()
        with database.reading() as session:
            assert session.get(CampaignDelivery, (campaign, who)) is not None
        erased: list[tuple[bool, int]] = []
        thread = threading.Thread(
            target=lambda: erased.append((handing.past(database, erase, at=NOON), len(post.taken)))
        )
        thread.start()
        time.sleep(0.1)
        post.go_on.set()
        thread.join(PATIENCE)
        assert erased == [(True, 1)]
    with database.reading() as session:
        assert session.get(CampaignDelivery, (campaign, who)) is None


def test_an_erasure_does_not_wait_for_ever(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a mail server that hangs, or for a sender that was killed."""
    monkeypatch.setattr(handing, "PATIENCE", 0.05)
    with handing_over(database) as (campaign, who, _):

        def erase() -> None:
            with database.transaction() as session:
                erasure.fulfil(session, verified(session, who, RequestKind.ERASURE), at=NOON)

        assert not handing.past(database, erase, at=NOON)
    with database.reading() as session:
        assert session.get(CampaignDelivery, (campaign, who)) is None


@pytest.mark.requirement(35)
@pytest.mark.parametrize("late", [False, True])
def test_the_mark_comes_before_the_question(
    database: Database, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    """A no between the two: the mail does not leave; a no right after the question finds the mark.
    So there is no moment at which neither sees the other."""
    (who,) = crowd(database, 1).values()
    started(database)
    post = Post()
    seen: list[bool] = []
    running = sender(database, post)
    ask: Callable[..., object] = running._ask

    def asking(*said: object) -> object:
        if not late:
            withdraw(database, who)
        answer = ask(*said)
        if late:
            withdraw(database, who)
        seen.append(handing.wait(database, who, at=NOON, patience=0))
        return answer

    monkeypatch.setattr(running, "_ask", asking)
    running.run_once()
    assert seen == [False]
    assert len(post.taken) == late
    assert handing.wait(database, who, at=NOON, patience=0)


def test_two_senders_at_once_send_each_mail_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each claims a part, and neither waits for the other."""
    monkeypatch.setattr("domain.marketing.sending.BATCH", 3)
    people = crowd(database, 24)
    campaign, posts = started(database), [Post(), Post()]
    threads = [threading.Thread(target=sender(database, post).run_once) for post in posts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for post in posts:
        sender(database, post).run_once()
    assert sorted(posts[0].taken + posts[1].taken) == sorted(people)
    assert counted(database, campaign) == {"sent": 24}


def test_a_claim_of_an_earlier_life_of_the_database_is_uncertain(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks do not wait for the disk. A database that died may have lost the last of them, so
    nobody knows what whoever had a claim then has sent. A released claim is as if it never was."""
    crowd(database, 4)
    campaign, post = started(database), Post()
    queue.fill(database, campaign, at=NOON)
    claimed = queue.claim(database, campaign, None, at=NOON, limit=2)
    assert claimed
    queue.release(database, claimed[:1])
    monkeypatch.setattr(queue, "incarnation", lambda session: "claimed after a power cut")
    sender(database, post, Clock(NOON + queue.CLAIM)).run_once()
    assert counted(database, campaign) == {"sent": 3, "uncertain": 1}
    assert len(post.taken) == 3
