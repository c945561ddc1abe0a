"""How fast entries get their positions, against how fast people make them.

A round: people decide while nobody sequences (`rate`, requests a second; each is an entry); a
queue is sequenced by one process (`leaves`, a second); people decide while the worker runs, and
after the last answer it is counted how many entries still wait, and for how long.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median
from tempfile import TemporaryFile
from typing import Any

from sqlalchemy import func, select

from bench import whole_log
from bench.capture import Customer, _queues, _sign_in
from bench.load import Clients, Load, clients
from bench.site import Site, serving, started
from domain.ledger import tree
from domain.ledger.models import LedgerPending
from domain.ledger.sequencer import Sequencer

CLIENTS = 16
_PEOPLE = 128
_MOST_SECONDS = 120


def steps(rounds: int) -> int:
    """How often `measure` calls `step`."""
    return 3 * rounds


def measure(
    backend: str,
    *,
    rounds: int = 5,
    requests: int = 600,
    entries: int = 20_000,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Rates of each round, and the ratios of their medians. `entries` are in each queue."""
    found: dict[str, list[float]] = {
        name: [] for name in ("rate", "leaves", "rate_beside", "backlog", "published_after")
    }
    with serving(backend, durable=True) as site, clients() as senders:
        people = _sign_in(site, _PEOPLE)
        sequencer = Sequencer(site.database, lambda: datetime.now(UTC))
        _decide(site, senders, people, requests)  # nobody is measured cold
        for _ in range(rounds):
            found["rate"].append(_decide(site, senders, people, requests).rate)
            step()
            sequencer.run_once()
            whole_log.queue(site.database, entries)
            found["leaves"].append(_drain(sequencer, entries))
            sequencer.give_back()
            step()
            with _worker(site):
                found["rate_beside"].append(_decide(site, senders, people, requests).rate)
                ended = time.monotonic()
                found["backlog"].append(_waiting(site))
                _until_published(site)
                found["published_after"].append(time.monotonic() - ended)
            step()
    rate = median(found["rate"])
    return {
        **found,
        "entries": entries,
        "ratio": median(found["leaves"]) / rate,
        "beside_ratio": median(found["rate_beside"]) / rate,
    }


def _decide(site: Site, senders: Clients, people: list[Customer], requests: int) -> Load:
    return senders.send(site.port, list(_queues(site, people, CLIENTS, requests // CLIENTS)))


def _drain(sequencer: Sequencer, entries: int) -> float:
    """Leaves a second, until the last is published."""
    began = time.perf_counter()
    done = sequencer.run_once()
    seconds = time.perf_counter() - began
    if done != entries:
        raise SystemExit(f"{done} of {entries} entries were sequenced")
    return done / seconds


@contextmanager
def _worker(site: Site) -> Iterator[None]:
    """The worker, from when it has sequenced for the first time. Its mails go to a folder."""
    with TemporaryFile() as nowhere:
        worker = started(site.environment, "worker", logged=nowhere)
        try:
            whole_log.queue(site.database, 1)
            _until_published(site)
            yield
        finally:
            _end(worker)


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.terminate()
    try:
        worker.wait(30)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


def _waiting(site: Site) -> int:
    with site.database.reading() as session:
        return session.scalar(select(func.count()).select_from(LedgerPending)) or 0


def _until_published(site: Site) -> None:
    until = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < until:
        with site.database.reading() as session:
            published = tree.published(session)
            size = tree.current(session).size
        if not _waiting(site) and published and published.size == size:
            return
        time.sleep(0.02)
    raise SystemExit("the worker does not sequence")
