"""Yesterday's database over today's: who was erased today is erased again before anybody is
served. The steps are those of docs/operations.md, “Backup, restore, recovery”, one by one."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import make_url, select
from structlog.testing import capture_logs

import app as site
from commands import starting
from database import Database
from domain.delivery import outbox
from domain.identity import accounts
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.ledger.notes import SignerKey
from domain.marketing import campaigns
from domain.marketing.campaigns import CampaignState
from domain.rights import holds
from extensions import now
from settings import Settings
from tests.blueprints.visiting import choose, counted
from tests.domain.sendings import TEXTS, progress
from tests.support.absence import Absent, do_without
from tests.support.browser import Browser
from tests.support.mails import Mails
from tests.support.people import Guest, ask, become_customer, register, sign_in
from tests.support.tables import count

pytestmark = pytest.mark.requirement(82)

STAYS = Guest(email="ingrid@kunde.example")
GOES = Guest(email="kari@kunde.example", name="Kari Kanarifugl")
HELD = Guest(email="ola@kunde.example", name="Ola Haldt")
NEW = Guest(email="ny@kunde.example")
Visitor = Callable[..., Browser]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """With the log's key in a file, as an operator has it."""
    path = settings.instance / "log-keys"
    path.write_text("".join(f"{one.encode()}\n" for one in settings.log.signers))
    path.chmod(0o600)
    return replace(settings, log_key_file=path)


