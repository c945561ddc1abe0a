"""A queue that somebody tampered with stops the sequencer."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, text

from database import Database
from domain.ledger.errors import Damaged
from domain.ledger.models import LedgerEntry
from tests.attack.ledgers import unguarded
from tests.support.faults import Scene


def test_what_waits_and_is_not_there_stops_the_sequencer(
    database: Database, owner: Database, backend: str, tmp_path: Path
) -> None:
    """An entry that somebody took away: passed over, it would be looked for without end."""
    scene = Scene(database, tmp_path / "signed")
    scene.append(2)
    with unguarded(owner) as session:
        if backend == "postgresql":
            key = "fk_ledger_pending_entry_id_ledger_entry"
            session.execute(text(f"ALTER TABLE ledger_pending DROP CONSTRAINT {key}"))
        session.execute(delete(LedgerEntry).where(LedgerEntry.id == scene.ids[1]))
    with pytest.raises(Damaged):
        scene.sequencer().run()
