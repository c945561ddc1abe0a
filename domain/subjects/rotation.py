"""Epochs of the key-encryption key, as the database and the ledger know them, and how a new one
gets into the file of keys and an old one out of it.

The keys themselves are never here. A new one is in the file before anything says that there is
one: the other way round, a crash would leave an epoch whose key nobody has.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Update, select, update
from sqlalchemy.orm import Session

from domain.epochs import LAST, Epoch, make, parse, read
from domain.ledger import files
from domain.ledger.append import append_anonymous
from domain.subjects.errors import CannotRotate
from domain.subjects.models import VaultEpoch

# A process that runs looks at the file whenever it seals. One whose keys come from the environment
# has to be restarted, and a transaction that began before may still commit.
NOTICED = timedelta(hours=1)


def known(session: Session) -> dict[int, VaultEpoch]:
    """The epochs that were recorded, by number."""
    return {one.epoch: one for one in session.scalars(select(VaultEpoch))}


def record(session: Session, epochs: Sequence[Epoch], *, at: datetime) -> None:
    """Record these epochs, where they are not."""
    already = known(session)
    for number, one in {one.number: one for one in epochs}.items():
        if number not in already:
            session.add(VaultEpoch(epoch=number, begun_at=one.made_at or at))
    session.flush()


def finish(session: Session, epoch: int, *, at: datetime) -> bool:
    """Nothing is sealed under an older epoch any more: say so, here and in the ledger, in one
    transaction. False if that was said before."""
    done = (
        update(VaultEpoch)
        .where(VaultEpoch.epoch == epoch, VaultEpoch.rotated_at.is_(None))
        .values(rotated_at=at)
    )
    return _told_once(session, done, "vault.rotated", epoch, at)


def began_with(session: Session, epoch: int, *, at: datetime) -> None:
    """This is the first epoch there is: nothing was rotated, and there is nothing to tell."""
    session.execute(update(VaultEpoch).where(VaultEpoch.epoch == epoch).values(rotated_at=at))


def retired(session: Session, epoch: int, *, at: datetime) -> bool:
    """The epoch's key was destroyed: say so. False if that was said before."""
    done = (
        update(VaultEpoch)
        .where(VaultEpoch.epoch == epoch, VaultEpoch.retired_at.is_(None))
        .values(retired_at=at)
    )
    return _told_once(session, done, "vault.epoch_retired", epoch, at)


def _told_once(session: Session, change: Update, type: str, epoch: int, at: datetime) -> bool:
    changed = session.execute(change.returning(VaultEpoch.epoch)).one_or_none()
    if changed is None:
        return False
    append_anonymous(session, type, {"epoch": epoch}, at=at)
    return True


def next_epoch(
    path: Path, recorded: Container[int], *, at: datetime, kms: str | None = None
) -> tuple[Epoch, bool]:
    """The newest epoch in the file if nobody recorded it yet; else a new one, which is on the disk
    when this returns, and True.

    A run that was killed after it wrote the key is taken up so. Raises CannotRotate,
    MalformedKeys, OSError.
    """
    with files.locked(path):
        newest = read(path)[-1]
        if newest.number not in recorded:
            return newest, False
        if newest.number == LAST:
            raise CannotRotate(f"epoch {LAST} is the last one there can be")
        new = make(newest.number + 1, at=at, kms=kms)
        text = path.read_text("utf-8")
        gap = "" if text.endswith("\n") else "\n"
        longer = f"{text}{gap}{new.line()}"
        parse(longer)  # a key of KMS may have been in use before
        files.replace(path, longer.encode())
    return new, True


def destroy(path: Path, epoch: int) -> bool:
    """Take the epoch out of the file, durably; False if it was not there. Raises MalformedKeys,
    OSError."""
    with files.locked(path):
        if epoch not in {one.number for one in read(path)}:
            return False
        lines = path.read_text("utf-8").splitlines(keepends=True)
        kept = [line for line in lines if line.split()[:1] != [str(epoch)]]
        if len(kept) != len(lines) - 1:  # written as 01, say
            raise CannotRotate(f"take the line of epoch {epoch} out of {path} by hand")
        files.replace(path, "".join(kept).encode())
    return True
