"""The audience of a purpose, against the fastest way to read the same rows.

On PostgreSQL that is COPY, on SQLite a bare cursor of the driver. Each side reads everything in
turn, in a process of its own that does nothing else; medians over rounds.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import psycopg
from sqlalchemy import make_url

from bench.filling import fill
from bench.site import BACKENDS, databases
from commands.progress import Progress
from database import Database
from domain.consent import purposes
from domain.consent.audience import audience, query
from settings import ROOT

PURPOSE = "marketing"


def measure(
    backend: str,
    *,
    subjects: int = 50_000,
    entries: int = 500_000,
    rounds: int = 5,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Rows a second of both in each round, the ratio of their medians, and the memory that the
    audience took beyond an idle process."""
    with tempfile.TemporaryDirectory(prefix="samtykke-bench-") as directory:
        with databases(backend, Path(directory), durable=False) as urls:
            fill(urls.owner, subjects=subjects, entries=entries, at=datetime.now(UTC))
            with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
                ours, bare = [], []
                for number in range(rounds + 1):
                    one = pool.submit(_ours, urls.application).result()
                    other = pool.submit(_bare, urls.application).result()
                    if one["rows"] != other["rows"]:
                        raise RuntimeError(f"{one['rows']} rows against {other['rows']}")
                    if number:  # the first round reads from the disk
                        ours.append(one)
                        bare.append(other)
                        step()
    rate, bare_rate = ([one["rows"] / one["seconds"] for one in side] for side in (ours, bare))
    return {
        "subjects": subjects,
        "entries": entries,
        "rows": ours[0]["rows"],
        "rate": rate,
        "bare_rate": bare_rate,
        "rate_ratio": median(one / other for one, other in zip(rate, bare_rate, strict=True)),
        "megabytes": max(one["megabytes"] for one in ours),
    }


def _ours(url: str) -> dict[str, float]:
    """Read the audience as the site would."""
    database = _database(url)
    with database.reading() as session:
        session.connection()
        idle = _megabytes()
        began = time.perf_counter()
        rows = sum(1 for _ in audience(session, PURPOSE, at=datetime.now(UTC)))
        seconds = time.perf_counter() - began
    database.close()
    return {"rows": rows, "seconds": seconds, "megabytes": _megabytes() - idle}


def _bare(url: str) -> dict[str, float]:
    """Read the same rows with the driver alone."""
    database = _database(url)
    register = database.info["purposes"]
    compiled = query(register, register.purposes[PURPOSE], datetime.now(UTC)).compile(
        database.engine
    )
    text, values = str(compiled), dict(compiled.construct_params())
    read = _copied if database.engine.dialect.name == "postgresql" else _stepped
    rows, seconds = read(url, text, values)
    database.close()
    return {"rows": rows, "seconds": seconds}


def _copied(url: str, text: str, values: dict[str, Any]) -> tuple[int, float]:
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as connection, connection.cursor() as cursor:
        began = time.perf_counter()
        with cursor.copy(f"COPY ({text}) TO STDOUT (FORMAT BINARY)", values) as copy:
            copy.set_types(["uuid"])
            rows = sum(1 for _ in copy.rows())
        return rows, time.perf_counter() - began


def _stepped(url: str, text: str, values: dict[str, Any]) -> tuple[int, float]:
    ordered = [
        value.strftime("%Y-%m-%d %H:%M:%S.%f") if isinstance(value, datetime) else value
        for value in values.values()
    ]
    connection = sqlite3.connect(make_url(url).database or "")
    try:
        began = time.perf_counter()
        rows = sum(1 for _ in connection.execute(text, ordered))
        return rows, time.perf_counter() - began
    finally:
        connection.close()


def _database(url: str) -> Database:
    return Database(url, info={"purposes": purposes.load(ROOT / "content")})


def _megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure alone: `python -m bench.audience --subjects 1000000 --entries 10000000`."""
    parser = argparse.ArgumentParser(prog="python -m bench.audience", description=__doc__)
    parser.add_argument("--subjects", type=int, default=50_000)
    parser.add_argument("--entries", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    chosen = parser.parse_args()
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    progress = Progress(len(backends) * chosen.rounds, "rounds")
    sizes = {"subjects": chosen.subjects, "entries": chosen.entries, "rounds": chosen.rounds}
    found = {one: measure(one, **sizes, step=progress.step) for one in backends}
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
