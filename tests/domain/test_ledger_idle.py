"""A sequencer without work: it looks five times a second, all day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from database import Database
from domain.ledger.sequencer import Round
from driver import Driver
from tests.support.faults import Scene


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """An empty log."""
    return Scene(database, tmp_path / "signed")


def test_an_idle_sequencer_reads_one_row_and_writes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One SELECT, by whichever way it goes to the database."""
    scene.append(3)
    sequencer = scene.sequencer()
    sequencer.run()
    seen: list[str] = []
    execute = Driver.execute

    def driven(driver: Driver, statement: Any, values: Any) -> Any:
        seen.append(str(statement))
        return execute(driver, statement, values)

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        seen.append(statement)

    monkeypatch.setattr(Driver, "execute", driven)
    event.listen(Engine, "before_cursor_execute", note)
    assert sequencer.run() == Round()
    event.remove(Engine, "before_cursor_execute", note)
    asked = [one for one in seen if not one.startswith(("PRAGMA", "BEGIN"))]
    assert len(asked) == 1
    assert asked[0].startswith("SELECT")
