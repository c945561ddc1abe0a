"""What the worker looks for and does not find holds nobody up, and costs little."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Select, text
from sqlalchemy.orm import Session

from database import Database
from domain.delivery import outbox
from domain.keys import Key
from domain.rights import erasure, settling, unverified, upkeep
from domain.rights.settling import Matter
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

SEARCHING = (
    *("erasures", "renewals", "notices", "requests", "unfinished", "registrations", "recipients"),
)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_chore_with_nothing_to_do_waits_for_no_writer(database: Database) -> None:
    """And so no writer waits for it: SQLite has one at a time."""
    chores = [chore for chore in upkeep.CHORES if chore.name in SEARCHING]
    assert len(chores) == len(SEARCHING)
    with database.transaction() as session:
        opened(session)
        assert [chore.piece(database, NOON) for chore in chores] == [None] * len(chores)


def test_what_is_due_is_found_by_an_index(session: Session) -> None:
    """However many requests there are."""
    before = unverified.UNVERIFIED_FOR
    for query in (
        erasure._due(NOON),
        unverified._unverified(NOON, before),
        unverified._unfinished(NOON),
    ):
        assert "ix_data_subject_request_state" in _plan(session, query)


def _plan(session: Session, query: Select[Any]) -> str:
    """How the database goes about it, where it is not because the tables are empty."""
    connection, explain = session.connection(), "EXPLAIN QUERY PLAN "
    if connection.dialect.name == "postgresql":
        explain = "EXPLAIN "
        session.execute(text("SET LOCAL enable_seqscan = off"))
    compiled = query.compile(connection, compile_kwargs={"literal_binds": True})
    return str(connection.exec_driver_sql(f"{explain}{compiled}").all())


class Counting(Mapping[int, Key]):
    """Keys that count how often one of them is taken."""

    def __init__(self, real: Mapping[int, Key]):
        self.real, self.taken = real, 0

    def __getitem__(self, epoch: int) -> Key:
        self.taken += 1
        return self.real[epoch]

    def __iter__(self) -> Iterator[int]:
        return iter(self.real)

    def __len__(self) -> int:
        return len(self.real)


def test_an_erasure_opens_no_message_that_has_no_address(session: Session) -> None:
    """However many wait, it costs what it costs where none do."""
    publish(session)
    keys = Counting(session.info["keyring"].epochs)
    session.info["keyring"] = replace(session.info["keyring"], epochs=keys)
    cost = []
    for who in [opened(session, person).subject_id for person in (KARI, OLA)]:
        outbox.post(session, "intake.reset", {"email": "per@kunde.example"}, at=NOON)
        before = keys.taken
        erasure.forget(session, who, "retention", at=NOON + timedelta(days=1))
        cost.append(keys.taken - before)
        session.commit()
        for _ in range(20):
            settling.later(session, Matter.REGISTRATION, at=NOON)
    assert cost[1] <= cost[0] + 1  # the other message to an address