def back_up(settings: Settings, folder: Path) -> Path:
    """The database alone: `sqlite3 … .backup`, or `pg_dump -Fc`."""
    url = make_url(settings.owner_url)
    copy = folder / "backup"
    if url.get_backend_name() == "sqlite":
        with (
            closing(sqlite3.connect(url.database or "")) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    else:
        _postgresql("pg_dump", "-Fc", "-f", str(copy), url=settings.owner_url)
    return copy


def restore(settings: Settings, copy: Path) -> None:
    """Over what is there: the file without its -wal and -shm, or `pg_restore --clean`."""
    url = make_url(settings.owner_url)
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        shutil.copyfile(copy, path)
    else:
        _postgresql("pg_restore", "--clean", "--if-exists", str(copy), url=settings.owner_url)


def _postgresql(program: str, *arguments: str, url: str) -> None:
    if shutil.which(program) is None:
        do_without(Absent(f"{program} is not installed"))
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    named = [program, f"--dbname={address}", *arguments]
    done = subprocess.run(named, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@contextmanager
def started(settings: Settings) -> Iterator[Flask]:
    """A process of the site, which reads its keys anew."""
    assert settings.log_key_file
    signers = tuple(map(SignerKey.parse, settings.log_key_file.read_text().split()))
    made = site.create_app(replace(settings, log=replace(settings.log, signers=signers)))
    yield made
    made.extensions["database"].close()


def run(app: Flask, *command: str) -> str:
    """What a command says."""
    result = app.test_cli_runner().invoke(args=list(command))
    assert result.exit_code == 0, result.output
    return result.output


def found(database: Database, guest: Guest) -> UUID | None:
    """The subject that an address leads to."""
    with database.reading() as session:
        account = accounts.find(session, guest.email)
        return account.subject_id if account else None


def causes(database: Database) -> list[str]:
    """Why people were erased, as the ledger has it."""
    with database.reading() as session:
        entries = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    return sorted(one.data["cause"] for one in entries if one.type == "erasure.executed")


def yesterday(app: Flask, visitor: Visitor, mails: Mails) -> None:
    """Three customers, one of them under a hold; mails to another that wait, signed links that
    work, and a message that only has her address in it."""
    for number, guest in enumerate((STAYS, GOES, HELD)):
        become_customer(visitor(address=f"192.0.2.{number + 1}"), mails, guest)
    mails.deliver()
    database: Database = app.extensions["database"]
    who, whose = found(database, GOES), found(database, HELD)
    assert who
    assert whose
    letter = {"to": GOES.email, "name": GOES.name, "locale": "nb"}
    with database.transaction() as session:
        at = now()
        outbox.post(session, "mail.password_changed", letter, at=at, about=who)
        outbox.post(session, "intake.reset", {"email": GOES.email, "locale": "nb"}, at=at)
        review = at.date().replace(year=at.year + 1)
        holds.place(session, whose, "legal_claim", "Krav", ("account",), review, at=at)


def test_nobody_comes_back_from_a_backup(
    app: Flask,
    settings: Settings,
    visitor: Visitor,
    mails: Mails,
    database: Database,
    clock: object,
    tmp_path: Path,
) -> None:
    """They are gone before the first answer, without a mail; what a hold keeps stays; the log
    verifies, and says what happened. No browser is counted, since nobody knows which said no."""
    yesterday(app, visitor, mails)
    stranger = visitor(address="192.0.2.77")
    choose(stranger, "accept")
    assert counted(stranger, database)
    with database.transaction() as session:
        campaign = campaigns.draft(session, TEXTS, at=now())
        campaigns.start(session, campaign, at=now())
    copy = back_up(settings, tmp_path)

    for number, guest in enumerate((GOES, HELD)):
        browser = visitor(address=f"192.0.2.{number + 11}", locale="en")
        page = ask(browser, mails, "erasure", guest)
        browser.press(page, page.path)
    register(visitor(address="192.0.2.9"), NEW)  # lost with the restore
    mails.deliver()
    assert found(database, GOES) is found(database, HELD) is None
    assert causes(database) == ["request", "request"]
    sent = len(mails.to(GOES.email)) + len(mails.to(HELD.email))
    for process in (database, app.extensions["database"]):
        process.close()

    restore(settings, copy)
    with started(settings) as again:
        assert found(again.extensions["database"], GOES), "she is back"
        with pytest.raises(starting.NotReady, match="flask ledger recover"):
            starting.check(again)
        assert found(again.extensions["database"], GOES), "nothing is written before that"
        run(again, "database", "upgrade")
        assert " account" in run(again, "holds", "list")
        assert count(again.extensions["database"], "usage_event")
        run(again, "ledger", "recover", "--yes")
        for table in ("usage_key", "usage_event"):
            assert count(again.extensions["database"], table) == 0
        sending = progress(again.extensions["database"], campaign)
        assert sending.state is CampaignState.CANCELLED, "some may have got it since"

    _starts_again(settings, sent)


def _starts_again(settings: Settings, sent: int) -> None:
    """As `flask serve`, `flask worker` and app:wsgi() do it, and twice."""
    with started(settings) as again, capture_logs() as logged:
        starting.check(again)
        database = again.extensions["database"]
        assert {"event": "erased_again", "people": 2, "log_level": "warning"} in logged
        assert found(database, GOES) is None, "before the first request"
        assert causes(database) == ["restored", "restored"]
        _serves(again, settings)
        later = Mails(
            settings.instance / "mail", again.extensions["worker"], again.extensions["sequencer"]
        )
        later.deliver()
        assert len(later.to(GOES.email)) + len(later.to(HELD.email)) == sent
        _keeps_what_is_held(database)
        run(again, "ledger", "verify")
        starting.check(again)
        assert causes(database) == ["restored", "restored"], "once"
        again.extensions["sequencer"].give_back()


def _serves(app: Flask, settings: Settings) -> None:
    """Who stayed signs in; who left does not."""
    for guest, signed_in in ((STAYS, True), (GOES, False), (HELD, False)):
        browser = Browser(app, settings.base_url, address="192.0.2.50")
        sign_in(browser, guest)
        assert (browser.get("/account").path == "/account") is signed_in


def _keeps_what_is_held(database: Database) -> None:
    """His account is there, and no address leads to it."""
    with database.reading() as session:
        (hold,) = holds.running(session)
        account = accounts.of_subject(session, hold.subject_id)
        assert account
        assert accounts.person(session, account).name == HELD.name
    assert found(database, HELD) is None
