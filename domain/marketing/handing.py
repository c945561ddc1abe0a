"""Waiting for a mail that is just being handed over, so that none arrives after an answer.

Who says no commits that first, and then looks here. A sender does it the other way round: it marks
the mail `handing`, commits that, and then asks (sending.py). So either the sender sees the no, or
we see the mark, and wait until the mail has left.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import Uuid, bindparam, literal, select, update
from sqlalchemy.orm import Session

from database import Database, UtcDateTime, table_of
from domain.marketing.campaigns import DeliveryState
from domain.marketing.errors import MarketingError
from domain.marketing.models import CampaignDelivery

# How long somebody is kept waiting for a slow mail server.
PATIENCE, PAUSE = 5.0, 0.01

_D = table_of(CampaignDelivery).c
_ON_ITS_WAY = (
    select(literal(1).label("one"))
    .where(
        _D.subject_id == bindparam("subject", type_=Uuid()),
        _D.state == DeliveryState.HANDING.value,
        _D.leased_until > bindparam("at", type_=UtcDateTime()),
    )
    .limit(1)
)


class OnItsWay(MarketingError):
    """A newsletter to this person is just being handed over: what would delete what we know of it
    is to be tried again when it has left (`wait`)."""

    def __init__(self, subject_id: UUID):
        super().__init__("a newsletter is on its way")
        self.subject_id = subject_id


def wait(
    database: Database, subject_id: UUID, *, at: datetime, patience: float | None = None
) -> bool:
    """Wait until no newsletter to this person is being handed over, for PATIENCE seconds unless
    told otherwise; False where one still is.

    To be called after what stops newsletters was committed, and before that is answered. Nothing
    is sent to them after this; where it is False, one mail was on its way already.
    """
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    values = {"subject": subject_id, "at": at}
    while database.first(_ON_ITS_WAY, values) is not None:
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE)
    return True


def give_up(session: Session, subject_id: UUID, *, at: datetime) -> None:
    """Wait no longer: whether the mail leaves is not known to whoever looks from now on."""
    session.execute(
        update(table_of(CampaignDelivery))
        .where(_D.subject_id == subject_id, _D.state == DeliveryState.HANDING.value)
        .values(state=DeliveryState.UNCERTAIN.value, closed_at=at)
    )


def past(database: Database, act: Callable[[], None], *, at: datetime) -> bool:
    """Run `act`, which erases somebody, and again when the mail that is just being handed over to
    them has left; False where that took too long."""
    in_time = True
    while True:
        try:
            act()
            return in_time
        except OnItsWay as mail:
            if not wait(database, mail.subject_id, at=at):
                in_time = False
                with database.transaction() as session:
                    give_up(session, mail.subject_id, at=at)
