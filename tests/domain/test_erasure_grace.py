"""A time of grace: stated, short, and stopped by one link; and what becomes of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import permission
from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.errors import BadLink
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, requests
from domain.rights.errors import NotVerified
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from domain.subjects.models import Subject
from tests.domain.leaving import RAGNHILD, plant
from tests.support import NOON

pytestmark = pytest.mark.requirement(75)

DAY = timedelta(hours=24)


def letters(session: Session, kind: str) -> list[dict[str, Any]]:
    """What the mails of a kind say."""
    session.flush()
    rows = [one for one in outbox.messages(session) if one.kind == kind and one.payload]
    return [outbox.opened(keyring(session), one.id, one.payload or b"") for one in rows]


def said(session: Session) -> list[str]:
    """The types of the ledger's entries."""
    return [decode(raw).type for raw in session.scalars(select(LedgerEntry.bytes))]


def test_nothing_happens_until_then_and_nothing_goes_out(session: Session) -> None:
    """Frozen, signed out, told until when, once; and erased when the time is over."""
    who, request = plant(session)
    account = accounts.of_subject(session, who)
    assert account
    stamp = account.stamp
    for _ in range(2):
        erasure.wait(session, request, until=NOON + DAY, at=NOON)
    assert account.stamp == stamp + 1, "every session has ended"
    assert permission.permitted(session, who, "marketing", at=NOON).value == "erasing"
    (letter,) = letters(session, "mail.erasure_waiting")
    assert letter["to"] == RAGNHILD.email
    assert letter["until"] == "2026-11-23T12:00:00+00:00"
    assert not erasure.begun(session, who)

    assert erasure.run_due(session, at=NOON + DAY - timedelta(seconds=1)) == 0
    assert erasure.run_due(session, at=NOON + DAY) == 1
    session.expire_all()
    assert session.get(Subject, who) is None
    assert request.state == "fulfilled"
    assert len(letters(session, "mail.erasure_done")) == 1
    assert letters(session, "mail.erasure_waiting") == []
    assert erasure.run_due(session, at=NOON + DAY) == 0
    assert said(session).count("erasure.executed") == 1


def test_the_link_stops_it(session: Session) -> None:
    """Then all is as it was, the ledger says so, and a new request can be made."""
    who, request = plant(session)
    erasure.wait(session, request, until=NOON + DAY, at=NOON)
    (letter,) = letters(session, "mail.erasure_waiting")
    link = signed_links.consume(session, LinkKind.CANCEL, letter["token"], at=NOON)
    taken = requests.take(session, link.request_id) if link.request_id else None
    assert taken is request
    assert erasure.cancel(session, request, at=NOON)
    assert not erasure.cancel(session, request, at=NOON)
    assert subjects.get(session, who).erasing_at is None
    assert permission.permitted(session, who, "marketing", at=NOON).value == "permitted"
    assert request.state == "cancelled"
    assert erasure.run_due(session, at=NOON + 2 * DAY) == 0
    assert "request.cancelled" in said(session)
    again = requests.receive(session, who, RequestKind.ERASURE, channel="account", at=NOON)
    assert again.id != request.id


def test_erasing_now_does_not_wait(session: Session) -> None:
    """«Slett nå» beside it; the link that would have stopped it is gone."""
    who, request = plant(session)
    erasure.wait(session, request, until=NOON + DAY, at=NOON)
    (letter,) = letters(session, "mail.erasure_waiting")
    erasure.fulfil(session, request, at=NOON)
    session.expire_all()
    assert session.get(Subject, who) is None
    with pytest.raises(BadLink):
        signed_links.look(session, LinkKind.CANCEL, letter["token"], at=NOON)
    assert not erasure.cancel(session, request, at=NOON)


def test_only_a_verified_request_for_erasure_waits(session: Session) -> None:
    """Not one of another kind, and not one that anybody may have sent."""
    who, _ = plant(session)
    (access,) = [one for one in requests.of_subject(session, who) if one.kind == "access"]
    requests.verify(session, access, channel="link", at=NOON)
    for act in (erasure.fulfil, lambda *a, **b: erasure.wait(*a, until=NOON + DAY, **b)):
        with pytest.raises(NotVerified):
            act(session, access, at=NOON)
    assert session.get(Subject, who)
