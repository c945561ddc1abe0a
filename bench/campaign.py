"""A newsletter through a real SMTP server on this machine, against a bare loop that gives the same
server mails of the same bytes.

Both keep one connection open, and each runs in a process of its own, in turns; the server is
another. The sender asks before each mail whether it is permitted, and commits what becomes of it:
that is what it is slower by. `click` is how long after the start the first mail has left.
"""

from __future__ import annotations

import json
import os
import secrets
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import insert, select

from bench.apart import resident
from bench.beside import served
from bench.site import Site, serving
from database import Database, table_of
from domain.consent.models import CurrentDecision
from domain.consent.permission import Permission, permitted
from domain.identity import vault
from domain.identity.models import Account
from domain.keys import KEY_BYTES, keyring
from domain.ledger.entry import Entry, new_id
from domain.ledger.models import LedgerEntry
from domain.locales import LOCALES
from domain.marketing import campaigns
from domain.marketing.campaigns import PURPOSE, Text
from domain.marketing.models import Campaign
from domain.subjects.models import EntryLink, Subject
from domain.subjects.tags import tag
from settings import ROOT

_AT_ONCE = 1000
# Mails that the bare loop gives again and again: as many as fit in memory without a thought.
_SAMPLE = 500
_WORDS = "\n\n".join(
    [
        "# Nye tips",
        *[f"Les om {n} ting som gjør **hverdagen** lettere, på /tips." for n in range(12)],
    ]
)


