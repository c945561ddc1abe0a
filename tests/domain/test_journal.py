"""The erasure journal: written before the commit, durable, healed, and never guessed at."""

from __future__ import annotations

import errno
import os
import stat
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.holding import Holding
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.keys import Keyring
from domain.ledger import files
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights import erasure, journal, journal_file, marks
from domain.rights.errors import JournalDamaged
from domain.rights.inventory import INVENTORY
from domain.rights.journal_file import Line
from domain.subjects.models import Subject
from tests.domain.consenting import publish
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON

pytestmark = pytest.mark.requirement(82)

DAY = date(2026, 11, 22)
ONE, TWO, THREE = (Line(bytes([number]) * 32) for number in (1, 2, 3))


def marked(path: Path) -> set[bytes]:
    """Whose marks stand in a journal."""
    return set(journal_file.read(path))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal stands, in a folder that is not there yet."""
    return tmp_path / "beside" / "erasure-journal"


@pytest.fixture
def info(info: dict[str, object], path: Path) -> dict[str, object]:
    """What every session carries, with a journal."""
    return {**info, "journal": path}


def executed(session: Session) -> list[str]:
    """The causes of the erasures in the ledger."""
    entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    return [entry.data["cause"] for entry in entries if entry.type == "erasure.executed"]


def two(database: Database) -> tuple[UUID, UUID]:
    """Kari and Ola, stored."""
    with database.transaction() as session:
        publish(session)
        return opened(session, KARI).subject_id, opened(session, OLA).subject_id


def there(database: Database) -> set[UUID]:
    """Who is in the database."""
    with database.reading() as session:
        return set(session.scalars(select(Subject.id)))


def test_a_file_is_as_this_by_hand(path: Path) -> None:
    """A header, then a line for each: day, mark, word, and the first four bytes of SHA-256."""
    journal_file.append(path, [ONE], DAY)
    # printf '2026-11-22 0101…01 whole' | sha256sum | cut -c-8
    line = "2026-11-22 " + "01" * 32 + " whole 990dcfce\n"
    assert path.read_text("ascii") == "samtykke erasure journal v1\n" + line
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert marked(path) == {ONE.mark}


def test_what_is_appended_is_read_whoever_appends(path: Path) -> None:
    """Ten at once, and none loses another's lines."""
    wanted = [Line(os.urandom(32)) for _ in range(50)]
    shares = [wanted[n::10] for n in range(10)]
    threads = [
        threading.Thread(target=journal_file.append, args=(path, share, DAY)) for share in shares
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert marked(path) == {one.mark for one in wanted}


@pytest.mark.parametrize("kept", [1, 30, 84])
def test_a_torn_last_line_is_ignored_and_healed(path: Path, kept: int) -> None:
    """A killed process left it, and whoever comes next goes on where the last whole line ends."""
    journal_file.append(path, [ONE], DAY)
    whole = path.read_bytes()
    path.write_bytes(whole + TWO.encode(DAY)[:kept])
    assert marked(path) == {ONE.mark}
    journal_file.append(path, [THREE], DAY)
    assert path.read_bytes() == whole + THREE.encode(DAY)


@pytest.mark.parametrize("kept", [0, 1, 27])
def test_a_torn_header_is_begun_anew(path: Path, kept: int) -> None:
    """Killed when the file was made."""
    path.parent.mkdir()
    path.write_bytes(journal_file.HEADER[:kept])
    assert marked(path) == set()
    journal_file.append(path, [ONE], DAY)
    assert marked(path) == {ONE.mark}


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("how", [lambda line: line[:20] + b"7" + line[21:], lambda line: b"\n"])
def test_a_damaged_line_is_named(path: Path, number: int, how: object) -> None:
    """Nobody goes on with a journal that may have lost somebody."""
    journal_file.append(path, [ONE, TWO, THREE], DAY)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1] = how(lines[number - 1])  # type: ignore[operator]
    path.write_bytes(b"".join(lines))
    with pytest.raises(JournalDamaged, match=f"line {number} ") as damaged:
        journal_file.read(path)
    assert damaged.value.line == number


@pytest.mark.parametrize("content", [b"another file\n", journal_file.HEADER[:-1] + b"2\n"])
def test_another_file_is_not_written_to(path: Path, content: bytes) -> None:
    """ERASURE_JOURNAL names something else, or a newer format."""
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JournalDamaged):
        journal_file.append(path, [ONE], DAY)
    assert path.read_bytes() == content


