"""The sequencer: gives entries their positions, signs what is committed, publishes it.

A round does what is left to do, whoever left it: so to start again after a crash at any line
is the same as to go on. What each line leaves behind is in docs/architecture.md.

    read the queue → extend the edge → [state, leaves, tiles, queue: one commit]
    → sign the committed state → high-water file → witnesses → [publish: one commit]

Any number of them may run. A lease lets one work at a time; should two work all the same, the
fence (no state is extended twice) lets one commit, and the high-water file lets none sign
behind what was signed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import NoReturn

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import batch, high_water, lease, log_keys, publishing, tree, witnesses
from domain.ledger.edge import Edge
from domain.ledger.errors import Damaged, MissingNode, NoSigner, Overtaken, Rewound
from domain.ledger.log import log as log_of
from domain.ledger.models import LedgerCheckpoint, LedgerPending, LedgerState
from domain.ledger.notes import Signed, SignerKey
from domain.ledger.tree import State
from domain.ledger.witnesses import Ask

# As many entries as one transaction takes: SQLite's other writers wait for it.
BATCH = 1000
# After so many batches what they made is published: nobody waits for the end of a long queue.
BATCHES = 20

# min and max are read from one end of an index; an EXISTS would pass over rows that are gone.
_LOOK = select(
    select(func.min(LedgerPending.number)).scalar_subquery().label("waiting"),
    select(func.max(LedgerState.size)).scalar_subquery().label("state"),
    select(func.max(LedgerCheckpoint.size)).scalar_subquery().label("published"),
)

log = structlog.get_logger()


@dataclass(frozen=True)
class Round:
    """What was done: entries that got positions, and the size of the newest checkpoint that was
    published. `aside` where another sequencer is at work, `unsigned` where this process has no
    key that signs the newest state."""

    entries: int = 0
    published: int | None = None
    aside: bool = False
    unsigned: bool = False


@dataclass(frozen=True)
class _Left:
    """What is left to do: whether entries wait, and whether the newest state is unpublished,
    or cannot be published here."""

    waiting: bool
    unpublished: bool
    unsigned: bool

    def __bool__(self) -> bool:
        return self.waiting or (self.unpublished and not self.unsigned)


class Sequencer:
    """Sequences, signs and publishes. For one thread; its memory is the right edge of the tree.

    `ask` asks witnesses to cosign; nobody is asked where the log has none.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        ask: Ask = witnesses.ask,
        size: int = BATCH,
    ):
        self._database = database
        self._clock = clock
        self._ask = ask
        self._size = size
        self._holder = f"{os.getpid()}-{secrets.token_hex(8)}"
        self._until: datetime | None = None
        self._edge: Edge | None = None
        self._said = False

    def run_once(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Do all there is to do; return how many entries got their positions. See `run`."""
        return self.run(stopping).entries

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Round:
        """Sequence all that waits, sign and publish. Does nothing where another is at work.

        An idle one reads one row and writes nothing. `stopping` is asked between batches. A
        database that is away raises; so do Damaged, Rewound, NoHighWater and
        UnreadableHighWater, NoSigner, and then nothing was extended or signed.
        """
        done, batches = Round(), 0
        if not self._database.info["log"].signers:
            # It could give positions; but the first would register no key, and nobody would see
            # why nothing is published.
            raise NoSigner
        try:
            while (left := self._look()) and not stopping():
                self._hold()
                if left.waiting:
                    taken, batches = self._sequence(), batches + 1
                    done = replace(done, entries=done.entries + taken)
                    if taken == self._size and batches % BATCHES and not stopping():
                        continue
                done = replace(done, published=self._publish() or done.published)
        except Overtaken:
            return replace(done, aside=True)
        return replace(done, unsigned=left.unsigned)

    def give_back(self) -> None:
        """End the lease: whoever starts next need not wait for it to run out."""
        if self._until is not None:
            with self._database.transaction() as session:
                lease.give_back(session, self._holder)
            self._until = None

    def _look(self) -> _Left:
        row = self._database.first(_LOOK, {})
        size = (row and row.state) or 0
        unpublished = size > ((row and row.published) or 0)
        unsigned = unpublished and not self._can_sign(size)
        if unsigned and not self._said:
            # Once: the entries have their positions, and the next try is 200 ms away.
            log.error("log_not_signed", reason="no configured key is in force", size=size)
        self._said = unsigned
        return _Left(bool(row and row.waiting is not None), unpublished, unsigned)

    def _can_sign(self, size: int) -> bool:
        with self._database.reading() as session:
            return bool(log_keys.signers(session, size))

    def _hold(self) -> None:
        """Have the lease for a while. Raises Overtaken where it is somebody else's."""
        at = self._clock()
        if self._until and at + lease.LENGTH / 2 <= self._until <= at + lease.LENGTH:
            return
        with self._database.reading() as session:  # who steps aside writes nothing
            if not lease.free(session, self._holder, at=at):
                raise Overtaken
        with self._database.transaction() as session:
            if not lease.take(session, self._holder, at=at):
                raise Overtaken
        self._until = at + lease.LENGTH

    def _sequence(self) -> int:
        """Give a batch of entries their positions; return how many."""
        # Read outside the transaction that writes, which is the shorter for it: what is read
        # is one moment of the database, and the fence refuses if that moment has passed.
        with self._database.reading() as session:
            edge = self._at_edge(session, tree.current(session))
            queue = batch.waiting(session, self._size)
        if not queue:
            return 0
        self._edge = None  # from here on it is ahead of the database, until the commit
        made = batch.extend(edge, queue)
        with self._database.transaction() as session:
            batch.store(session, made)
            if made.previous == tree.EMPTY:
                log_keys.register_first(session, log_of(session).signers)
        self._edge = edge
        return len(queue)

    def _publish(self) -> int | None:
        """Sign and publish the newest state, which is committed; return its size, or None where
        there is nothing to publish or nothing to sign with."""
        with self._database.reading() as session:
            state, published = tree.current(session), tree.published(session)
            signers = log_keys.signers(session, state.size)
            if (published and published.size == state.size) or not signers:
                return None
            note = self._signed(session, state, signers)
            cosigned = self._cosigned(session, note, state.size)
        try:
            with self._database.transaction() as session:
                publishing.publish(session, state.size, note, cosigned, at=self._clock())
        except IntegrityError as error:
            raise Overtaken from error
        return state.size

    def _signed(self, session: Session, state: State, signers: list[SignerKey]) -> bytes:
        """The state's checkpoint, signed and in the high-water file."""
        self._at_edge(session, state)
        self._check(session)
        note = publishing.sign(state, signers)
        if not high_water.advance(session, note):
            self._overtaken()
        return note

    def _check(self, session: Session) -> None:
        """Raise unless the tree goes on from what was signed."""
        try:
            high_water.check(session)
        except Rewound:
            self._overtaken()

    def _overtaken(self) -> NoReturn:
        """The file is ahead of what the session sees: another sequencer went on, or an older
        database was restored. A session that begins now, after the file was written, can tell.
        Raises Overtaken or Rewound."""
        self._edge = None
        with self._database.reading() as session:
            high_water.check(session)
        raise Overtaken

    def _cosigned(self, session: Session, note: bytes, size: int) -> list[Signed]:
        asked = log_of(session).witnesses
        if not asked:
            return []
        seen = publishing.last_seen(session, asked)
        try:
            return self._ask(asked, note, size, partial(tree.consistency, session, new=size), seen)
        except Exception as error:
            # They answer from elsewhere: whatever they say must not keep us from publishing.
            log.error("witnesses_failed", error=type(error).__name__)
            return []

    def _at_edge(self, session: Session, state: State) -> Edge:
        """The right edge of this state: the one in memory, unless another sequencer was at work
        since. One that is loaded is checked before anything is built on it."""
        if self._edge is None or (self._edge.size, self._edge.root) != (state.size, state.root):
            self._edge = None
            try:
                edge = Edge.load(tree.nodes(session), partial(tree.tile, session), state.size)
            except MissingNode as error:
                raise Damaged(state.size) from error
            if edge.root != state.root:
                raise Damaged(state.size)
            self._check(session)
            self._edge = edge
        return self._edge