def steps(people: int) -> int:
    """How often `measure` calls `step`."""
    return -(-people // _AT_ONCE) + 3


def measure(backend: str, *, people: int, step: Callable[[], None]) -> dict[str, Any]:
    """Mails a second of both, the gate's share of the sender's time, memory, and the click."""
    with serving(backend, durable=True) as site, served("bench.mailbox", {}) as port:
        fill(site.database, people, step)
        environment = {
            **site.environment,
            "MAIL_URL": f"smtp://127.0.0.1:{port}?tls=none",
            "MARKETING_FROM": "Lillemini tips <tips@nytt.lillemini.example>",
        }
        # In turns, since the machine is not the same at every moment.
        before = _apart(environment, "bare", str(people // 2))
        step()
        ours = _apart(environment, "send")
        step()
        after = _apart(environment, "bare", str(people - people // 2))
        step()
        sent = _counted(site)
    if sent != people:
        raise SystemExit(f"{sent} mails were sent to {people} people")
    bare = people / (before["seconds"] + after["seconds"])
    tenths = ours["tenths"]
    return {
        "people": people,
        "rate": people / ours["seconds"],
        "bare_rate": bare,
        "rate_ratio": people / ours["seconds"] / bare,
        "gate_share": ours["gate"] / ours["seconds"],
        "click": ours["click"],
        "tenths": tenths,
        "growth": tenths[-1] / tenths[0],
    }


def fill(database: Database, people: int, step: Callable[[], None]) -> None:
    """People with a yes to newsletters, and one that is to be sent to them."""
    at = datetime.now(UTC) - timedelta(days=30)
    for first in range(0, people, _AT_ONCE):
        rows: dict[Any, list[dict[str, Any]]] = {}
        with database.transaction() as session:
            for _ in range(first, min(first + _AT_ONCE, people)):
                _person(keyring(session), rows, at)
            for model, found in rows.items():
                session.execute(insert(table_of(model)), found)
        step()
    with database.transaction() as session:
        texts = dict.fromkeys(LOCALES, Text("Nye tips for familien", _WORDS))
        campaigns.draft(session, texts, at=datetime.now(UTC))


def _person(ring: Any, rows: dict[Any, list[dict[str, Any]]], at: datetime) -> None:
    subject, account, secret = uuid4(), uuid4(), secrets.token_bytes(KEY_BYTES)
    key, email, one = vault.field_key(secret), f"{secrets.token_hex(8)}@kunde.example", new_id()
    facts = {"terms": "2026-11-01", "locale": "nb", "declared_age": 15}
    entry = Entry(id=one, at=at, type="account.opened", tag=tag(secret, one), data=facts)
    lasting = {"opened_at": at, "confirmed_at": at, "declared_age": 15, "linked": 1}
    sealed = ring.seal(secret, b"subject:" + subject.bytes)
    for model, values in (
        (Subject, {"id": subject, "wrapped_key": sealed, **lasting}),
        (LedgerEntry, {"id": one, "bytes": entry.encode(), "recorded_at": at}),
        (EntryLink, {"entry_id": one, "subject_id": subject, "ordinal": 1}),
        (
            Account,
            {"id": account, "subject_id": subject, **_account(ring, key, account, email, at)},
        ),
        (CurrentDecision, {"subject_id": subject, "entry_id": one, **_yes(at)}),
    ):
        rows.setdefault(model, []).append(values)


def _account(ring: Any, key: bytes, account: UUID, email: str, at: datetime) -> dict[str, Any]:
    return {
        "email_lookup": ring.lookup("account.email", email),
        "email": vault.seal_field(key, account, "email", email),
        "name": vault.seal_field(key, account, "name", "Ingrid Haugland-Testesen"),
        "password_hash": "none",  # opens nothing
        "locale": "nb",
        "terms_accepted": "2026-11-01",
        "stamp": 1,
        "opened_at": at,
        "staff": False,
    }


def _yes(at: datetime) -> dict[str, Any]:
    lasting = {"at": at, "expires_at": at + timedelta(days=700)}
    return {"purpose_id": PURPOSE, "state": "given", "purpose_version": 1, **lasting}


def _counted(site: Site) -> int:
    with site.database.reading() as session:
        campaign = session.scalars(select(Campaign.id)).one()
        return campaigns.progress(session, campaign).counts["sent"]


def _apart(environment: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.campaign", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{arguments[0]}: {done.stderr.decode()[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class _Watching:
    """The connections of a sender: when the first mail had left, and memory at each tenth."""

    def __init__(self, post: Any, people: int):
        self._post, self._each = post, max(1, people // 10)
        self.first, self.sent, self.tenths = 0.0, 0, list[float]()

    def connect(self) -> Any:
        connection = self._post.connect()
        end = connection.end

        def ended() -> None:
            end()
            self.first = self.first or time.perf_counter()
            self.sent += 1
            if self.sent % self._each == 0:
                self.tenths.append(resident(os.getpid()))

        connection.end = ended
        return connection


def _send() -> dict[str, Any]:
    """Start the newsletter, and send it as the worker does."""
    from app import create_app
    from domain.delivery.transports import transport
    from domain.marketing.sending import Sender
    from extensions import now
    from newsletters import composing

    app = create_app()
    database, settings = app.extensions["database"], app.extensions["settings"]
    with database.reading() as session:
        campaign = session.scalars(select(Campaign.id)).one()
        people = campaigns.recipients(session, at=now())
    post, asked = _Watching(transport(settings.mail_url), people), 0.0

    def ask(subject_id: UUID, at: datetime) -> Permission:
        nonlocal asked
        began = time.perf_counter()
        answer = permitted(database, subject_id, PURPOSE, at=at)
        asked += time.perf_counter() - began
        return answer

    sender = Sender(database, post, composing(app), now, ask=ask)
    sender.run_once()
    began = time.perf_counter()
    with database.transaction() as session:
        campaigns.start(session, campaign, at=now())
    sender.run_once()
    seconds = time.perf_counter() - began
    sender.close()
    return {
        "seconds": seconds,
        "gate": asked,
        "click": post.first - began,
        "tenths": post.tenths,
    }


def _bare(mails: int) -> dict[str, Any]:
    """Give the server so many mails, one after the other: nothing is asked and nothing noted."""
    from app import create_app
    from domain.marketing.sending import Letter
    from extensions import now
    from newsletters import composing

    app = create_app()
    with app.extensions["database"].reading() as session:
        campaign = session.scalars(select(Campaign.id)).one()
        make = composing(app)(campaigns.texts(session, campaign))
    sample = []
    for number in range(min(_SAMPLE, mails)):
        to, own = f"{number:016x}@kunde.example", f"<{uuid4().hex}@lillemini.example>"
        name, token = "Ingrid Haugland-Testesen", secrets.token_urlsafe(48)
        sample.append(make(Letter(to, name, "nb", token, own, now())))
    port = int(app.extensions["settings"].mail_url.rpartition(":")[2].partition("?")[0])
    server = smtplib.SMTP("127.0.0.1", port)
    began = time.perf_counter()
    for number in range(mails):
        server.sendmail(*sample[number % len(sample)])
    seconds = time.perf_counter() - began
    server.quit()
    return {"seconds": seconds, "bytes": median(len(mail) for *_, mail in sample)}


if __name__ == "__main__":
    found = _send() if sys.argv[1] == "send" else _bare(int(sys.argv[2]))
    print(json.dumps(found))
