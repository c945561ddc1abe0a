"""The log as files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from database import Database
from domain.ledger import export, merkle, publishing
from domain.ledger.checkpoints import trusted
from domain.ledger.errors import Damaged, NothingPublished
from domain.ledger.log import Log
from domain.ledger.models import LedgerEntry, LedgerLeaf, LedgerTile
from tests.attack.ledgers import unguarded
from tests.support import logs


def exported(session: Session, folder: Path, *, entries: bool = False) -> int:
    """Write; return how many files it told of."""
    told: list[int] = []
    found = export.begin(session, entries=entries)
    export.write(session, found, folder, told.append)
    assert sum(told) == found.files
    return found.files


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_an_export_is_the_log_as_tiles(session: Session, log: Log, tmp_path: Path) -> None:
    """In the names of C2SP tlog-tiles, with the keys; the checkpoint verifies with them."""
    logs.fill(session, 300, 600)
    assert exported(session, tmp_path / "log") == 4
    assert names(tmp_path / "log") == {
        "checkpoint",
        "key",
        "tile/0/000",
        "tile/0/001",
        "tile/0/002.p/88",
        "tile/1/000.p/2",
    }
    keys = (tmp_path / "log" / "key").read_text()
    assert keys == f"{log.signers[0].verifier}\n"
    note = (tmp_path / "log" / "checkpoint").read_bytes()
    assert note == publishing.note(session, 600)
    assert trusted(note, [log.signers[0].verifier]).checkpoint.size == 600


def test_nothing_of_an_entry_is_in_it(session: Session, tmp_path: Path) -> None:
    """Entries are private: neither their bytes nor their ids."""
    logs.fill(session, 300)
    exported(session, tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for entry_id, content in session.execute(select(LedgerEntry.id, LedgerEntry.bytes)):
        assert entry_id.encode() not in written
        assert content not in written


def test_an_operators_own_backup_has_the_entries(session: Session, tmp_path: Path) -> None:
    """As tlog-tiles bundles them, each behind its length; they hash to the leaves. Only the
    operator may read them."""
    logs.fill(session, 300)
    assert exported(session, tmp_path, entries=True) == 5
    bundles = [tmp_path / "tile" / "entries" / name for name in ("000", "001.p/44")]
    content = b"".join(path.read_bytes() for path in bundles)
    assert {path.stat().st_mode & 0o777 for path in bundles} == {0o600}
    hashes = []
    while content:
        length = int.from_bytes(content[:2], "big")
        hashes.append(merkle.leaf_hash(content[2 : 2 + length]))
        content = content[2 + length :]
    query = select(LedgerLeaf.leaf_hash).order_by(LedgerLeaf.position)
    assert hashes == list(session.scalars(query))


def test_an_export_goes_on_where_it_stopped(session: Session, tmp_path: Path) -> None:
    """What is right is left alone; what is not, and what is missing, is written again."""
    logs.fill(session, 600)
    exported(session, tmp_path)
    right, wrong, gone = (tmp_path / "tile/0" / name for name in ("000", "001", "002.p/88"))
    os.utime(right, (1, 1))
    wrong.write_bytes(b"half a ti")
    gone.unlink()
    (tmp_path / "tile/0/000.draft").write_bytes(b"killed here")
    exported(session, tmp_path)
    assert right.stat().st_mtime == 1
    assert (len(wrong.read_bytes()), len(gone.read_bytes())) == (8192, 88 * 32)


def test_an_export_is_of_the_newest_published_checkpoint(session: Session, tmp_path: Path) -> None:
    """What was not published yet is not written."""
    logs.grow(session, 300, 600)
    logs.publish(session, 300)
    exported(session, tmp_path)
    assert "tile/0/001.p/44" in names(tmp_path)
    assert "tile/0/001" not in names(tmp_path)


def test_nothing_is_exported_before_the_first_checkpoint(session: Session) -> None:
    """There would be nothing to verify it with."""
    with pytest.raises(NothingPublished):
        export.begin(session)


@pytest.mark.parametrize("model", [LedgerTile, LedgerLeaf])
def test_a_damaged_tree_is_not_exported(
    database: Database, owner: Database, model: type[LedgerTile | LedgerLeaf]
) -> None:
    """An export is to be verified by others: what they would refuse is not written out."""
    with database.transaction() as session:
        logs.fill(session, 300)
    with unguarded(owner) as session:
        session.execute(delete(model))
    with database.reading() as session, pytest.raises(Damaged):
        export.begin(session)
