"""Consent capture over HTTP against a bare durable insert: requests a second, and the slowest.

The whole POST of the preferences page (session, sign-in, CSRF, what was shown, entry, link,
queue, projection, receipt to come) against a view of Flask and SQLAlchemy that inserts one row,
on the same server and the same database. A round sends to both in turn; medians over rounds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from statistics import median
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import flask
from flask import Flask
from flask_wtf.csrf import generate_csrf
from sqlalchemy import make_url

import extensions
from app import create_app
from bench import bare
from bench.beside import served
from bench.crowd import open_customers
from bench.load import Clients, Load, Sent, clients
from bench.site import BACKENDS, Site, serving
from commands.progress import Progress
from domain.consent import presentations
from domain.identity.models import Account
from domain.rights.choosing import MOST
from domain.subjects import service as subjects

CLIENTS = (1, 4, 16)
_PEOPLE = 128  # at least: a client's take turns, nobody decides twice at a time
_EACH = MOST * 2 // 3  # entries about one person that a run may leave (domain/rights/choosing.py)
_WARM = 400


@dataclass
class Customer:
    """Somebody signed in, and how many entries there are about them."""

    subject_id: UUID
    cookie: str
    csrf: str
    linked: int
    yes: bool = True  # to the newsletter: they said so when they signed up


def measure(
    backend: str, *, rounds: int = 5, requests: int = 600, step: Callable[[], None]
) -> dict[str, Any]:
    """Rates and 99th percentiles of each round by number of clients, and the ratios of their
    medians. `requests` is for each of the two in each round."""
    with serving(backend, durable=True) as site, clients() as senders:
        settings = site.settings
        role = make_url(settings.database_url).username
        bare.prepare(settings.owner_url, role, [])
        decided = _WARM + rounds * requests * len(CLIENTS)
        people = _sign_in(site, max(_PEOPLE, decided // _EACH))
        with served("bench.bare", {"DATABASE_URL": settings.database_url}) as bare_port:
            found: dict[str, Any] = {}
            _round(site, senders, bare_port, people, 4, _WARM)  # nobody is measured cold
            loads: dict[int, list[tuple[Load, Load]]] = {count: [] for count in CLIENTS}
            for number in range(rounds):
                for count in CLIENTS if number % 2 else CLIENTS[::-1]:
                    loads[count].append(_round(site, senders, bare_port, people, count, requests))
                    step()
    for count in CLIENTS:
        found[str(count)] = _summary(loads[count])
    return found


def _round(
    site: Site, senders: Clients, bare_port: int, people: list[Customer], count: int, requests: int
) -> tuple[Load, Load]:
    """One load of each: the capture's and the bare insert's."""
    each = requests // count
    insert = [[Sent("POST", "/insert", 201, b"")] * each for _ in range(count)]
    decide = list(_queues(site, people, count, each))
    one = senders.send(bare_port, insert)
    other = senders.send(site.port, decide)
    return other, one


def _queues(site: Site, people: list[Customer], count: int, each: int) -> Iterator[list[Sent]]:
    """For each client its own people, who change their mind in turn."""
    at = datetime.now(UTC)
    with site.database.reading() as session:
        document = presentations.current(session, "preferences", "nb", at=at)
        for number in range(count):
            own = people[number::count]
            queue = []
            for one in islice(cycle(own), each):
                token = presentations.token(session, document, at=at, seen=one.linked)
                one.yes = not one.yes
                one.linked += 1
                ticked = {"consent-marketing": "y"} if one.yes else {}
                filled = {"csrf_token": one.csrf, "presentation": token, **ticked}
                body = urlencode(filled).encode()
                queue.append(Sent("POST", "/preferences", 303, body, one.cookie))
            yield queue


def _sign_in(site: Site, count: int) -> list[Customer]:
    """People with an account, each with a session as signing in makes it."""
    signer = create_app(site.settings)
    try:
        with site.database.transaction() as session:
            return [
                _customer(signer, account, subjects.get(session, account.subject_id).linked)
                for account in open_customers(session, count)
            ]
    finally:
        signer.extensions["database"].close()


def _customer(signer: Flask, account: Account, linked: int) -> Customer:
    with signer.test_request_context("/"):
        extensions.sign_in(account)
        csrf = generate_csrf()
        serializer = signer.session_interface.get_signing_serializer(signer)  # type: ignore[attr-defined]
        name = signer.config["SESSION_COOKIE_NAME"]
        cookie = f"{name}={serializer.dumps(dict(flask.session))}"
    return Customer(account.subject_id, cookie, csrf, linked)


def _summary(loads: list[tuple[Load, Load]]) -> dict[str, Any]:
    rate, bare_rate = ([load[side].rate for load in loads] for side in (0, 1))
    slow, bare_slow = ([load[side].percentile(0.99) for load in loads] for side in (0, 1))
    return {
        "rate": rate,
        "bare_rate": bare_rate,
        "p99": slow,
        "bare_p99": bare_slow,
        "rate_ratio": median(one / other for one, other in zip(rate, bare_rate, strict=True)),
        "p99_ratio": median(slow) / median(bare_slow),
        "p99_median": median(slow),
        "rate_median": median(rate),
    }


def main() -> None:
    """Measure alone: `python -m bench.capture`."""
    parser = argparse.ArgumentParser(prog="python -m bench.capture", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=600, help="for each side of a round")
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    chosen = parser.parse_args()
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    progress = Progress(len(backends) * chosen.rounds * len(CLIENTS), "rounds")
    found = {
        backend: measure(
            backend, rounds=chosen.rounds, requests=chosen.requests, step=progress.step
        )
        for backend in backends
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
