"""What the site is measured against: Flask and SQLAlchemy with one statement in each request.

`python -m bench.bare <port>` serves it as `flask serve` serves the site, on DATABASE_URL.
"""

from __future__ import annotations

import logging
import os
import secrets
import sqlite3
import sys
from typing import Any
from uuid import UUID, uuid4

from flask import Flask, abort
from sqlalchemy import (
    Column,
    Engine,
    LargeBinary,
    MetaData,
    Table,
    Uuid,
    bindparam,
    create_engine,
    event,
    insert,
    select,
)
from waitress.server import create_server

from commands.serve import _THREADS as THREADS
from database import Database

# As large as an entry.
PAYLOAD = secrets.token_bytes(480)
BARE = Table(
    "bench_bare", MetaData(), Column("id", Uuid, primary_key=True), Column("bytes", LargeBinary)
)
ONE = select(BARE.c.bytes).where(BARE.c.id == bindparam("id"))
_INSERT = insert(BARE)


def prepare(owner_url: str, role: str | None, rows: list[UUID]) -> None:
    """Make the table that the bare application writes to, with these rows."""
    owner = Database(owner_url, owner=True)
    with owner.transaction() as session:
        BARE.create(session.connection())
        if rows:
            session.execute(_INSERT, [{"id": one, "bytes": PAYLOAD} for one in rows])
        if role:
            session.connection().exec_driver_sql(f'GRANT SELECT, INSERT ON bench_bare TO "{role}"')
    owner.close()


def engine(url: str) -> Engine:
    """A plain engine, as durable as the site's."""
    made = create_engine(url, pool_size=10)
    if made.dialect.name == "sqlite":
        event.listen(made, "connect", _connected)
        event.listen(made, "begin", _begun)
    return made


def create_app(url: str) -> Flask:
    """One view that inserts a row durably, and one that selects a row by its key."""
    app = Flask(__name__)
    writer = engine(url)
    reader = writer.execution_options(bench_reading=True)

    @app.post("/insert")
    def write() -> tuple[str, int]:
        with writer.begin() as connection:
            connection.execute(_INSERT, {"id": uuid4(), "bytes": PAYLOAD})
        return "", 201

    @app.get("/select/<uuid:one>")
    def read(one: UUID) -> str:
        with reader.connect() as connection:
            row = connection.execute(ONE, {"id": one}).first()
        if row is None:
            abort(404)
        return "yes"

    return app


def _connected(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    for pragma in ("busy_timeout=15000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begun(connection: Any) -> None:
    reading = connection.get_execution_options().get("bench_reading", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def main() -> None:
    """Serve until the process is ended."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app = create_app(os.environ["DATABASE_URL"])
    port = int(sys.argv[1])
    create_server(app, host="127.0.0.1", port=port, threads=THREADS, ident=None).run()


if __name__ == "__main__":
    main()
