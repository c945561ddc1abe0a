"""Newsletters: to each person once, to nobody who says no, whatever fails on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from database import Database
from domain.dates import local_day
from domain.delivery.errors import Away, NoMailbox, Refused, TryLater, Unanswered
from domain.delivery.leases import BACKOFF, TRIES
from domain.identity import accounts
from domain.identity.models import Account
from domain.ledger.models import LedgerEntry
from domain.marketing import campaigns, queue, sending
from domain.marketing.campaigns import CampaignState, Text
from domain.marketing.models import CampaignDelivery
from domain.marketing.queue import CLAIM, LEASE
from domain.marketing.sending import REFUSED, Compose, Sender
from domain.rights import retention
from domain.subjects import service as subjects
from tests.domain.consenting import decide
from tests.domain.deliveries import Clock, Died
from tests.domain.sendings import (
    MINUTE,
    TEXTS,
    Post,
    composing,
    counted,
    crowd,
    customer,
    progress,
    sender,
    started,
)
from tests.support import NOON


@pytest.mark.requirement(35)
def test_everyone_who_says_yes_gets_it_once(database: Database) -> None:
    """In their language, over one connection; whoever says no, or reads no mail there, does not.
    The ledger has that it began, with the hash of its words, and that it ended, with the counts."""
    people = crowd(database, 5)
    with database.transaction() as session:
        customer(session, "ola", locale="en")
        decide(session, people["p3@kunde.example"], marketing=False)
        session.execute(
            update(Account)
            .where(Account.subject_id == people["p4@kunde.example"])
            .values(undeliverable_at=NOON)
        )
    campaign, post = started(database), Post()
    sender(database, post).run_once()
    expected = {"p0@kunde.example", "p1@kunde.example", "p2@kunde.example", "ola@kunde.example"}
    assert Counter(post.taken) == dict.fromkeys(expected, 1)
    assert post.connections == 1
    (english,) = [mail for mail in post.mails if b"New tips" in mail]
    assert b"To: ola@" in english
    told = progress(database, campaign)
    assert (told.state, told.recipients, told.done) == (CampaignState.FINISHED, 4, 4)
    sender(database, post).run_once()
    assert len(post.taken) == 4
    with database.reading() as session:
        stored = b"".join(session.scalars(select(LedgerEntry.bytes)))
    assert stored.count(b'"campaign.started"') == stored.count(b'"campaign.finished"') == 1
    assert b'"counts":{"dropped":0,"failed":0,"sent":4,"uncertain":0}' in stored


def test_many_are_taken_into_the_queue_a_chunk_at_a_time(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever falls on the border of a chunk."""
    monkeypatch.setattr(queue, "CHUNK", 3)
    people = crowd(database, 6)
    campaign, post = started(database), Post()
    sender(database, post).run_once()
    assert Counter(post.taken) == dict.fromkeys(people, 1)
    assert counted(database, campaign) == {"sent": 6}


@pytest.mark.requirement(35, 60)
@pytest.mark.parametrize(
    ("when", "reason"),
    [("queued", "not_given"), ("offered", "not_given"), ("frozen", "erasing"), ("erased", None)],
)
def test_a_no_counts_until_the_last_moment(
    database: Database, when: str, reason: str | None
) -> None:
    """Also where the server has all of the mail but its end."""
    crowd(database, 3)
    with database.transaction() as session:
        late = customer(session, "sein")
    campaign, post = started(database), Post()
    running = sender(database, post)

    def act(recipient: str) -> None:
        if recipient != "sein@kunde.example":
            return
        with database.transaction() as session:
            if when == "frozen":
                subjects.freeze(session, late, at=NOON)
            elif when == "erased":
                row = session.get(CampaignDelivery, (campaign, late))
                session.delete(row)
            else:
                decide(session, late, marketing=False)

    if when == "queued":
        queue.fill(database, campaign, at=NOON)
        act("sein@kunde.example")
    else:
        original = Post.connect

        def connect() -> object:
            line = original(post)
            offer = line.offer

            def offered(sent_by: str, recipient: str, content: bytes) -> None:
                offer(sent_by, recipient, content)
                act(recipient)

            line.offer = offered  # type: ignore[method-assign, assignment]
            return line

        post.connect = connect  # type: ignore[method-assign, assignment]
    running.run_once()
    assert sorted(post.taken) == [f"p{n}@kunde.example" for n in range(3)]
    dropped = {"dropped": 1} if reason else {}
    assert counted(database, campaign) == {"sent": 3, **dropped}
    with database.reading() as session:
        reasons = session.scalars(select(CampaignDelivery.reason)).all()
    assert {one for one in reasons if one} == {one for one in [reason] if one}