def test_it_is_synced_and_so_is_its_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder once, when the file is made."""
    synced: list[bool] = []
    real = os.fsync

    def fsync(file: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(file).st_mode))
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    journal_file.append(path, [ONE, TWO], DAY)
    assert synced == [False, True]
    journal_file.append(path, [THREE], DAY)
    assert synced == [False, True, False]


def test_one_sync_for_all_that_a_transaction_erases(
    database: Database, keys: Keyring, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their marks, under a key, and nothing else; the end of a savepoint is no commit."""
    people = two(database)
    appended: list[int] = []
    real = journal_file.append

    def append(path: Path, lines: list[Line], day: date) -> None:
        appended.append(len(lines))
        assert there(database) == set(people), "before the commit"
        real(path, lines, day)

    monkeypatch.setattr(journal_file, "append", append)
    with database.transaction() as session:
        for one in people:
            erasure.forget(session, one, "request", at=NOON)
        with session.begin_nested():
            session.execute(select(1))
        assert not path.exists()
    assert appended == [2]
    assert marked(path) == {marks.mark(keys, one) for one in people}
    content = path.read_text()
    assert not any(form in content for one in people for form in (str(one), one.hex))
    assert there(database) == set()


def test_what_is_undone_is_not_in_the_journal(database: Database, path: Path) -> None:
    """A transaction that fails, and a savepoint within one that does not: or the next start would
    erase somebody who is still a customer."""
    kari, ola = two(database)
    with pytest.raises(RuntimeError), database.transaction() as session:
        erasure.forget(session, kari, "request", at=NOON)
        raise RuntimeError
    assert not path.exists()
    with database.transaction() as session:
        with pytest.raises(RuntimeError), session.begin_nested():
            erasure.forget(session, kari, "retention", at=NOON)
            raise RuntimeError
        erasure.forget(session, ola, "retention", at=NOON)
    assert there(database) == {kari}
    assert journal.reapply(database, at=NOON) == 0


@pytest.mark.parametrize("step", ["write", "fsync"])
def test_a_full_disk_stops_the_erasure(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nothing is erased, nobody is told, the file is as it was; and when there is room it works."""
    kari, ola = two(database)
    with database.transaction() as session:
        erasure.forget(session, ola, "request", at=NOON)
    before, real_write = path.read_bytes(), os.write

    def full(file: int, *content: bytes) -> int:
        if step == "write" and content and len(content[0]) > 40:
            return real_write(file, content[0][:40])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full) if step == "write" else patch.setattr(files, "sync", full)
        with pytest.raises(OSError, match="No space"), database.transaction() as session:
            erasure.forget(session, kari, "request", at=NOON)
    assert there(database) == {kari}
    assert path.read_bytes() == before
    with database.transaction() as session:
        erasure.forget(session, kari, "request", at=NOON)
    assert there(database) == set()
    assert len(journal_file.read(path)) == 2


def test_whoever_is_in_the_journal_is_erased_again(
    database: Database, keys: Keyring, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In small transactions, however often it is cut off; the ledger says why, once for each, and
    nobody else is touched."""
    monkeypatch.setattr(journal, "_PAGE", 3)
    monkeypatch.setattr(journal, "_BATCH", 2)
    with database.transaction() as session:
        publish(session)
        people = [
            opened(session, Person(f"Nr {n}", f"n{n}@firma.example")).subject_id for n in range(9)
        ]
    back, stay = people[:7], people[7:]
    journal_file.append(path, [Line(marks.mark(keys, one)) for one in back], DAY)
    journal_file.append(path, [Line(marks.mark(keys, uuid4()))], DAY)  # erased, and not come back
    before = path.read_bytes()

    real, killed = erasure.forget, {back[3], back[5]}

    def forget(session: Session, subject_id: UUID, *values: object, **named: object) -> str:
        if subject_id in killed:
            killed.remove(subject_id)
            raise KeyboardInterrupt
        return real(session, subject_id, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(erasure, "forget", forget)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            journal.reapply(database, at=NOON)
    again = journal.reapply(database, at=NOON)
    assert 0 < again <= 7
    assert there(database) == set(stay)
    with database.reading() as session:
        assert executed(session) == ["restored"] * 7
        assert accounts.find(session, "n8@firma.example")
    assert path.read_bytes() == before, "they stand there already"
    assert journal.reapply(database, at=NOON) == 0


def test_the_first_start_makes_the_file(database: Database, path: Path) -> None:
    """So that a folder nobody may write to is found before anybody asks for erasure."""
    assert journal.reapply(database, at=NOON) == 0
    assert path.read_bytes() == journal_file.HEADER


def test_a_failing_holding_leaves_no_mark(
    database: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the database refuses was not erased."""
    kari, _ = two(database)

    def fails(session: Session, subject_id: UUID, at: object) -> None:
        raise RuntimeError

    def broken(holding: Holding) -> Holding:
        return holding if holding.name != "account" else replace(holding, erase=fails)

    monkeypatch.setattr(erasure, "INVENTORY", tuple(map(broken, INVENTORY)))
    with pytest.raises(RuntimeError), database.transaction() as session:
        erasure.forget(session, kari, "request", at=NOON)
    assert not path.exists()
    assert kari in there(database)
