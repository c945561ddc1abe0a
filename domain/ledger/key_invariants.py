"""What must hold of the keys (invariant 17): the tables say of each exactly what the log says.

The tables can be written by their owner, and the application may add to them; the log cannot be
written again. But whoever may append can append an entry about a key, too. What they cannot
write is the settings: so a key in force must also stand there, wherever any stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.ledger import raw, tree
from domain.ledger.entry import Entry, decode
from domain.ledger.invariants import Check
from domain.ledger.log import log
from domain.ledger.log_keys import KnownKey, known
from domain.ledger.models import LedgerCheckpoint
from domain.ledger.notes import Note, VerifierKey

_ABOUT_KEYS = (b'"type":"key.', b'"type":"log.recovered"')


class _Said:
    """What the log says about its keys: at which positions each begins and is retired, and where
    it goes on after a loss, with the size that the old keys then sign to."""

    def __init__(self, session: Session):
        self.begun: dict[VerifierKey, list[int]] = defaultdict(list)
        self.retired: dict[VerifierKey, list[int]] = defaultdict(list)
        self.losses: list[tuple[int, int]] = []
        self.odd: list[str] = []
        for entry_id, content in raw.containing(session, *_ABOUT_KEYS):
            position = tree.position(session, entry_id)
            if position is None:
                # Its position comes with it, in one transaction (announcing.py).
                self.odd.append(f"entry {entry_id} is about the log's keys, and has no position")
            else:
                self._read(session, position, decode(content))
        self.losses.sort()

    def _read(self, session: Session, position: int, entry: Entry) -> None:
        data = entry.data
        if entry.type == "key.retired":
            self.retired[VerifierKey.parse(data["key"])].append(position)
            return
        self.begun[VerifierKey.parse(data["to" if "to" in data else "key"])].append(position)
        if entry.type == "log.recovered":
            size = data["restored_size"]
            if size != position:
                self.odd.append(f"the entry at position {position} speaks of {size} entries")
            self.losses.append((position, _published(session, size)))

    def end(self, one: KnownKey) -> tuple[int | None, int | None]:
        """The largest size that a key signs, and the position of the entry that says so."""
        for position in self.retired.get(one.key, ()):
            return position, position
        for position, published in self.losses:
            if one.from_size < position:
                return published, position
        return None, None


def _published(session: Session, size: int) -> int:
    """The newest checkpoint that there was when the log had this size."""
    newest = select(func.max(LedgerCheckpoint.size)).where(LedgerCheckpoint.size <= size)
    return session.scalar(newest) or 0


def _keys(session: Session) -> Iterator[str]:
    keys, said = known(session), _Said(session)
    yield from said.odd
    for one in keys:
        yield from _range(one, said)
    yield from _first(session, keys, said)
    names = {one.key for one in keys}
    for key in [*said.begun, *said.retired]:
        if key not in names:
            yield f"key {key} is named by an entry, and is not among the keys"
    yield from _strangers(session, keys)


def _first(session: Session, keys: list[KnownKey], said: _Said) -> Iterator[str]:
    """One key begins with the log, and no entry is before it to name it: it signed the first
    checkpoint, if that was not lost before it was published."""
    unnamed = [one for one in keys if one.key not in said.begun]
    row = session.execute(
        select(LedgerCheckpoint.size, LedgerCheckpoint.note).order_by(LedgerCheckpoint.size)
    ).first()
    signed = Note.parse(row.note).verified(one.key for one in keys) if row else []
    by = {line.key for line in signed}
    for one in unnamed:
        if one.from_size:
            yield f"key {one.key} is named by no entry"
        if row and one.signs(row.size) and one.key not in by:
            yield f"key {one.key} is named by no entry, and did not sign the first checkpoint"
    beginning = [one.key for one in keys if one.from_size == 0]
    if keys and len(beginning) != 1:
        listed = ", ".join(map(str, beginning)) or "none"
        yield f"one key signs from the beginning, and the table of keys has {listed}"


def _range(one: KnownKey, said: _Said) -> Iterator[str]:
    """From the position of the entry that names it, to that of the entry that ends it."""
    begun = said.begun.get(one.key, [])
    if begun and begun != [one.from_size]:
        places = ", ".join(map(str, sorted(begun)))
        yield f"key {one.key} was announced at position {places}, and signs from {one.from_size}"
    end, position = said.end(one)
    if one.to_size == end:
        return
    if end is None:
        yield f"key {one.key} was retired, and no entry says so"
    else:
        signs = "on and on" if one.to_size is None else f"to {one.to_size}"
        yield (
            f"key {one.key} ends at {end}, as the entry at position {position} says, and signs"
            f" {signs}"
        )


def _strangers(session: Session, keys: list[KnownKey]) -> Iterator[str]:
    """A key is in the settings before it is in force (rotate-key, recover), and stays there until
    it was retired. So whoever verifies where the keys are has all that are in force. A process
    that signs nothing has none, and cannot tell."""
    own = {signer.verifier for signer in log(session).signers}
    for one in keys:
        if own and one.to_size is None and one.key not in own:
            yield (
                f"key {one.key} is in force, and the settings do not have it: somebody put it in,"
                " or its private key was lost (then: flask ledger retire-key)"
            )


KEYS = Check(17, "the log itself names every key that signs it, but for the first", _keys)
