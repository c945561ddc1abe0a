"""Files that are replaced as a whole: whose they are stays as it was."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from domain.ledger import files

WEB_USER = 4711


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that the web user may read, in a directory that anybody may write to."""
    path = tmp_path / "keys"
    path.write_bytes(b"old")
    path.chmod(0o600)
    tmp_path.chmod(0o777)
    if os.geteuid() == 0:
        os.chown(path, WEB_USER, WEB_USER)
    return path


def _owned(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)


def test_whoever_replaces_a_file_its_owner_can_still_read_it(path: Path) -> None:
    """Owner and group stay, and the file that locks it is the owner's too: a command that
    root runs must not shut out the site."""
    before = _owned(path)
    with files.locked(path):
        files.replace(path, b"new")
    assert (_owned(path), path.read_bytes()) == (before, b"new")
    assert _owned(path.with_name("keys.lock"))[:2] == before[:2]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_cannot_keep_the_owner_is_refused(path: Path) -> None:
    """The message says whose file it is, and the file is as it was."""
    for folder in path.parents:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o755)
    before = _owned(path)
    draft = os.open(path.with_name("draft"), os.O_WRONLY | os.O_CREAT)
    os.seteuid(WEB_USER + 1)
    try:
        with pytest.raises(PermissionError, match=f"belongs to user {WEB_USER}"):
            files.give_to_owner(draft, path)
    finally:
        os.seteuid(0)
        os.close(draft)
    assert (_owned(path), path.read_bytes()) == (before, b"old")
