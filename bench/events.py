"""What counting costs: a tip's page for a visitor who is asked, who said no, and who is counted;
and an event recorded in process against one bare durable insert.

The same page each time, on the same server, the three kinds of visitors in turns. Who is counted
leaves a new event with each page: nobody reads a tip twice.
"""

from __future__ import annotations

import argparse
import gzip
import json
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from statistics import median
from typing import Any
from uuid import uuid4

from sqlalchemy import insert

from bench import bare
from bench.load import Load, Sent, clients
from bench.site import BACKENDS, Site, serving
from commands.progress import Progress
from domain.analytics import recording, usage
from domain.analytics.usage import Kind
from domain.consent.decisions import DecisionState
from domain.consent.purposes import purposes
from domain.consent.visitors import Answer, Choice
from domain.dates import months_later
from domain.tips import library

CLIENTS = 4
KINDS = ASKED, REFUSED, COUNTED = ("asked", "refused", "counted")


def measure(
    backend: str, *, rounds: int = 5, requests: int = 600, step: Callable[[], None]
) -> dict[str, Any]:
    """The rates and times of each kind, the page's bytes, and microseconds of an event in process.
    `requests` is for each kind in each round."""
    with serving(backend, durable=True) as site, clients() as senders:
        slugs = [tip.slug for tip in library.load(site.settings.content).tips if not tip.tool]
        loads: dict[str, list[Load]] = {kind: [] for kind in KINDS}
        for number in range(rounds + 1):
            for kind in KINDS if number % 2 else KINDS[::-1]:
                load = senders.send(site.port, _queues(site, slugs, kind, requests))
                if number:  # the first is cold
                    loads[kind].append(load)
            step()
        inside = _inside(site, rounds, requests)
        step()
        size = {kind: _bytes(site, f"/tips/{slugs[0]}", kind) for kind in (ASKED, REFUSED)}
    return {
        **{kind: _summary(loads[kind]) for kind in KINDS},
        "asked_ratio": _ratio(loads[ASKED], loads[REFUSED]),
        "counted_ratio": _ratio(loads[COUNTED], loads[REFUSED]),
        "section_bytes": size[ASKED] - size[REFUSED],
        **inside,
    }


def steps(rounds: int) -> int:
    """How often `measure` calls its step."""
    return rounds + 2


def _queues(site: Site, slugs: Sequence[str], kind: str, requests: int) -> list[list[Sent]]:
    """For each client its pages; of visitors who are counted each reads every tip once."""
    each = requests // CLIENTS
    if kind != COUNTED:
        cookie = _cookie(site, kind)
        return [
            [Sent("GET", f"/tips/{slugs[n % len(slugs)]}", 200, cookie=cookie) for n in range(each)]
            for _ in range(CLIENTS)
        ]
    queues = []
    for _ in range(CLIENTS):
        marks = [secrets.token_urlsafe(24) for _ in range(-(-each // len(slugs)))]
        _begin(site, marks)
        sent = [
            Sent("GET", f"/tips/{slug}", 200, cookie=_cookie(site, kind, mark))
            for mark in marks
            for slug in slugs
        ]
        queues.append(sent[:each])
    return queues


def _begin(site: Site, marks: Sequence[str]) -> None:
    at = datetime.now(UTC)
    until = months_later(at, 12)
    with site.database.transaction() as session:
        for mark in marks:
            usage.begin(session, browser=mark, despite_signal=False, expires_at=until, at=at)


def _cookie(site: Site, kind: str, mark: str = "") -> str:
    """What the browser of such a visitor brings."""
    if kind == ASKED:
        return ""
    at = datetime.now(UTC)
    until = months_later(at, 12)
    with site.database.reading() as session:
        version = purposes(session, at).consent_purpose(usage.PURPOSE).version
    state, ends = (DecisionState.GIVEN, until) if mark else (DecisionState.REFUSED, None)
    answer = Answer(state, version, "0" * 32, at, ends)
    choice = Choice({usage.PURPOSE: answer}, "0" * 64, at, until)
    sealed = f"choice={choice.seal(site.settings.keys)}"
    return f"{sealed}; counting={mark}" if mark else sealed


def _inside(site: Site, rounds: int, tries: int) -> dict[str, Any]:
    """Seconds of an event, and of a row inserted by itself, one after the other."""
    at = datetime.now(UTC)
    bare.prepare(site.settings.owner_url, site.database.engine.url.username, [])
    writer = bare.engine(site.settings.database_url)
    events, inserts = [], []
    _begin(site, ["mark"])
    for number in range(rounds + 1):
        items = [f"tip-{number}-{one}" for one in range(tries)]
        began = time.perf_counter()
        for item in items:
            recording.record(
                site.database, item, Kind.READ, "nb", browser="mark", signal=False, at=at
            )
        amid = time.perf_counter()
        for _ in items:
            with writer.begin() as connection:
                connection.execute(insert(bare.BARE), {"id": uuid4(), "bytes": bare.PAYLOAD})
        ended = time.perf_counter()
        if number:
            events.append((amid - began) / tries)
            inserts.append((ended - amid) / tries)
    writer.dispose()
    ratio = median(one / other for one, other in zip(events, inserts, strict=True))
    return {"event": events, "insert": inserts, "event_ratio": ratio}


def _bytes(site: Site, path: str, kind: str) -> int:
    """How large the page is on its way."""
    connection = HTTPConnection("127.0.0.1", site.port, timeout=60)
    headers = {"Accept-Language": "nb", "Accept-Encoding": "gzip", "Cookie": _cookie(site, kind)}
    connection.request("GET", path, headers=headers)
    body = connection.getresponse().read()
    connection.close()
    gzip.decompress(body)
    return len(body)


def _summary(loads: Sequence[Load]) -> dict[str, Any]:
    return {
        "rate": [load.rate for load in loads],
        "p50": [load.percentile(0.5) for load in loads],
        "p99": [load.percentile(0.99) for load in loads],
    }


def _ratio(one: Sequence[Load], other: Sequence[Load]) -> float:
    """How much longer the middle answer takes."""
    pairs = zip(one, other, strict=True)
    return median(mine.percentile(0.5) / theirs.percentile(0.5) for mine, theirs in pairs)


def main() -> None:
    """Measure alone: `python -m bench.events`."""
    parser = argparse.ArgumentParser(prog="python -m bench.events", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=600, help="for each kind in a round")
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    chosen = parser.parse_args()
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    progress = Progress(len(backends) * steps(chosen.rounds), "rounds")
    found = {
        one: measure(one, rounds=chosen.rounds, requests=chosen.requests, step=progress.step)
        for one in backends
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
