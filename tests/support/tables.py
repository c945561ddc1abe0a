"""What the database holds, for tests that say that nothing, or just this, changed."""

from __future__ import annotations

from sqlalchemy import Table, select, text

from database import NEVER, Base, Database
from domain.ledger.entry import Entry, decode
from domain.ledger.models import LedgerEntry

# Tries are counted whatever comes of them.
TRIES = "attempt"


def readable() -> list[Table]:
    """The tables that the application may read: all but the books."""
    found = Base.metadata.sorted_tables
    return [table for table in found if "SELECT" not in NEVER.get(table.name, ())]


def contents(database: Database, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Every row of every table, in no particular order."""
    with database.reading() as session:
        return {
            table.name: sorted(
                repr([_plain(value) for value in row])
                for row in session.execute(text(f"SELECT * FROM {table.name}"))
            )
            for table in readable()
            if table.name not in but
        }


def count(database: Database, table: str) -> int:
    """How many rows a table has."""
    return len(contents(database)[table])


def entries(database: Database) -> list[Entry]:
    """What the ledger says about people, whoever they are or were: oldest first, then by type;
    not what says nothing."""
    with database.reading() as session:
        found = [decode(content) for content in session.scalars(select(LedgerEntry.bytes))]
    about_people = (one for one in found if one.type not in ("notice.published", "log.padded"))
    return sorted(about_people, key=lambda entry: (entry.at, entry.type))


def decided(database: Database) -> list[tuple[str, str]]:
    """Every decision in the ledger: what was decided, about which purpose."""
    return sorted(
        (entry.type.removeprefix("consent."), entry.data["purpose"])
        for entry in entries(database)
        if entry.type.startswith("consent.")
    )


def _plain(value: object) -> object:
    return bytes(value) if isinstance(value, memoryview) else value
