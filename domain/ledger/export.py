"""The whole published log as files (C2SP tlog-tiles): tiles, keys, and the checkpoint last.

Nothing in it is about anybody: entries stay private, and a leaf's hash tells nothing about its
entry, which holds a random tag. An operator's own backup may have the entries too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import log_keys, publishing, raw, tiles, tree
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import Damaged, MissingNode, NothingPublished
from domain.ledger.invariants import Tell, stream, untold
from domain.ledger.models import LedgerTile
from domain.ledger.notes import Note
from domain.ledger.tiles import WIDTH, Tile


@dataclass(frozen=True)
class Export:
    """What is going to be written: the newest published checkpoint, and what it stands for."""

    checkpoint: Checkpoint
    note: bytes
    entries: bool

    @property
    def files(self) -> int:
        """How many there are, but for checkpoint and keys."""
        bundles = -(-self.checkpoint.size // WIDTH) if self.entries else 0
        return sum(1 for _ in tiles.of_tree(self.checkpoint.size)) + bundles


def begin(session: Session, *, entries: bool = False) -> Export:
    """Find what is to be exported. Raises NothingPublished, and Damaged where the stored tree is
    not the one that was published."""
    newest = tree.published(session)
    if newest is None:
        raise NothingPublished
    note = publishing.note(session, newest.size)
    found = Checkpoint.parse(Note.parse(note).text)
    try:
        same = tree.root_at(session, found.size) == found.root
    except MissingNode:
        same = False
    if not same:
        raise Damaged(found.size)
    return Export(found, note, entries)


def write(session: Session, export: Export, folder: Path, tell: Tell = untold) -> None:
    """Write it into a folder. What an earlier run wrote and is right is left alone, so an
    export that was interrupted goes on, and one of a log that grew adds to it.

    The checkpoint comes last: as long as it is the old one, the folder is the older log, whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for tile, data in _tiles(session, export.checkpoint.size):
        _put(folder / "tile" / tile.path, data)
        tell(1)
    if export.entries:
        for tile, data in _bundles(session, export.checkpoint.size):
            _put(folder / "tile" / "entries" / tile.path.removeprefix("0/"), data, private=True)
            tell(1)
    keys = "".join(f"{one.key}\n" for one in log_keys.known(session))
    _put(folder / "key", keys.encode())
    _put(folder / "checkpoint", export.note)


def _tiles(session: Session, size: int) -> Iterator[tuple[Tile, bytes]]:
    for level in range(tiles.MAX_LEVEL + 1):
        full, partial = divmod(tiles.hashes(level, size), WIDTH)
        columns = (LedgerTile.number, LedgerTile.data)
        here = (LedgerTile.level == level, LedgerTile.number < full)
        rows = stream(session, select(*columns).where(*here).order_by(LedgerTile.number))
        for expected, (number, data) in enumerate(rows):
            if number != expected:
                raise Damaged(size)
            yield Tile(level, number), data
        if partial:
            edge = Tile(level, full, partial)
            yield edge, tree.tile(session, edge)


def _bundles(session: Session, size: int) -> Iterator[tuple[Tile, bytes]]:
    """Entries as tlog-tiles bundles them: each behind its length in two bytes."""
    for first in range(0, size, WIDTH):
        rows = raw.leaves(session, first, min(first + WIDTH, size))
        contents = [content for _, _, _, content, _ in rows if content is not None]
        if len(contents) != min(WIDTH, size - first):
            raise Damaged(size)
        data = b"".join(len(one).to_bytes(2, "big") + one for one in contents)
        yield Tile(0, first // WIDTH, len(contents)), data


def _put(path: Path, data: bytes, *, private: bool = False) -> None:
    """The file has this content, or the one before. A power cut may leave neither whole: what is
    not right is written again by the next run."""
    with suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.draft")
    draft.touch(mode=0o600 if private else 0o644)
    draft.write_bytes(data)
    draft.replace(path)
