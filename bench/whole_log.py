"""A whole log at once: people, what they decided, and what a sequencer would have made of it.

Entry by entry through the site this would take hours. `flask ledger verify` finds nothing amiss.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from database import Database
from domain.consent import presentations
from domain.consent.models import CurrentDecision
from domain.dates import months_later, parse_timestamp, timestamp
from domain.keys import KEY_BYTES, keyring
from domain.ledger import batch, tree
from domain.ledger.batch import Waiting
from domain.ledger.edge import Edge
from domain.ledger.entry import Entry, new_id
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.sequencer import BATCH, Sequencer
from domain.subjects.models import EntryLink, Subject
from domain.subjects.tags import tag

# People who decide in turns: each one's entries are as many places apart.
COHORT = 1000
# What an id and a tag are replaced by in a mould.
_ID, _TAG = "0" * 32, "0" * 64
# Id, bytes, whom it is about, and the how-manieth about them.
_Made = tuple[str, bytes, UUID, int]


@dataclass(frozen=True)
class Mould:
    """An entry's bytes but for its id and its tag."""

    type: str
    data: dict[str, Any]
    parts: tuple[bytes, bytes, bytes]

    @classmethod
    def of(cls, type: str, data: dict[str, Any], at: datetime) -> Mould:
        """For entries of this type that say this."""
        content = Entry(_ID, at, type, _TAG, data).encode()
        before, rest = content.split(f'"{_ID}"'.encode(), 1)
        between, after = rest.split(f'"{_TAG}"'.encode(), 1)
        return cls(type, data, (before + b'"', b'"' + between + b'"', b'"' + after))

    def cast(self, entry_id: str, tag: str) -> bytes:
        """The bytes of one."""
        before, between, after = self.parts
        return b"".join((before, entry_id.encode(), between, tag.encode(), after))


@dataclass
class Growing:
    """What is decided, again and again: yes to marketing, no, and yes again."""

    at: datetime
    yes: Mould
    no: Mould
    edge: Edge = field(default_factory=Edge)

    @classmethod
    def of(cls, session: Session) -> Growing:
        """Decisions on what the preferences page shows now."""
        at = parse_timestamp(timestamp(datetime.now(UTC)))
        shown = presentations.current(session, "preferences", "nb", at=at)
        presentations.store(session, shown, at=at)
        versions = {one["id"]: one["version"] for one in shown.content["purposes"]}
        data = {
            "purpose": "marketing",
            "purpose_version": versions["marketing"],
            "presentation": shown.hash,
            "surface": "preferences",
            "locale": "nb",
            "served_at": timestamp(at),
        }
        expires = timestamp(months_later(at, 24))
        yes = Mould.of("consent.given", {**data, "expires_at": expires}, at)
        return cls(at, yes, Mould.of("consent.withdrawn", data, at))


def grow(
    database: Database, entries: int, *, each: int = 10, step: Callable[[], None] = lambda: None
) -> None:
    """Let the log grow by as many entries, rounded up to whole people with `each` of them.
    `step` is called after each cohort (see `cohorts`)."""
    sequencer = Sequencer(database, lambda: datetime.now(UTC))
    sequencer.run_once()
    with database.transaction() as session:
        growing = Growing.of(session)
        size = tree.current(session).size
        growing.edge = Edge.load(tree.nodes(session), partial(tree.tile, session), size)
    people = -(-entries // each)
    for first in range(0, people, COHORT):
        with database.transaction() as session:
            _cohort(session, growing, min(COHORT, people - first), each)
        step()
    sequencer.run_once()  # signs and publishes
    sequencer.give_back()


def cohorts(entries: int, *, each: int = 10) -> int:
    """How many steps `grow` takes."""
    return -(-entries // each // COHORT) or 1


def queue(database: Database, entries: int) -> None:
    """Let as many entries about nobody wait for their positions."""
    with database.transaction() as session:
        growing = Growing.of(session)
        ids = [new_id() for _ in range(entries)]
        cast = growing.no.cast
        rows = [(one, cast(one, secrets.token_hex(32)), growing.at) for one in ids]
        _put(session, LedgerEntry, ("id", "bytes", "recorded_at"), rows)
        _put(session, LedgerPending, ("entry_id",), [(one,) for one in ids])


def _put(session: Session, model: Any, columns: Sequence[str], rows: Iterable[Any]) -> None:
    """Many rows, as fast as the database takes them."""
    table: Table = model.__table__
    if session.get_bind().dialect.name == "sqlite":
        named = [dict(zip(columns, row, strict=True)) for row in rows]
        session.connection().execute(insert(table), named)
        return
    driver: Any = session.connection().connection.driver_connection
    names = ", ".join(columns)
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)


def _cohort(session: Session, growing: Growing, people: int, each: int) -> None:
    keys = {uuid4(): secrets.token_bytes(KEY_BYTES) for _ in range(people)}
    ring, at = keyring(session), growing.at
    sealed = [(one, ring.seal(key, b"subject:" + one.bytes)) for one, key in keys.items()]
    made = list(_decisions(growing, keys, each))
    _put(
        session,
        Subject,
        ("id", "wrapped_key", "opened_at", "confirmed_at", "declared_age", "linked"),
        [(*pair, at, at, 18, each) for pair in sealed],
    )
    _put(
        session,
        LedgerEntry,
        ("id", "bytes", "recorded_at"),
        [(entry_id, content, at) for entry_id, content, _, _ in made],
    )
    _put(
        session,
        EntryLink,
        ("entry_id", "subject_id", "ordinal"),
        [(entry_id, subject_id, ordinal) for entry_id, _, subject_id, ordinal in made],
    )
    _sequence(session, growing, iter(made))
    _project(session, growing, growing.yes if each % 2 else growing.no, made[-people:])


def _decisions(growing: Growing, keys: dict[UUID, bytes], each: int) -> Iterator[_Made]:
    for ordinal in range(1, each + 1):
        mould = growing.yes if ordinal % 2 else growing.no
        for subject_id, key in keys.items():
            entry_id = new_id()
            yield entry_id, mould.cast(entry_id, tag(key, entry_id)), subject_id, ordinal


def _sequence(session: Session, growing: Growing, made: Iterator[_Made]) -> None:
    """In batches, with a state behind each, as after a burst."""
    while waiting := [Waiting(0, one[0], one[1]) for one in islice(made, BATCH)]:
        grown = batch.extend(growing.edge, waiting)
        batch.store_state(session, grown)
        batch.store_leaves(session, grown.leaves)
        batch.store_tiles(session, grown.tiles)


def _project(session: Session, growing: Growing, last: Mould, newest: list[_Made]) -> None:
    data = last.data
    state = last.type.removeprefix("consent.")
    expires = parse_timestamp(data["expires_at"]) if "expires_at" in data else None
    said = (data["purpose"], state, data["purpose_version"], data["presentation"])
    _put(
        session,
        CurrentDecision,
        (
            *("subject_id", "entry_id", "at", "expires_at"),
            *("purpose_id", "state", "purpose_version", "presentation"),
        ),
        [
            (subject_id, entry_id, growing.at, expires, *said)
            for entry_id, _, subject_id, _ in newest
        ],
    )
