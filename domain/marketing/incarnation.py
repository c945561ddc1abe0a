"""Which life of the database this is: another one after the machine or the server died.

Marks are committed without waiting for the disk (queue.py), so a database that dies may come back
without those of its last second. Whoever finds a claim from an earlier life cannot know whether
its mail was marked, and left.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

_BOOT = Path("/proc/sys/kernel/random/boot_id")
# A server that lost its memory, since one of its processes was killed, does not start anew: but
# what it counted begins again.
_LIFE = text("SELECT pg_postmaster_start_time(), stats_reset FROM pg_stat_bgwriter")


def incarnation(session: Session) -> str:
    """A word for it. SQLite lives as long as the machine: what a killed process wrote stays."""
    if session.get_bind().dialect.name == "postgresql":
        life = str(session.execute(_LIFE).one())
    else:
        life = _BOOT.read_text("ascii") if _BOOT.exists() else ""
    return f"claimed {hashlib.sha256(life.encode()).hexdigest()[:16]}"
