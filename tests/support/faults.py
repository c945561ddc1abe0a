"""Failures at a named step, and logs that are looked through after them."""

from __future__ import annotations

import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from database import Database
from domain.ledger import batch, files, high_water, lease, log_keys, publishing, tiles, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.edge import Edge
from domain.ledger.entry import Entry, new_id
from domain.ledger.merkle import leaf_hash
from domain.ledger.models import (
    LedgerCheckpoint,
    LedgerEntry,
    LedgerLeaf,
    LedgerPending,
    LedgerState,
    LedgerTile,
)
from domain.ledger.notes import Note, Signed
from domain.ledger.sequencer import Sequencer
from domain.ledger.witnesses import Ask
from tests.support import NOON

EXPIRED = {"purpose": "marketing", "purpose_version": 1}


class Broken(Exception):
    """The failure that is injected."""


def fails(real: Callable[..., Any]) -> Callable[..., Any]:
    """The call does nothing and fails."""

    def call(*_: Any, **__: Any) -> Any:
        raise Broken

    return call


def persists(real: Callable[..., Any]) -> Callable[..., Any]:
    """The call does what it should, and fails: whoever called cannot know."""

    def call(*values: Any, **named: Any) -> Any:
        real(*values, **named)
        raise Broken

    return call


def killed(real: Callable[..., Any]) -> Callable[..., Any]:
    """The process is gone, without a word."""

    def call(*_: Any, **__: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    return call


def nobody(*_: Any, **__: Any) -> list[Signed]:
    """Witnesses that say nothing."""
    return []


# Where each step of a round stands. A commit is one of the engine's, counted from the first.
STEPS: Mapping[str, tuple[Any, str] | int] = {
    "take the lease": (lease, "take"),
    "commit the lease": 1,
    "read the queue": (batch, "waiting"),
    "extend the edge": (batch, "extend"),
    "store the state": (batch, "store_state"),
    "store the leaves": (batch, "store_leaves"),
    "store the tiles": (batch, "store_tiles"),
    "clear the queue": (batch, "clear_queue"),
    "commit the batch": 2,
    "sign": (publishing, "sign"),
    "compare with the high-water file": (high_water, "compare"),
    "write its draft": (files, "write_draft"),
    "sync it": (files, "sync"),
    "rename it": (files, "rename"),
    "sync its directory": (files, "sync_directory"),
    "ask the witnesses": (sys.modules[__name__], "nobody"),
    "publish": (publishing, "publish"),
    "commit the publication": 3,
}


def inject(
    patch: pytest.MonkeyPatch,
    database: Database,
    step: str,
    how: Callable[[Callable[..., Any]], Callable[..., Any]],
) -> None:
    """Let the step go wrong until `patch` is undone."""
    where = STEPS[step]
    if not isinstance(where, int):
        patch.setattr(*where, how(getattr(*where)))
        return
    real, count = database.engine.dialect.do_commit, 0

    def commit(connection: Any) -> None:
        nonlocal count
        count += 1
        (how(real) if count == where else real)(connection)

    patch.setattr(database.engine.dialect, "do_commit", commit)


@dataclass
class Scene:
    """A log, what was put into it, and everything that was ever signed for it."""

    database: Database
    signed: Path
    at: datetime = NOON
    ids: list[str] = field(default_factory=list)
    ask: Ask | None = None

    def sequencer(self, size: int = 1000) -> Sequencer:
        """A process that starts now."""

        def ask(*values: Any, **named: Any) -> list[Signed]:
            return (self.ask or nobody)(*values, **named)  # looked up when it is called

        return Sequencer(self.database, lambda: self.at, ask, size)

    def wait(self) -> None:
        """Until every lease has run out."""
        self.at += lease.LENGTH + timedelta(seconds=1)

    def append(self, count: int) -> None:
        """Entries that wait for their position."""
        found = [made() for _ in range(count)]
        rows = [{"id": one.id, "bytes": one.encode(), "recorded_at": NOON} for one in found]
        with self.database.transaction() as session:
            session.execute(insert(LedgerEntry), rows)
            session.execute(insert(LedgerPending), [{"entry_id": one.id} for one in found])
        self.ids += [one.id for one in found]

    def remember(self, patch: pytest.MonkeyPatch) -> None:
        """Keep every note that is signed, also by a process that is killed then."""
        real = publishing.sign

        def sign(*values: Any) -> bytes:
            note = real(*values)
            with self.signed.open("ab") as file:
                file.write(note.hex().encode() + b"\n")
            return note

        patch.setattr(publishing, "sign", sign)

    def notes(self) -> list[bytes]:
        """Every note that was ever signed."""
        lines = self.signed.read_text().split() if self.signed.exists() else []
        return [bytes.fromhex(line) for line in lines]


def made() -> Entry:
    """An entry about nobody."""
    return Entry(
        id=new_id(), at=NOON, type="consent.expired", tag=secrets.token_hex(32), data=EXPIRED
    )


def die(work: Callable[[], object]) -> None:
    """Do it in a process of its own, which must be killed by it."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            work()
        os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def sound(scene: Scene, high_water_file: Path) -> None:
    """Nothing is lost, nothing is there twice, nothing forked, and all is published."""
    with scene.database.reading() as session:
        leaves = session.execute(
            select(LedgerLeaf.position, LedgerLeaf.entry_id, LedgerEntry.bytes)
            .join(LedgerEntry, LedgerEntry.id == LedgerLeaf.entry_id)
            .order_by(LedgerLeaf.position)
        ).all()
        assert session.scalars(select(LedgerPending.entry_id)).all() == []
        assert [one.position for one in leaves] == list(range(len(leaves)))
        assert [one.entry_id for one in leaves] == scene.ids
        roots, full = replayed([one.bytes for one in leaves])
        stored = session.scalars(select(LedgerTile).order_by(LedgerTile.level, LedgerTile.number))
        found = {(one.level, one.number): (one.root, one.data) for one in stored}
        assert found == full
        assert len(full) == tiles.full_tiles(len(leaves))
        states = session.scalars(select(LedgerState).order_by(LedgerState.size)).all()
        assert [one.previous_size for one in states] == [0, *(one.size for one in states[:-1])]
        assert all(one.root == roots[one.size] for one in states)
        published = session.scalars(select(LedgerCheckpoint).order_by(LedgerCheckpoint.size)).all()
        assert published[-1].size == len(leaves)
        newest = high_water.read(high_water_file)
        assert newest == published[-1].note
        for note in [*scene.notes(), *(one.note for one in published)]:
            checkpoint = Checkpoint.parse(Note.parse(note).text)
            assert checkpoint.root == roots[checkpoint.size]
            assert log_keys.trusted(session, note).checkpoint == checkpoint
        assert tree.current(session) == tree.State(len(leaves), roots[-1])


def replayed(
    contents: Sequence[bytes],
) -> tuple[list[bytes], dict[tuple[int, int], tuple[bytes, bytes]]]:
    """The root of every size, and every full tile, from the entries' bytes alone."""
    edge, full = Edge(), {}
    roots = [edge.root]
    for content in contents:
        for one in edge.append(leaf_hash(content)):
            full[one.level, one.number] = (one.root, one.data)
        roots.append(edge.root)
    return roots, full
