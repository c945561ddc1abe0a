"""An operator who runs `flask vault` on a database with people in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

from click.testing import Result
from flask import Flask
from sqlalchemy import select

from commands import vault
from database import Database
from domain import epochs
from domain.accounting import records
from domain.accounting.invoices import Invoice
from domain.delivery import outbox
from domain.keys import Keyring, epoch_of
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.rights import vault_rotation
from domain.subjects import service
from domain.subjects.models import Subject
from settings import Settings
from tests.support import NOON

HOURS = timedelta(hours=2)
PAYLOAD = {"to": "kari@kunde.example", "name": "access_done"}
INVOICE = Invoice("2026-1", date(2026, 11, 22), "NOK", 124_900, 24_980, "Abonnement", "Kari")


class Operator:
    """Runs commands, each as a process of its own, on a database with people in it."""

    def __init__(self, settings: Settings, database: Database):
        self.settings = settings
        self.database = database
        self.keys: dict[UUID, bytes] = {}

    @property
    def path(self) -> Path:
        assert self.settings.vault_key_file is not None
        return self.settings.vault_key_file

    def use(self, ring: Keyring) -> None:
        """The keyring of every process from now on."""
        self.settings = replace(self.settings, keys=ring)
        for one in (self.database, self.database.info["accounting"]):
            one.info["keyring"] = ring

    def run(self, *arguments: str, database: Database | None = None) -> Result:
        """Run `flask vault …`."""
        app = Flask("bare")
        app.extensions["settings"] = self.settings
        app.extensions["database"] = database or self.database
        app.cli.add_command(vault.group)
        result = app.test_cli_runner().invoke(args=["vault", *arguments])
        assert isinstance(result.exception, SystemExit | None), result.exception
        return result

    def sign_up(self, count: int = 1) -> None:
        """New people, with a message and an invoice each."""
        for _ in range(count):
            with self.database.transaction() as session:
                subject = service.open_subject(session, at=NOON)
                self.keys[subject.id] = service.subject_key(session, subject)
                outbox.post(session, "mail.access_done", PAYLOAD, at=NOON, about=subject.id)
            with self.database.info["accounting"].transaction() as session:
                invoice = replace(INVOICE, number=subject.id.hex)
                records.add(session, subject.id, invoice, at=NOON)

    def opens(self) -> set[int]:
        """Read everything, and compare; the epochs that all of it needs."""
        ring, books = self.settings.keys, self.database.info["accounting"]
        with self.database.reading() as session:
            found = dict(session.execute(select(Subject.id, Subject.wrapped_key)).all())
            assert {
                one: service.unwrap(session, one, key) for one, key in found.items()
            } == self.keys
            needed = {epoch_of(key) for key in found.values()}
            for row in outbox.messages(session):
                assert row.payload is not None
                assert outbox.opened(ring, row.id, row.payload) == PAYLOAD
                needed.add(epoch_of(row.payload))
        for one in self.keys:
            assert records.of(books, ring, one)[0]["buyer_name"] == "Kari"
        with books.reading() as session:
            return needed | set(vault_rotation.BOOKS.counts(session))

    def said(self, type: str) -> list[int]:
        """The epochs that the ledger says this of."""
        with self.database.reading() as session:
            found = map(decode, session.scalars(select(LedgerEntry.bytes)))
            return sorted(one.data["epoch"] for one in found if one.type == type)

    def epochs(self) -> list[int]:
        """Those in the file."""
        return [one.number for one in epochs.read(self.path)]