@pytest.mark.parametrize(
    ("step", "error", "twice"),
    [
        ("connect", Away("ConnectionRefusedError"), True),
        ("offer", TryLater("SMTP 451"), True),
        ("offer", Away("SMTPServerDisconnected"), True),
        ("end", TryLater("SMTP 452"), True),
        ("end", Away("SMTPServerDisconnected"), True),
        ("end", Unanswered("TimeoutError"), False),
        ("after", Unanswered("SMTPServerDisconnected"), False),
        ("end", Refused("SMTP 554"), False),
        ("offer", NoMailbox("SMTP 550", "5.1.1"), False),
    ],
)
def test_what_fails_is_tried_again_unless_it_may_have_left(
    database: Database, step: str, error: Exception, twice: bool
) -> None:
    """Nothing is lost that certainly did not leave, and nothing sent twice that perhaps did."""
    crowd(database, 3)
    campaign, post, clock = started(database), Post(plan={step: [None, error]}), Clock(NOON)
    if step == "connect":
        post.plan[step].pop(0)
    running = sender(database, post, clock)
    running.run_once()
    clock.move(BACKOFF[0])
    running.run_once()
    assert max(Counter(post.taken).values()) == 1
    ends = {"end": "uncertain", "after": "uncertain"}
    if twice:
        assert counted(database, campaign) == {"sent": 3}
    else:
        how = ends[step] if isinstance(error, Unanswered) else "failed"
        assert counted(database, campaign) == {"sent": 2, how: 1}
    assert len(post.taken) == 3 - (not twice and step != "after")
    with database.reading() as session:
        marked = session.scalars(select(Account.undeliverable_status)).all()
    assert sorted(filter(None, marked)) == (["5.1.1"] if isinstance(error, NoMailbox) else [])


def test_what_never_works_is_given_up(database: Database) -> None:
    """After as many tries as any other mail."""
    crowd(database, 1)
    campaign, post, clock = started(database), Post(), Clock(NOON)
    post.plan["offer"] = [TryLater("SMTP 451") for _ in range(TRIES + 1)]
    running = sender(database, post, clock)
    for _ in range(TRIES):
        assert counted(database, campaign).get("failed") is None
        running.run_once()
        clock.move(BACKOFF[-1])
    assert counted(database, campaign) == {"failed": 1}
    assert len(post.plan["offer"]) == 1


def test_a_server_that_refuses_everybody_stops_the_newsletter(database: Database) -> None:
    """Whatever it has against us, five hundred more refusals will not help."""
    crowd(database, REFUSED + 5)
    campaign = started(database)
    post = Post(plan={"end": [Refused("SMTP 554") for _ in range(REFUSED + 5)]})
    sender(database, post).run_once()
    assert progress(database, campaign).state is CampaignState.PAUSED
    assert counted(database, campaign) == {"failed": REFUSED, "queued": 5}


