"""Canaries: what is kept about one person, column by column, and where it can still be found."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import Date, Table, and_, make_url, select, update
from sqlalchemy.orm import Session

from database import Base, Database, UtcDateTime
from domain.rights.inventory import INVENTORY

Column = tuple[str, str]
# Times and days that nothing else in a test happens on.
_FIRST_TIME = datetime(2031, 1, 1, 1, 1, 1, tzinfo=UTC)
_FIRST_DAY = date(2041, 1, 1)
# Shorter than this is a small number or one of a few words.
_DISTINCT = 9


@dataclass
class Found:
    """Values that would lead to the person, each with the columns that it stands in."""

    columns: dict[bytes, set[Column]] = field(default_factory=dict)

    def add(self, column: Column, value: object) -> None:
        """Look for this value, in every spelling in which it could be stored."""
        for needle in spellings(value):
            self.columns.setdefault(needle, set()).add(column)

    def within(self, haystack: bytes, *, but: Collection[Column] = ()) -> set[Column]:
        """Which of them a place holds, by their columns; not what one of `but` says, too."""
        hits = (columns for needle, columns in self.columns.items() if needle in haystack)
        return {column for columns in hits if columns.isdisjoint(but) for column in columns}


def held_tables() -> list[Table]:
    """The tables of all holdings."""
    return [Base.metadata.tables[name] for holding in INVENTORY for name in holding.columns]


def mark_times(session: Session, rows: Mapping[str, Any], spare: Collection[Column]) -> None:
    """Give each time and day of these rows (by table: which one), but the spared ones, a value of
    its own."""
    times = 0
    for table in held_tables():
        given: dict[str, object] = {}
        for column in table.columns:
            if (table.name, column.name) in spare:
                continue
            times += 1
            if isinstance(column.type, UtcDateTime):
                given[column.name] = _FIRST_TIME + times * timedelta(days=1, hours=1, minutes=1)
            elif isinstance(column.type, Date):
                given[column.name] = _FIRST_DAY + timedelta(days=times)
        if given:
            session.execute(update(table).where(rows[table.name]).values(given))


def marked(value: object) -> bool:
    """Whether this is one of those times and days."""
    if isinstance(value, datetime):
        return value >= _FIRST_TIME
    return isinstance(value, date) and value >= _FIRST_DAY


def values(session: Session, mine: Mapping[str, Any]) -> Iterator[tuple[Column, Any]]:
    """Every value in her rows of each table."""
    for name, condition in mine.items():
        for row in session.execute(select(Base.metadata.tables[name]).where(condition)).mappings():
            yield from (((name, str(column)), value) for column, value in row.items())


def one_of_each(session: Session, mine: Mapping[str, Any]) -> dict[str, Any]:
    """Which is the first of her rows in each table. Fails where there is none."""
    found = {}
    for name, condition in mine.items():
        keys = Base.metadata.tables[name].primary_key.columns
        row = session.execute(select(*keys).where(condition).limit(1)).one_or_none()
        assert row is not None, f"there is nothing of her in {name}"
        found[name] = and_(*(key == value for key, value in zip(keys, row, strict=True)))
    return found


def spellings(value: object) -> list[bytes]:
    """How a value would be written in a column, a file, a dump or a log; nothing for what could
    be anybody's."""
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return [raw, raw.hex().encode()] if len(raw) >= _DISTINCT else []
    if isinstance(value, UUID):
        return [value.bytes, value.hex.encode(), str(value).encode()]
    if marked(value):
        if isinstance(value, datetime):
            return [f"{value:%Y-%m-%d{between}%H:%M:%S}".encode() for between in " T"]
        return [str(value).encode()]
    return [value.encode()] if isinstance(value, str) and len(value) >= _DISTINCT else []


def tables(owner: Database) -> Iterator[tuple[str, bytes]]:
    """Every table as its owner sees it, with all that is in it."""
    with owner.reading() as session:
        for table in Base.metadata.sorted_tables:
            cells = [value for row in session.execute(select(table)) for value in row]
            yield table.name, b"\n".join(_cell(value) for value in cells)


def _cell(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        return bytes(value) + b" " + bytes(value).hex().encode()
    if isinstance(value, UUID):
        return value.bytes + b" " + str(value).encode() + b" " + value.hex.encode()
    return str(value).encode()


def files(folder: Path, database_url: str) -> Iterator[tuple[str, bytes]]:
    """Every file of the instance and of SQLite, by its path below the one or beside the other."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        database = Path(url.database)
        for path in sorted(database.parent.glob(f"*{database.name}*")):
            yield path.name, path.read_bytes()


def dump(owner_url: str, run: Path) -> bytes | None:
    """What pg_dump writes of the database; None where there is none to ask."""
    url, programs = make_url(owner_url), run / "bin"
    if url.get_backend_name() != "postgresql" or not programs.exists():
        return None
    program = Path(programs.read_text()) / "pg_dump"
    if not program.exists():
        return None
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    done = subprocess.run([program, "--inserts", address], check=True, capture_output=True)
    return done.stdout
