"""Where data about people may lie outside the tables, and where it may not.

Every file, log and queue that the site writes is listed here once. A test runs the site and finds
each file that it left in this list, and a person's data only where `personal` says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch


@dataclass(frozen=True)
class Place:
    """A place and what is in it. `files` are the names that its files have, below the instance's
    folder or beside the database's; a place without is no file of ours. `personal` is whether
    anything in it leads to a person who is not erased."""

    name: str
    holds: str
    personal: bool
    files: tuple[str, ...] = ()


PLACES: tuple[Place, ...] = (
    Place("database", "the tables; direct identifiers sealed", True, ("*.db",)),
    Place(
        "write-ahead log",
        "SQLite's newest pages, emptied after each erasure and every hour (docs/operations.md)",
        True,
        ("*.db-wal", "*.db-shm", "*.db-journal"),
    ),
    Place(
        "marks beside the database",
        "nothing: that a scrub waits, whose turn it is to write, that somebody migrates",
        False,
        ("*.db-unscrubbed", "*.db-turn", ".*.migrating"),
    ),
    Place("mail server", "mails on their way; what it keeps is its own", True),
    Place("mail folder", "mails of a developer's site, where they are read", True, ("mail/*",)),
    Place(
        "erasure journal",
        "that somebody was erased, by a keyed hash that is kept nowhere else",
        False,
        ("erasure-journal", "erasure-journal.*"),
    ),
    Place("high-water mark", "the newest signed checkpoint: a number", False, ("high-water*",)),
    Place(
        "secrets",
        "keys, which open nothing of whoever was erased",
        False,
        ("secrets.toml", "log-keys*", "vault-keys*"),
    ),
    Place("application log", "what happened, never to whom (logs.py)", False),
    Place("downloads", "copies go to the person and nowhere else", False),
)


def of_file(path: str) -> Place | None:
    """The place of a file, by its path below the instance's folder or beside the database."""
    for place in PLACES:
        if any(fnmatch(path, pattern) for pattern in place.files):
            return place
    return None
