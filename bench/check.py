"""`permitted` against one bare indexed select: in the same process, and over HTTP.

`python -m bench.check <port>` serves the site with one view more, which answers by `permitted`.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from statistics import median
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from sqlalchemy import make_url
from waitress.server import create_server

import extensions
from app import create_app
from bench import bare
from bench.beside import served
from bench.crowd import open_customers
from bench.load import Clients, Load, Sent, clients
from bench.site import BACKENDS, Site, serving
from commands.progress import Progress
from commands.serve import _THREADS as THREADS
from domain.consent.permission import permitted

PURPOSE = "marketing"
CLIENTS = (4, 16)


def measure(
    backend: str,
    *,
    rounds: int = 5,
    requests: int = 1000,
    people: int = 500,
    step: Callable[[], None],
) -> dict[str, Any]:
    """The microseconds of both in each round, their rates over HTTP, and the ratios. `requests`
    is for each side of a round, in process and over HTTP."""
    with serving(backend) as site, clients() as senders:
        url = site.settings.database_url
        ids = [uuid4() for _ in range(people)]
        bare.prepare(site.settings.owner_url, make_url(url).username, ids)
        with site.database.transaction() as session:
            who = [account.subject_id for account in open_customers(session, people)]
        inside = _inside(site, who, ids, rounds, requests, step)
        with (
            served("bench.bare", {"DATABASE_URL": url}) as bare_port,
            served("bench.check", site.environment) as port,
        ):
            loads: dict[int, list[tuple[Load, Load]]] = {count: [] for count in CLIENTS}
            _round(senders, port, bare_port, who, ids, CLIENTS[0], 200)  # neither is measured cold
            for _ in range(rounds):
                for count in CLIENTS:
                    loads[count].append(_round(senders, port, bare_port, who, ids, count, requests))
                    step()
    return {"in_process": inside, "http": {str(one): _summary(loads[one]) for one in CLIENTS}}


def _inside(
    site: Site,
    who: list[UUID],
    ids: list[UUID],
    rounds: int,
    tries: int,
    step: Callable[[], None],
) -> dict[str, Any]:
    """Seconds of a check and of a select, one after the other, neither with a transaction of its
    own: the check asks the database itself, the select a session that is open."""
    at = datetime.now(UTC)
    checks, selects = [], []
    with site.database.reading() as session:
        for number in range(rounds + 1):
            began = time.perf_counter()
            for subject_id in random.choices(who, k=tries):
                permitted(site.database, subject_id, PURPOSE, at=at)
            amid = time.perf_counter()
            for one in random.choices(ids, k=tries):
                session.execute(bare.ONE, {"id": one}).first()
            ended = time.perf_counter()
            if number:  # the first is cold
                checks.append((amid - began) / tries)
                selects.append((ended - amid) / tries)
                step()
    ratio = median(one / other for one, other in zip(checks, selects, strict=True))
    return {"check": checks, "select": selects, "ratio": ratio}


def _round(
    senders: Clients,
    port: int,
    bare_port: int,
    who: list[UUID],
    ids: list[UUID],
    count: int,
    requests: int,
) -> tuple[Load, Load]:
    def queues(path: str, keys: list[UUID]) -> list[list[Sent]]:
        each = requests // count
        return [
            [Sent("GET", path + str(one), 200) for one in random.choices(keys, k=each)]
            for _ in range(count)
        ]

    one = senders.send(port, queues("/bench/permitted/", who))
    return one, senders.send(bare_port, queues("/select/", ids))


def _summary(loads: list[tuple[Load, Load]]) -> dict[str, Any]:
    rate, bare_rate = ([load[side].rate for load in loads] for side in (0, 1))
    ratio = median(one / other for one, other in zip(rate, bare_rate, strict=True))
    return {"rate": rate, "bare_rate": bare_rate, "rate_ratio": ratio}


def with_check(app: Flask) -> Flask:
    """The site with one view more. It is asked by programs, so it has no session."""

    @app.get("/bench/permitted/<uuid:subject_id>")
    def check(subject_id: UUID) -> str:
        asked = permitted(extensions.database(), subject_id, PURPOSE, at=extensions.now())
        return str(asked)

    return app


def serve(port: int) -> None:
    """Serve until the process is ended."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app = with_check(create_app())
    create_server(app, host="127.0.0.1", port=port, threads=THREADS, ident=None).run()


def main() -> None:
    """Measure alone: `python -m bench.check`."""
    if len(sys.argv) == 2 and sys.argv[1].isdecimal():
        serve(int(sys.argv[1]))
        return
    parser = argparse.ArgumentParser(prog="python -m bench.check", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=1000, help="for each side of a round")
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    chosen = parser.parse_args()
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    progress = Progress(len(backends) * chosen.rounds * (1 + len(CLIENTS)), "rounds")
    found = {
        one: measure(one, rounds=chosen.rounds, requests=chosen.requests, step=progress.step)
        for one in backends
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
