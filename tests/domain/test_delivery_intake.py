"""Intakes: work that was put off, done once whatever fails."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from database import Database
from domain.delivery import outbox
from domain.delivery.leases import LEASE
from domain.delivery.worker import Outcome, Worker
from tests.domain.deliveries import Clock, Died, Network, posted, render, row


def reply(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
    """An intake's work: it posts a mail."""
    outbox.post(session, "mail.reset", payload, at=at)


def test_an_intake_runs_and_what_it_posts_leaves_in_the_same_run(
    database: Database, NOON: datetime
) -> None:
    """Its effects and its closing are one transaction."""
    network, clock = Network(), Clock(NOON)
    message = posted(database, "intake.reset", NOON)
    worker = Worker(database, network, render, {"intake.reset": reply}, clock)
    assert worker.run_once() == 2
    done = row(database, message)
    assert (done.state, done.payload) == ("sent", None)
    assert len(network.sent) == 1


@pytest.mark.parametrize("error", [ValueError("kari@example.no"), Died()], ids=repr)
def test_an_intake_that_fails_leaves_nothing_and_is_tried_again(
    database: Database, NOON: datetime, error: BaseException
) -> None:
    """Whether it failed or the process died, its effects happen once."""
    network, clock, plan = Network(), Clock(NOON), [error]

    def fail_once(session: Session, payload: Mapping[str, Any], at: datetime) -> None:
        reply(session, payload, at)
        session.flush()
        if plan:
            raise plan.pop()

    posted(database, "intake.reset", NOON)
    worker = Worker(database, network, render, {"intake.reset": fail_once}, clock)
    if isinstance(error, Died):
        with pytest.raises(Died):
            worker.run_once()
    else:
        assert worker.run_once() == 0
    with database.reading() as session:
        assert [one.kind for one in outbox.messages(session)] == ["intake.reset"]
    clock.move(LEASE)
    assert worker.run_once() == 2
    assert len(network.sent) == 1


def test_an_intake_that_nobody_knows_waits_for_a_newer_program(
    database: Database, NOON: datetime
) -> None:
    """During an upgrade an old worker may meet what only the new one can do."""
    message = posted(database, "intake.unheard_of", NOON)
    worker = Worker(database, Network(), render, {}, Clock(NOON))
    assert worker.step() is Outcome.POSTPONED
    assert row(database, message).failure == "UnknownKind"
