"""The erasure journal as a file: which people were erased, outside the database.

A restored copy of the database knows nothing of what was erased since. Something beside it must,
or the people come back. The file begins with a header, and each line is a day, a mark (a keyed
hash of an id, see marks.py), a word (`Word`) and a short checksum. Nothing in it names anybody.

What a crash leaves behind: before the sync, perhaps some of the lines, the last one torn. Readers
leave out a line without an end, and the next to append takes it away. What was written of a
transaction that did not commit is a person whose erasure had begun: it is finished at the next
start (journal.py). A line before the last that does not read is no crash: `JournalDamaged`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from domain.ledger import files
from domain.rights.errors import JournalDamaged

HEADER = b"samtykke erasure journal v1\n"
_LINE = re.compile(
    r"(\d{4}-\d\d-\d\d ([0-9a-f]{64}) (?:(whole|held|undone)|(joined) ([0-9a-f]{64})))"
    r" ([0-9a-f]{8})"
)
# Longer than any line, so that the end of the last whole one is found in one look.
_TAIL = 1 << 16


class Word(StrEnum):
    """What happened to a person."""

    WHOLE = "whole"  # nothing of them is left
    HELD = "held"  # nothing but what a legal hold keeps
    JOINED = "joined"  # what was theirs is another's now, who is the same person (joining.py)
    UNDONE = "undone"  # what the line before says of them was not committed


@dataclass(frozen=True)
class Line:
    """One erasure. `into` is the mark of whom somebody was joined to."""

    mark: bytes
    word: Word = Word.WHOLE
    into: bytes | None = None

    def encode(self, day: date) -> bytes:
        """As it is written. By the day an operator can tell which lines no backup needs."""
        said = [day.isoformat(), self.mark.hex(), self.word.value]
        if self.into is not None:
            said.append(self.into.hex())
        content = " ".join(said)
        return f"{content} {_checksum(content)}\n".encode()


def append(path: Path, lines: Collection[Line], day: date) -> None:
    """Write these lines, durably: when this returns, they survive a power cut.

    Raises JournalDamaged where the file is something else, and OSError: then nothing was written,
    or what was is as after a crash.
    """
    with _opened(path) as file:
        end = _healed(file, path)
        content = b"".join(line.encode(day) for line in lines)
        try:
            _write(file, content if end else HEADER + content)
            files.sync(file)
        except BaseException:
            # A full disk: take back what it took. Where even that fails, it is as after a crash.
            with suppress(OSError):
                os.ftruncate(file, end)
            raise
    if not end:
        files.sync_directory(path.parent)


def begin(path: Path) -> bool:
    """Make the file where there is none, so that a disk that cannot take it is found before
    anybody asks for erasure; return whether there was none."""
    if path.exists():
        return False
    append(path, (), date.min)
    return True


def read(path: Path) -> dict[bytes, Line]:
    """What stands, by the mark: the newest line of each that was not undone; none where there is
    no file. Raises JournalDamaged with the line's number."""
    said: dict[bytes, list[Line]] = {}
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return {}
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)  # not while somebody is writing
        for number, content in enumerate(file, 1):
            if not content.endswith(b"\n"):
                break  # torn: whoever wrote it was killed, and nobody was told that it is done
            if number > 1:
                _take(said, _line(path, number, content))
            elif content != HEADER:
                raise JournalDamaged(path, number)
    return {mark: lines[-1] for mark, lines in said.items() if lines}


def _take(said: dict[bytes, list[Line]], line: Line) -> None:
    before = said.setdefault(line.mark, [])
    if line.word is not Word.UNDONE:
        before.append(line)
    elif before:
        before.pop()


def _line(path: Path, number: int, content: bytes) -> Line:
    found = _LINE.fullmatch(content[:-1].decode("ascii", "replace"))
    if found is None or _checksum(found[1]) != found[6]:
        raise JournalDamaged(path, number)
    into = bytes.fromhex(found[5]) if found[5] else None
    return Line(bytes.fromhex(found[2]), Word(found[3] or found[4]), into)


def _checksum(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:8]


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The file, for one at a time, among threads and among processes."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(file)


def _healed(file: int, path: Path) -> int:
    """Take away a torn last line; return where the file ends then, 0 where it begins."""
    size = os.fstat(file).st_size
    beginning = os.pread(file, len(HEADER), 0)
    if beginning != HEADER:
        if not HEADER.startswith(beginning):
            raise JournalDamaged(path, 1)
        os.ftruncate(file, 0)
        return 0
    tail = os.pread(file, _TAIL, max(0, size - _TAIL))
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn == len(tail):
        raise JournalDamaged(path, _lines(path))
    if torn:
        os.ftruncate(file, size - torn)
    return size - torn


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _write(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]
