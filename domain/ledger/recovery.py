"""When an older copy of the database was restored: going on in the open, under another name.

What was signed after the copy was made is lost, and others may hold it. Nothing larger can ever
be signed under the old name again without contradicting it. So the old keys end at what was
published, a key of another name goes on from the entries that are left (their positions, and so
old receipts, stay good), and the first thing it says is which checkpoint was lost.

What a crash leaves behind: before the commit, everything as it was; after it and before the
high-water file is replaced, a database that goes on and a file that still refuses. Doing it
again then only replaces the file.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import checkpoints, entry, files, high_water, log_keys, publishing, tree
from domain.ledger.announcing import announce
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    KeyRefused,
    LedgerError,
    NotConsistent,
    NothingToAdopt,
    NothingToRecover,
    Rewound,
)
from domain.ledger.log import log
from domain.ledger.models import LedgerEntry, LedgerLeaf
from domain.ledger.notes import SignerKey, VerifierKey
from domain.ledger.tree import State

_NUMBERED = re.compile(r"(?P<base>.+)/(?P<number>[1-9][0-9]{0,8})")


@dataclass(frozen=True)
class Loss:
    """A checkpoint that was signed, and what the database has instead. `begun` when the loss
    stands in the log already, and only the high-water file does not know it."""

    lost: Checkpoint
    state: State
    begun: bool


def find(session: Session) -> Loss:
    """What was lost. Raises NothingToRecover where nothing was; UntrustedCheckpoint, WrongSignature
    where the file's checkpoint was not signed by a key that is or was the log's, or is in the
    settings; NoHighWater, UnreadableHighWater, Damaged."""
    try:
        high_water.check(session)
    except Rewound as error:
        lost = error.signed
    else:
        raise NothingToRecover
    # By a key of any size: those that came after the copy was made, only the settings know.
    keys = {one.key for one in log_keys.known(session)}
    keys |= {signer.verifier for signer in log(session).signers}
    checkpoints.trusted(high_water.read(log(session).high_water) or b"", keys)
    return Loss(lost, tree.current(session), _announced(session, lost))


def next_origin(session: Session, loss: Loss) -> str:
    """The name that the log goes on under: the lost one with the next number."""
    taken = {one.key.name for one in log_keys.known(session)} | {loss.lost.origin}
    numbered = _NUMBERED.fullmatch(loss.lost.origin)
    base = numbered["base"] if numbered else loss.lost.origin
    number = int(numbered["number"]) + 1 if numbered else 2
    while f"{base}/{number}" in taken:
        number += 1
    return f"{base}/{number}"


def go_on(session: Session, loss: Loss, new: VerifierKey, *, at: datetime) -> State:
    """End the old keys and go on with a new one of another name; return the state whose last
    entry says what was lost.

    Raises KeyRefused for a key whose name the log has or had, or lost; Overtaken where it is to
    be tried again.
    """
    known = log_keys.known(session)
    if new.name in {one.key.name for one in known} | {loss.lost.origin}:
        raise KeyRefused(new, "what was lost has this name, or what came before it")
    state = tree.current(session)
    newest = tree.published(session)
    # What is between was never published from this copy: what is signed so large was lost.
    published = newest.size if newest else 0
    for one in known:
        if one.to_size is None:
            log_keys.end(session, one.key, published)
    log_keys.register(session, new, state.size)
    data = {**_named(loss.lost), "restored_size": state.size, "key": str(new)}
    return announce(session, state, "log.recovered", data, at=at)


def begin_file(session: Session, loss: Loss, signers: Sequence[SignerKey]) -> Path:
    """Let the high-water file begin anew with the newest state, signed; return where the lost
    checkpoint is kept. `session` sees what `go_on` committed.

    Raises KeyRefused where none of the signers is in force.
    """
    path, state = log(session).high_water, tree.current(session)
    keys = log_keys.in_force(session)
    signing = [signer for signer in signers if signer.verifier in keys]
    if not signing:
        raise KeyRefused(keys[0], "the settings do not have the private half of it")
    with files.locked(path):
        kept = _keep(path, f"lost-{loss.lost.size}")
        files.replace(path, publishing.sign(state, signing))
    return kept


def adopt(session: Session, content: bytes | None) -> Checkpoint:
    """Begin a high-water file that is missing or unreadable: with this checkpoint, or without one
    with the newest in the database, which cannot tell whether it is the newest that was signed.

    Raises NothingToAdopt where there is a good file, or nothing was published; NotConsistent
    where the tree does not contain the checkpoint; and as `log_keys.trusted` does.
    """
    path = log(session).high_water
    newest = tree.published(session)
    notes = [note for note in (content, newest.note if newest else None) if note is not None]
    if not notes:
        raise NothingToAdopt("nothing was published yet: the first publication makes the file")
    found = {note: log_keys.trusted(session, note).checkpoint for note in notes}
    for checkpoint in found.values():
        if not high_water.extends(session, checkpoint):
            raise NotConsistent(checkpoint, tree.current(session).size, path)
    note = max(notes, key=lambda one: found[one].size)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(path):
        if _readable(path):
            raise NothingToAdopt(f"{path} holds a checkpoint already")
        if path.exists():
            _keep(path, "unreadable")
        files.replace(path, note)
    return found[note]


def _readable(path: Path) -> bool:
    try:
        return high_water.checkpoint(path) is not None
    except LedgerError:
        return False


def _keep(path: Path, reason: str) -> Path:
    """Give the file a second name, which stays when the first is taken by another."""
    kept, number = path.with_name(f"{path.name}.{reason}"), 1
    while kept.exists() and kept.read_bytes() != path.read_bytes():
        number += 1
        kept = path.with_name(f"{path.name}.{reason}-{number}")
    if not kept.exists():
        os.link(path, kept)
        files.sync_directory(path.parent)
    return kept


def _named(lost: Checkpoint) -> dict[str, Any]:
    root = base64.b64encode(lost.root).decode()
    return {"origin": lost.origin, "size": lost.size, "root": root}


def _announced(session: Session, lost: Checkpoint) -> bool:
    """Whether the entry with which the keys in force began tells of this loss."""
    begun = [one.from_size for one in log_keys.known(session) if one.to_size is None]
    contents = session.scalars(
        select(LedgerEntry.bytes)
        .join(LedgerLeaf, LedgerLeaf.entry_id == LedgerEntry.id)
        .where(LedgerLeaf.position.in_(begun))
    )
    found = [entry.decode(content) for content in contents]
    return any(
        one.type == "log.recovered" and one.data.items() >= _named(lost).items() for one in found
    )
