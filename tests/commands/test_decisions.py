"""`flask decisions rebuild`, as an operator sees it."""

from __future__ import annotations

from flask import Flask
from sqlalchemy import delete, func, select

from database import Database
from domain.consent import projection
from domain.consent.models import CurrentDecision
from tests.domain.consenting import decide, somebody


def test_rebuilding_restores_what_was_lost(app: Flask, database: Database) -> None:
    """Verify finds the harm, rebuild says how many rows it made, and verify is content."""
    with database.transaction() as session:
        decide(session, somebody(session), marketing=True)
        decide(session, somebody(session), analytics=True)
        session.execute(delete(CurrentDecision).where(CurrentDecision.purpose_id == "marketing"))
    run = app.test_cli_runner()
    harmed = run.invoke(args=["ledger", "verify"])
    assert (harmed.exit_code, "invariant 10" in harmed.output) == (1, True)
    result = run.invoke(args=["decisions", "rebuild"])
    assert result.output == "4 current decisions rebuilt from the ledger\n"
    assert run.invoke(args=["ledger", "verify"]).exit_code == 0
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(CurrentDecision)) == 4
        assert list(projection.differences(session)) == []
