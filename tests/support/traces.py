"""Where a person can still be found after they were erased."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import make_url, text

from settings import Settings
from tests.support.tables import readable

# What must not be found anywhere once Ingrid is erased, in any spelling that is stored.
TRACES = (
    *("Ingrid", "Haugland", "ingrid.h", "kunde.example", "41234567", "412 34 567"),
    *("Prøvegata", "Grautvika", "192.0.2.77"),
)

# What structlog was given to write.
Logged = list[MutableMapping[str, Any]]


def traces(app: Flask, settings: Settings, log: str = "") -> list[str]:
    """Every trace of her: in each column of each table, each file of the instance, the files
    of the database with what it has freed, and what was logged."""
    found = _within("the log", [log])
    with app.extensions["database"].reading() as session:
        for table in readable():
            for row in session.execute(text(f"SELECT * FROM {table.name}")):
                found += _within(table.name, row)
    for path in [*settings.instance.rglob("*"), *_database_files(settings)]:
        if path.is_file() and not _last_mail(path):
            found += _within(str(path), [path.read_bytes()])
    return found


def _database_files(settings: Settings) -> list[Path]:
    url = make_url(settings.database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return []
    path = Path(url.database)
    return [*path.parent.glob(f"{path.name}*")]


def _within(place: str, values: Iterable[object]) -> list[str]:
    spelled = " ".join(_spelled(value) for value in values)
    return [f"{place}: {one}" for one in TRACES if one in spelled]


def _spelled(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return bytes(value).decode("latin-1") + bytes(value).decode("utf-8", "ignore")
    return str(value)


def _last_mail(path: Path) -> bool:
    """The one that the erasure page says stays in the development folder."""
    return path.parent.name == "mail" and path.suffix == ".eml"
