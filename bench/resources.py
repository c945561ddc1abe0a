"""What the site needs: time to start, memory at rest, and storage for an entry."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any

from sqlalchemy import func, select, text

from bench import whole_log
from bench.apart import resident
from bench.site import Site, free_port, serving, started, wait
from database import Database
from domain.ledger.models import LedgerEntry
from settings import ROOT

# A page of each kind, so that what is made once has been made.
_PAGES = ("/", "/register", "/login", "/notices/privacy", "/ledger", "/requests/new")
_REST_SECONDS = 3.0
_BARE = "import flask, sqlalchemy, waitress; flask.Flask('bare')"
# What is stored of an entry, table by table; what one is stored with is not counted.
_TABLES = ("ledger_entry", "ledger_leaf", "ledger_tile", "entry_link", "subject")
_SIZES = {
    "sqlite": "SELECT sum(pgsize) FROM dbstat WHERE name IN"
    " (SELECT name FROM sqlite_master WHERE tbl_name = :name)",
    "postgresql": "SELECT pg_total_relation_size(to_regclass(:name))",
}


def steps(entries: int, rounds: int) -> int:
    """How often `measure` calls `step`."""
    return rounds + whole_log.cohorts(entries)


def measure(
    backend: str, *, rounds: int = 5, entries: int = 50_000, step: Callable[[], None]
) -> dict[str, Any]:
    """Seconds and megabytes of each round, and bytes for an entry, table by table."""
    found: dict[str, list[float]] = {
        name: [] for name in ("bare_start", "web_start", "web_rest", "worker_start", "worker_rest")
    }
    with serving(backend) as site:
        for _ in range(rounds):
            found["bare_start"].append(_bare())
            for name, (seconds, megabytes) in (("web", _web(site)), ("worker", _worker(site))):
                found[f"{name}_start"].append(seconds)
                found[f"{name}_rest"].append(megabytes)
            step()
        whole_log.grow(site.database, entries, step=step)
        stored = _stored(site)
    return {
        **found,
        "web_ratio": median(found["web_start"]) / median(found["bare_start"]),
        "worker_ratio": median(found["worker_start"]) / median(found["bare_start"]),
        "entries": entries,
        "stored": stored,
    }


def _bare() -> float:
    """Python with the same libraries and an application that does nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _BARE], cwd=ROOT, check=True)
    return time.perf_counter() - began


def _web(site: Site) -> tuple[float, float]:
    """Until it is ready; then a page of each kind, and some rest."""
    port = free_port()
    environment = {
        **site.environment,
        "PORT": str(port),
        "BASE_URL": f"http://127.0.0.1:{port}",
    }
    began = time.perf_counter()
    server = started(environment, "serve", "--no-worker")
    try:
        wait(server, port)
        seconds = time.perf_counter() - began
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        for page in _PAGES:
            connection.request("GET", page)
            connection.getresponse().read()
        connection.close()
        time.sleep(_REST_SECONDS)
        return seconds, resident(server.pid)
    finally:
        server.terminate()
        server.wait()


def _worker(site: Site) -> tuple[float, float]:
    """Until it says that it works; then it sequences a few entries, and rests."""
    with NamedTemporaryFile() as logged:
        began = time.perf_counter()
        worker = started(site.environment, "worker", logged=logged)
        try:
            while worker.poll() is None and b"worker_started" not in Path(logged.name).read_bytes():
                time.sleep(0.02)
            seconds = time.perf_counter() - began
            whole_log.queue(site.database, 100)
            time.sleep(_REST_SECONDS)
            return seconds, resident(worker.pid)
        finally:
            worker.terminate()
            worker.wait()


def _stored(site: Site) -> dict[str, float]:
    """Bytes that each table has, with its indexes, for an entry."""
    owner = Database(site.settings.owner_url, owner=True)
    with owner.reading() as session:
        entries = session.scalar(select(func.count()).select_from(LedgerEntry)) or 1
        query = _SIZES[session.get_bind().dialect.name]
        found = {table: session.scalar(text(query), {"name": table}) for table in _TABLES}
    owner.close()
    return {table: float(size or 0) / entries for table, size in found.items()}
