"""The high-water file: the newest checkpoint that was signed for publishing, outside the database.

An older copy of a database is sound in itself, and a log that went on from it would sign a
fork. Only something that was not restored with it can tell, so before a checkpoint leaves this
machine, it stands in this file.

What a crash leaves behind: before the rename, the old file, and perhaps a draft, which nobody
reads and the next one replaces; after it, the new file. The checkpoint in it is published at
the next start, since its state is committed and its signature is always the same.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.orm import Session

from domain.ledger import files, log_keys, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    Damaged,
    FormatError,
    MissingNode,
    NoHighWater,
    Rewound,
    UnreadableHighWater,
)
from domain.ledger.log import log
from domain.ledger.notes import Note


def read(path: Path) -> bytes | None:
    """The note in the file; None before the first."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def checkpoint(path: Path) -> Checkpoint | None:
    """What the file says; None before the first. Raises UnreadableHighWater.

    Its signature is not verified: whoever can write the file can also put an older checkpoint
    there, with a good signature; and a database restored from before a key was announced does
    not know the key.
    """
    content = read(path)
    if content is None:
        return None
    try:
        return Checkpoint.parse(Note.parse(content).text)
    except FormatError as error:
        raise UnreadableHighWater(path) from error


def check(session: Session) -> None:
    """Raise unless the stored tree goes on from everything that was signed (invariant 7).

    Rewound where the file's checkpoint is no prefix of it; NoHighWater where there is no file
    and should be one; UnreadableHighWater; Damaged where it is the newest published checkpoint
    that is no prefix: that is no restored copy, since it stands in the same database.

    The file is read first, and holds committed states only. So ask in a session that has read
    nothing yet: one that began earlier may see less than a sequencer signed since.
    """
    path = log(session).high_water
    signed, published = checkpoint(path), _published(session)
    if signed is None and published is not None and _in_force(session, published):
        raise NoHighWater(path, published)
    if signed is not None and not extends(session, signed):
        raise Rewound(signed, tree.current(session).size)
    if published is not None and published != signed and not extends(session, published):
        raise Damaged(published.size)


def extends(session: Session, signed: Checkpoint) -> bool:
    """Whether the stored tree begins with that of a checkpoint."""
    if signed.size > tree.current(session).size:
        return False
    try:
        return tree.root_at(session, signed.size) == signed.root
    except MissingNode:
        return False


def advance(session: Session, note: bytes) -> bool:
    """Put a signed checkpoint of the committed tree into the file, durably.

    Returns False, and leaves the file, where a larger one of the same tree stands there: another
    sequencer was faster. Raises Rewound where what stands there is no prefix of the tree.
    """
    path, new = log(session).high_water, Checkpoint.parse(Note.parse(note).text)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with files.locked(path):
        if not compare(session, path, new):
            return False
        files.replace(path, note)
    return True


def compare(session: Session, path: Path, new: Checkpoint) -> bool:
    """Whether the file may go on to `new`. Raises Rewound, UnreadableHighWater."""
    old = checkpoint(path)
    if old is None:
        return True
    if old.size > new.size:
        # Committed later than this session reads, or never: a fresh look tells which.
        return False
    if not extends(session, old):
        raise Rewound(old, new.size)
    return True


def _published(session: Session) -> Checkpoint | None:
    newest = tree.published(session)
    return Checkpoint.parse(Note.parse(newest.note).text) if newest else None


def _in_force(session: Session, published: Checkpoint) -> bool:
    """Whether this checkpoint's origin still signs. After `flask ledger recover` it does not:
    the log goes on under another name, and its file begins anew."""
    return published.origin in {key.name for key in log_keys.in_force(session)}