@pytest.mark.parametrize("moment", ["offer", "end", "after"])
def test_a_death_on_the_way_sends_nothing_twice(
    database: Database, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the mark the mail is sent by whoever comes next. After it nobody knows: it is counted
    as uncertain when the dead one's time is over, and not sent again. Until the mark of the next,
    so is the one before it, which was sent."""
    monkeypatch.setattr(sending, "SLOW", 3600)
    people = crowd(database, 4)
    campaign, clock = started(database), Clock(NOON)
    post = Post(plan={moment: [None, Died()]})
    with pytest.raises(Died):
        sender(database, post, clock).run_once()
    other = sender(database, post, clock)
    other.run_once()
    clock.move(CLAIM)
    other.run_once()
    assert progress(database, campaign).state is CampaignState.SENDING
    clock.move(LEASE)
    other.run_once()
    assert counted(database, campaign) == {"sent": 3, "uncertain": 1}
    assert progress(database, campaign).state is CampaignState.FINISHED
    assert max(Counter(post.taken).values()) == 1
    assert len(post.taken) == len(people) - (moment == "end")


def test_who_was_away_undoes_nothing_of_who_came_after(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is away at one sender's mark until its claim ran out; another sends the mail,
    and dies. The first, who knows that its own did not leave, does not send it again."""
    crowd(database, 1)
    campaign, clock = started(database), Clock(NOON)
    post, theirs = Post(), Post(plan={"after": [Died()]})
    first = sender(database, post, clock)

    def away(*_: object, **__: object) -> None:
        raise OperationalError("UPDATE", {}, Exception())

    with monkeypatch.context() as patch, pytest.raises(OperationalError):
        patch.setattr(queue, "mark", away)
        first.run_once()
    clock.move(CLAIM)
    with pytest.raises(Died):
        sender(database, theirs, clock).run_once()
    first.run_once()
    clock.move(LEASE)
    for _ in range(2):
        first.run_once()
        clock.move(BACKOFF[-1])
    assert (theirs.taken, post.taken) == (["p0@kunde.example"], [])
    assert counted(database, campaign) == {"uncertain": 1}


def test_a_database_that_is_away_for_a_moment_costs_nobody_their_mail(database: Database) -> None:
    """Also where that is seen while the mail is made, and it is there again at once."""
    people = crowd(database, 2)
    campaign, post, clock = started(database), Post(), Clock(NOON)
    failures: list[Exception] = [OperationalError("SELECT", {}, Exception())]

    def away(texts: Mapping[str, Text]) -> Compose:
        if failures:
            raise failures.pop()
        return composing(texts)

    running = Sender(database, post, away, clock)
    with pytest.raises(OperationalError):
        running.run_once()
    clock.move(CLAIM)
    running.run_once()
    assert Counter(post.taken) == dict.fromkeys(people, 1)
    assert counted(database, campaign) == {"sent": 2}


def test_nothing_goes_to_an_address_that_was_theirs_until_a_moment_ago(
    database: Database,
) -> None:
    """It was read, and the mail made, before the new one was confirmed: another goes there."""
    (who,) = crowd(database, 1).values()
    started(database)
    post, clock = Post(), Clock(NOON)

    def moved(texts: Mapping[str, Text]) -> Compose:
        with database.transaction() as session:
            account = accounts.of_subject(session, who)
            assert account is not None
            accounts.request_new_address(session, account, "ny@kunde.example", at=NOON)
            accounts.take_new_address(session, who, at=NOON)
        return composing(texts)

    running = Sender(database, post, moved, clock)
    running.run_once()
    assert post.taken == []
    clock.move(CLAIM)
    running.run_once()
    assert post.taken == ["ny@kunde.example"]


def test_the_rate_is_kept_of_what_is_tried_again(database: Database) -> None:
    """A server that at first takes nothing from a stranger gets no more of it at once, nor later,
    also when the clock is set back meanwhile."""
    people = crowd(database, 6)
    started(database)
    post, clock = Post(), Clock(NOON)
    post.plan["offer"] = [TryLater("SMTP 451") for _ in people]
    running = sender(database, post, clock, rate=60)
    for left in (5, 4, 3, 2, 1, 0):
        running.run_once()
        assert len(post.plan["offer"]) == left
        clock.move(timedelta(seconds=1))
    clock.move(2 * BACKOFF[0])
    for taken in (2, 3, 4):
        running.run_once()
        assert len(post.taken) == taken
        clock.move(timedelta(seconds=1))
    clock.move(-MINUTE)
    for _ in range(30):
        clock.move(timedelta(seconds=10))
        running.run_once()
    assert Counter(post.taken) == dict.fromkeys(people, 1)


def test_the_rate_is_kept_by_all_senders_together(database: Database) -> None:
    """Sixty in a minute are one in a second, however many send, and however long nobody did."""
    crowd(database, 12)
    started(database)
    post, clock = Post(), Clock(NOON)
    two = [sender(database, post, clock, rate=60) for _ in range(2)]
    for second in range(4):
        for one in two:
            one.run_once()
        assert len(post.taken) == 1 + second
        clock.move(timedelta(seconds=1))
    clock.move(10 * MINUTE)
    for one in two:
        one.run_once()
    assert len(post.taken) == 4 + 2


def test_what_a_restored_copy_was_sending_is_sent_no_more(database: Database) -> None:
    """Some got it after the copy was made; a draft was sent to nobody."""
    crowd(database, 2)
    campaign, post = started(database), Post()
    queue.fill(database, campaign, at=NOON)
    with database.transaction() as session:
        draft = campaigns.draft(session, TEXTS, at=NOON)
        assert campaigns.cancel_all(session, at=NOON) == 1
    sender(database, post).run_once()
    assert post.taken == []
    assert counted(database, campaign) == {"dropped": 2}
    assert progress(database, draft).state is CampaignState.DRAFT


@pytest.mark.requirement(57)
def test_what_was_sent_to_whom_goes_thirty_days_after_the_newsletter_was_over(
    database: Database,
) -> None:
    """The day is on each person's page; the numbers stay."""
    people = crowd(database, 3)
    campaign = started(database)
    sender(database, Post()).run_once()
    (kari, *_) = people.values()
    with database.reading() as session:
        kept = {one.holding: one for one in retention.dates(session, kari, at=NOON)}
    assert kept["newsletters"] == retention.Kept(
        "newsletters", "deliveries", local_day(NOON + timedelta(days=30))
    )
    for days, left in ((29, 3), (30, 0)):
        at = NOON + timedelta(days=days)
        with database.transaction() as session:
            assert retention.waiting(session, at=at)["deliveries"] == 3 - left
            run = retention.begin(session, at=at)
        while retention.step(database, run, at=at):
            pass
        with database.reading() as session:
            assert len(session.scalars(select(CampaignDelivery)).all()) == left
    assert counted(database, campaign) == {"sent": 3}
