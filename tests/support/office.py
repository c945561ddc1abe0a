"""Whoever writes the site's letters in tests: an application with templates and languages only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from flask import Flask
from flask_babel import Babel

import extensions
import letters
import settings as site_settings
from database import Database
from domain.consent.operator import Operator
from domain.keys import Keyring
from domain.ledger.log import Log
from domain.rights import telling

BASE = "https://samtykke.example"
# The links that do something, by the page that they lead to; and those that only show a case.
KINDS = ("access", "portability", "rectification", "erasure", "restriction", "objection")
WITH_LINK = ("confirm", "new_address", "check_address", "reset", *KINDS)
FOLLOWING = tuple(kind.removeprefix("mail.") for kind in telling.FOLLOWING)
# Those that do something and say themselves for how long.
OWN_TERMS = ("erasure_waiting", "export_ready", "imported")
WITH_RECEIPTS = (
    *("confirm", "choices", *KINDS, *FOLLOWING),
    *("request_received", "access_done", "restriction_placed", "objection_done", "erasure_done"),
    *("erasure_waiting", "subscription_ended", "account_ended"),
    *("restriction_ending", "restriction_lifted", "request_closed"),
)

# Whatever a payload may have.
FILLED = {
    "to": "kari@example.no",
    "name": "Kari Nordmann",
    "token": "t0ken.signed-Here",
    "reference": "R7-4F2K",
    "due_on": "2026-12-22",
    "kind": "access",
    "until": "2026-12-24T12:00:00+00:00",
    "review_on": "2027-05-01",
    "ended_on": "2026-11-22",
    "hold": "0d0d0d0d",
    "asked": [
        {"name": "Newsletter", "until": "2026-12-22", "changed": False},
        {"name": "Counting", "until": "2027-12-22", "changed": True},
    ],
    "notice": "privacy",
    "effective_on": "2026-11-24",
    "new": ["Analytics 2.", "Marketing 1."],
    "hours": 24,
    "days": 7,
}


@dataclass
class Office:
    """Writes letters with an application that has nothing but templates and languages."""

    app: Flask
    at: datetime
    entries: list[str]

    def write(self, name: str, locale: str = "en", /, **payload: Any) -> EmailMessage:
        """The letter of that name, with whatever a payload may have."""
        filled = {
            **FILLED,
            "locale": locale,
            "entries": self.entries if name in WITH_RECEIPTS else [],
            **payload,
        }
        return letters.render(self.app, f"mail.{name}", filled, "<1@lillemini.example>", self.at)


def application(
    operator: Operator, keys: Keyring, log: Log, ledger: Database, *, trimmed: bool
) -> Flask:
    """What letters are rendered with."""
    app = Flask("letters", root_path=str(site_settings.ROOT))
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = trimmed
    Babel(app, default_locale="nb")
    app.jinja_env.filters.update(day=extensions.day, clock=extensions.clock)
    settings = site_settings.Settings(
        environment="production",
        base_url=BASE,
        database_url="sqlite://",
        owner_url="sqlite://",
        mail_url="folder:/nowhere",
        mail_from="Lillemini <hei@lillemini.example>",
        keys=keys,
        log=log,
        instance=Path("/nowhere"),
        link_lifetime=timedelta(minutes=45),
    )
    app.extensions.update(settings=settings, operator=operator, database=ledger)
    return app


def part(mail: EmailMessage, kind: str) -> str:
    """A letter's words: `plain` or `html`."""
    body = mail.get_body((kind,))
    assert body is not None
    return str(body.get_content())
