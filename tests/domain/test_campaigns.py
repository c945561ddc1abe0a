"""Newsletters that are paused, taken up again, and stopped."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from database import Database
from domain.marketing import campaigns, queue
from domain.marketing.campaigns import CampaignState
from domain.marketing.errors import NotNow
from domain.marketing.models import CampaignDelivery
from domain.rights import upkeep
from tests.domain.sendings import MINUTE, Post, crowd, progress, sender, started
from tests.support import NOON

DAY = timedelta(days=1)


def test_paused_resumed_and_cancelled(database: Database) -> None:
    """A pause holds at once, in the midst of what was claimed; after a cancellation nothing more
    leaves, and it is over."""
    crowd(database, 6)
    campaign, post = started(database), Post()

    def after_two(recipient: str) -> None:
        if len(post.taken) == 2:
            with database.transaction() as session:
                campaigns.pause(session, campaign, at=NOON)

    post.afterwards = after_two
    running = sender(database, post)
    running.run_once()
    assert len(post.taken) == 2
    with database.transaction() as session:
        campaigns.resume(session, campaign)

    def after_four(recipient: str) -> None:
        if len(post.taken) == 4:
            with database.transaction() as session:
                campaigns.cancel(session, campaign, at=NOON)

    post.afterwards = after_four
    running.run_once()
    running.run_once()
    assert len(post.taken) == 4
    told = progress(database, campaign)
    assert told.state is CampaignState.CANCELLED
    assert {name: n for name, n in told.counts.items() if n} == {"sent": 4, "dropped": 2}
    with pytest.raises(NotNow), database.transaction() as session:
        campaigns.resume(session, campaign)


@pytest.mark.requirement(57)
def test_what_nobody_resumes_is_over_after_thirty_days(database: Database) -> None:
    """So its queue goes too. Who resumes it in time starts the thirty days anew."""
    crowd(database, 3)
    campaign = started(database)
    queue.fill(database, campaign, at=NOON)
    for day in (0, 20):
        with database.transaction() as session:
            campaigns.pause(session, campaign, at=NOON + day * DAY)
            if not day:
                campaigns.resume(session, campaign)
    over = NOON + 50 * DAY
    upkeep.everything(database, at=over - MINUTE)
    assert progress(database, campaign).state is CampaignState.PAUSED
    upkeep.everything(database, at=over)
    told = progress(database, campaign)
    assert (told.state, told.counts["dropped"]) == (CampaignState.CANCELLED, 3)
    with database.reading() as session:
        assert set(session.scalars(select(CampaignDelivery.reason))) == {"cancelled"}
    upkeep.everything(database, at=over + 31 * DAY)
    with database.reading() as session:
        assert session.scalars(select(CampaignDelivery)).all() == []
