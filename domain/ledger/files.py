"""Files that must be whole and durable: one that says what was signed, one that holds a key.

A crash leaves the old file or the new one. A draft that a killed process left behind is read by
nobody, and the next one replaces it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def replace(path: Path, content: bytes) -> None:
    """Put this content into the file, durably, for its owner's eyes only. One that was there stays
    whose it was, also where root replaces it. Raises OSError, in words for the operator where the
    owner cannot be kept.

    Only while `locked`: two at once would write the same draft.
    """
    draft = path.with_name(f"{path.name}.draft")
    write_draft(draft, content, path)
    rename(draft, path)
    sync_directory(path.parent)


def write_draft(draft: Path, content: bytes, path: Path) -> None:
    """Write the content beside the file, durably, in place of a draft that was left lying."""
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "wb") as opened:
        give_to_owner(opened.fileno(), path)
        opened.write(content)
        opened.flush()
        sync(opened.fileno())


def give_to_owner(file: int, path: Path) -> None:
    """Let this open file be the user's and the group's whose `path` is, if there is one. Raises
    PermissionError, which says what to do."""
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    mine = os.fstat(file)
    if (mine.st_uid, mine.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(file, old.st_uid, old.st_gid)
        except PermissionError:
            told = f"it belongs to user {old.st_uid}: run this as that user, or as root"
            raise PermissionError(errno.EPERM, told, str(path)) from None


def sync(file: int) -> None:
    """Wait until the disk has it."""
    os.fsync(file)


def rename(draft: Path, path: Path) -> None:
    """The file holds the old content or the new, whatever happens."""
    draft.replace(path)


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names too: a power cut must not bring the old file back."""
    file = os.open(directory, os.O_RDONLY)
    try:
        sync(file)
    finally:
        os.close(file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One at a time, among threads and among processes. What is locked is a file beside it that
    stays, since the file itself is another one after each replacement."""
    file = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        give_to_owner(file, path)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
