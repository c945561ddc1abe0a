"""Registrations that nobody confirmed do not stay."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from domain.consent.purposes import purposes
from domain.identity import accounts
from domain.rights import erasure
from tests.domain.identity_people import KARI, opened
from tests.support import NOON


@pytest.mark.requirement(59)
def test_a_registration_that_nobody_confirms_is_erased_after_seven_days(session: Session) -> None:
    """Anybody can enter anybody's address: what they entered does not lie about for ever."""
    opened(session)
    week = purposes(session).retention["unconfirmed"].span
    early, due = NOON + week - timedelta(seconds=1), NOON + week
    assert erasure.forget_never_confirmed(session, at=early, waited=week) == 0
    assert erasure.forget_never_confirmed(session, at=due, waited=week) == 1
    assert week == timedelta(days=7)
    assert accounts.find(session, KARI.email) is None


def test_a_confirmed_account_stays(session: Session) -> None:
    """Time alone erases nobody who confirmed."""
    account = opened(session)
    accounts.confirm_address(session, account.subject_id, at=NOON)
    later = NOON + timedelta(days=400)
    assert erasure.forget_never_confirmed(session, at=later, waited=timedelta(days=7)) == 0
    assert accounts.find(session, KARI.email) is not None
