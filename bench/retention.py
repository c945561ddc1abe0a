"""`flask retention run` while people sign up: how long the unluckiest of them waits, and whether
the run needs more memory the longer it goes on.

One person in ten is due. People sign up one after the other over HTTP, at first with nothing
beside, then while the run goes on in a process of its own; what counts is the slowest answer.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from statistics import median
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from bench.answers import REGISTRATION
from bench.apart import resident
from bench.site import Site, serving
from bench.visitor import Visitor
from database import Database, table_of
from domain.dates import add_months
from domain.identity import vault
from domain.identity.models import Account, SignedLink, Subscription
from domain.keys import KEY_BYTES, Keyring, keyring
from domain.ledger.entry import Entry, new_id
from domain.ledger.models import LedgerEntry
from domain.subjects.models import EntryLink, Subject
from domain.subjects.tags import tag
from settings import ROOT

ONE_IN = 10
_AT_ONCE = 1000
_ALONE = 40  # sign-ups with nothing beside, at least
_REACHED = re.compile(rb" (\d+) of (\d+) due")
Rows = dict[Any, list[dict[str, Any]]]


@dataclass
class Run:
    """A run as it was seen from outside: megabytes at each tenth, and how long it took."""

    tenths: list[float] = field(default_factory=list)
    seconds: float = 0.0


def steps(people: int) -> int:
    """How often `measure` calls `step`."""
    return -(-people // _AT_ONCE) + _ALONE + 10


def measure(backend: str, *, people: int, step: Callable[[], None]) -> dict[str, Any]:
    """Seconds of each sign-up without and with a run beside it, and the run's memory."""
    with serving(backend, durable=True) as site:
        fill(site.database, people, step)
        visitor = Visitor(site.port)
        for _ in range(5):  # nobody is measured cold
            _sign_up(visitor)
        alone = []
        for _ in range(_ALONE):
            alone.append(_sign_up(visitor))
            step()
        with _signing_up(site) as beside:
            run = _run(site, step)
        visitor.close()
    return {
        "people": people,
        "due": people // ONE_IN,
        "alone": alone,
        "beside": beside,
        "longest_alone": max(alone),
        "longest_beside": max(beside),
        "waited": max(beside) - median(alone),
        "seconds": run.seconds,
        "tenths": run.tenths,
        "growth": run.tenths[-1] / run.tenths[0],
    }


def fill(database: Database, people: int, step: Callable[[], None]) -> None:
    """Customers as months of use would leave them, sealed as they are; the subscription of one in
    ten ended so long ago that they are due."""
    at = datetime.now(UTC) - timedelta(days=400)
    due = add_months(datetime.now(UTC).date(), -7)
    for first in range(0, people, _AT_ONCE):
        rows: Rows = {}
        with database.transaction() as session:
            ring = keyring(session)
            for number in range(first, min(first + _AT_ONCE, people)):
                _person(ring, rows, at, due if number % ONE_IN == 0 else None)
            for model, found in rows.items():
                session.execute(insert(table_of(model)), found)
        step()


def _person(ring: Keyring, rows: Rows, at: datetime, ended: date | None) -> None:
    subject, account, secret = uuid4(), uuid4(), secrets.token_bytes(KEY_BYTES)
    key, email = vault.field_key(secret), f"{secrets.token_hex(8)}@kunde.example"
    facts = [("account.opened", {"terms": "2026-11-01", "locale": "nb", "declared_age": 15})]
    facts.append(("subscription.started", {"started_on": at.date().isoformat()}))
    if ended is not None:
        facts.append(("subscription.ended", {"ended_on": ended.isoformat()}))
    _add(
        rows,
        Subject,
        id=subject,
        wrapped_key=ring.seal(secret, b"subject:" + subject.bytes),
        opened_at=at,
        confirmed_at=at,
        declared_age=15,
        linked=len(facts),
    )
    for ordinal, (kind, data) in enumerate(facts, 1):
        one = new_id()
        entry = Entry(id=one, at=at, type=kind, tag=tag(secret, one), data=data)
        _add(rows, LedgerEntry, id=one, bytes=entry.encode(), recorded_at=at)
        _add(rows, EntryLink, entry_id=one, subject_id=subject, ordinal=ordinal)
    _add(
        rows,
        Account,
        id=account,
        subject_id=subject,
        email_lookup=ring.lookup("account.email", email),
        email=vault.seal_field(key, account, "email", email),
        name=vault.seal_field(key, account, "name", "Ingrid Haugland-Testesen"),
        password_hash="none",  # noqa: S106 - opens nothing
        locale="nb",
        terms_accepted="2026-11-01",
        stamp=1,
        opened_at=at,
    )
    _add(
        rows,
        SignedLink,
        id=uuid4(),
        kind="confirm",
        token_hash=secrets.token_bytes(32),
        subject_id=subject,
        stamp=1,
        issued_at=at,
        expires_at=at + timedelta(days=800),  # stays until the person goes
    )
    period = {"started_on": at.date(), "ended_on": ended, "warned_at": at if ended else None}
    _add(rows, Subscription, id=uuid4(), subject_id=subject, **period)


def _add(rows: Rows, model: Any, **values: Any) -> None:
    rows.setdefault(model, []).append(values)


def _sign_up(visitor: Visitor) -> float:
    filled = {**REGISTRATION, "email": f"{secrets.token_hex(8)}@kunde.example"}
    return visitor.timed("/register", filled, 303)


@contextmanager
def _signing_up(site: Site) -> Iterator[list[float]]:
    """Somebody signs up all the time until the block ends; how long each took."""
    times: list[float] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def go_on() -> None:
        visitor = Visitor(site.port)
        try:
            while not stop.is_set():
                times.append(_sign_up(visitor))
        except Exception as error:
            failures.append(error)
        finally:
            visitor.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield times
    finally:
        stop.set()
        thread.join()
    if failures:
        raise SystemExit(f"nobody could sign up: {failures[0]}")


def _run(site: Site, step: Callable[[], None]) -> Run:
    found, began = Run(), time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "retention", "run"],
        cwd=ROOT,
        env={**os.environ, **site.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    said = b""
    for line in process.stderr or ():
        said += line
        if _REACHED.search(line):
            found.tenths.append(resident(process.pid))
            step()
    found.seconds = time.monotonic() - began
    if process.wait() or not found.tenths:
        raise SystemExit(f"flask retention run: {said.decode()[-2000:]}")
    return found
