"""`flask campaign`: newsletters, written in files, looked at as mail, sent and followed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy.exc import InterfaceError, OperationalError

import newsletters
from commands import starting
from commands.progress import Progress
from database import Database
from domain.delivery.errors import TransportError
from domain.identity import accounts
from domain.locales import LOCALES
from domain.marketing import campaigns, wording
from domain.marketing.campaigns import CampaignState, Text
from domain.marketing.errors import MarketingError
from domain.marketing.sending import Letter, Sender
from extensions import database, now, reading, transaction

group = AppGroup("campaign", help="Newsletters, to those who say yes.")
newsletter = click.argument("campaign", type=click.UUID)
# With a rate, or a server that takes nothing, so long between two looks.
PAUSE_SECONDS = 0.2
_FAULTS = {
    wording.Fault.IMAGE: "an image, which tells who opened the mail",
    wording.Fault.TRACKING: "a link with something in it that tells who followed it",
    wording.Fault.NOWHERE: "a link that begins neither with https:// nor with /",
}


@group.command("list")
def show_all() -> None:
    """Show every newsletter, newest first."""
    with reading() as session:
        for row in campaigns.listed(session):
            done = campaigns.progress(session, row.id)
            texts = campaigns.texts(session, row.id)
            subject = next((texts[one].subject for one in LOCALES if one in texts), "")
            click.echo(f"{row.id}  {row.state:<9}  {done.done} of {done.recipients}  {subject}")


@group.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def new(files: tuple[Path, ...]) -> None:
    """Make a newsletter of FILES, one for each language: autumn.nb.md, autumn.nn.md, autumn.en.md.

    The first line is the subject, the rest Markdown.
    """
    texts: dict[str, Text] = {}
    for file in files:
        locale = Path(file.stem).suffix.removeprefix(".")
        if locale not in LOCALES or locale in texts:
            raise click.ClickException(
                f"{file.name}: a name ends with its language, .nb.md, .nn.md or .en.md, each once"
            )
        texts[locale] = _read(file)
    with _explained(), transaction() as session:
        made = campaigns.draft(session, texts, at=now())
    click.echo(f"{made}")
    for locale, part in campaigns.missing(texts):
        click.echo(f"missing before it can be sent: {part} ({locale})", err=True)


@group.command()
@newsletter
def show(campaign: UUID) -> None:
    """Show what a newsletter says, what it lacks, and how far it has come."""
    with _explained(), reading() as session:
        row, texts = campaigns.get(session, campaign), campaigns.texts(session, campaign)
        progress = campaigns.progress(session, campaign)
    click.echo(f"{row.state}, made {_time(row.made_at)}, begun {_time(row.started_at)}")
    if row.started_at:
        click.echo(f"{progress.done} of {progress.recipients} done")
        for state, number in progress.counts.items():
            click.echo(f"  {state:<10} {number}")
    for locale, part in campaigns.missing(texts):
        click.echo(f"missing: {part} ({locale})")
    for locale, text in texts.items():
        click.echo(f"\n--- {locale}: {text.subject}\n\n{text.words}")


@group.command()
@newsletter
@click.argument("locale", type=click.Choice([*LOCALES]))
def preview(campaign: UUID, locale: str) -> None:
    """Print a newsletter as the mail that leaves, to look at in a mail program."""
    texts = _texts(campaign)
    if locale not in texts:
        raise click.ClickException(f"it says nothing in this language: {locale}")
    letter = Letter("reader@example.com", "Kari", locale, "x" * 64, "<preview@example.com>", now())
    with _explained():
        content = newsletters.composing(_app())(texts)(letter)[2]
    click.echo(content.decode(), nl=False)


@group.command()
@newsletter
def test(campaign: UUID) -> None:
    """Send a newsletter to one who works here. Asks for the e-mail address of the account."""
    texts = _texts(campaign)
    email = click.prompt("E-mail address", err=True)
    with reading() as session:
        account = accounts.find(session, email)
        if account is None or not account.staff:
            raise click.ClickException("a test goes to those who work here: flask staff grant")
    with _explained():
        number = newsletters.send_test(_app(), texts, account.subject_id, at=now())
    click.echo(f"sent {number}")


@group.command()
@newsletter
@click.option("--yes", is_flag=True, help="Do not ask.")
def send(campaign: UUID, yes: bool) -> None:
    """Send a newsletter, or go on with one that is being sent. Ctrl-C stops this command only:
    a worker goes on, and so does the same command another time."""
    sender: Sender | None = current_app.extensions["sender"]
    if sender is None:
        raise click.ClickException(str(newsletters.NoSender()))
    try:
        with reading() as session:
            starting.check_log(session)
    except starting.NotReady as error:
        raise click.ClickException(str(error)) from error
    with _explained(), reading() as session:
        state = CampaignState(campaigns.get(session, campaign).state)
        number = campaigns.recipients(session, at=now())
    if state is CampaignState.DRAFT:
        if not yes:
            click.confirm(f"Send it to {number} people?", abort=True, err=True)
        with _explained(), transaction() as session:
            campaigns.start(session, campaign, at=now())
    elif state is not CampaignState.SENDING:
        raise click.ClickException(f"it is {state}")
    try:
        with _until_told() as stop, closing(sender):
            _send(sender, database(), campaign, stop)
    except (OperationalError, InterfaceError):
        # Not its text: a database error quotes the row.
        raise click.ClickException(
            "the database is away; nothing is lost and nothing is sent twice: run it again"
        ) from None


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Set by SIGTERM and Ctrl-C: the mail in hand is finished first."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def _send(sender: Sender, site: Database, campaign: UUID, stop: threading.Event) -> None:
    """Send until it is over, or somebody stops it, with a bar that shows how far it has come."""
    progress, drawn = _progress(site, campaign), 0
    bar = Progress(progress.recipients, "mails")
    while True:
        tried = None if stop.is_set() else sender.step(stop.is_set, only=campaign)
        progress = _progress(site, campaign)
        bar.step(progress.done - drawn)
        drawn = progress.done
        if progress.state is not CampaignState.SENDING or stop.is_set():
            break
        if not tried:
            stop.wait(PAUSE_SECONDS)
    counts = ", ".join(f"{number} {state}" for state, number in progress.counts.items() if number)
    click.echo(f"{progress.state}: {counts or 'no mails'}")


@group.command()
@newsletter
def pause(campaign: UUID) -> None:
    """Send no more of a newsletter for now."""
    with _explained(), transaction() as session:
        campaigns.pause(session, campaign, at=now())
    click.echo("paused")


@group.command()
@newsletter
def resume(campaign: UUID) -> None:
    """Let a paused newsletter go on. A worker sends it, or `flask campaign send`."""
    with _explained(), transaction() as session:
        campaigns.resume(session, campaign)
    click.echo("sending")


@group.command()
@newsletter
def cancel(campaign: UUID) -> None:
    """Send no more of a newsletter, ever."""
    with _explained(), transaction() as session:
        campaigns.cancel(session, campaign, at=now())
    click.echo("cancelled")


def _read(file: Path) -> Text:
    try:
        subject, _, words = file.read_text("utf-8-sig").strip().partition("\n")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file.name} is not written in UTF-8") from None
    text = Text(subject.lstrip("# ").strip(), words.strip())
    if len(text.subject) > campaigns.SUBJECT_LENGTH:
        raise click.ClickException(f"{file.name}: its first line is the subject, and too long")
    if found := wording.faults(text.words):
        said = ", ".join(_FAULTS[one] for one in found)
        raise click.ClickException(f"{file.name} has in it {said}")
    return text


def _texts(campaign: UUID) -> dict[str, Text]:
    with _explained(), reading() as session:
        campaigns.get(session, campaign)
        return campaigns.texts(session, campaign)


def _progress(site: Database, campaign: UUID) -> campaigns.Progress:
    with site.reading() as session:
        return campaigns.progress(session, campaign)


@contextmanager
def _explained() -> Iterator[None]:
    """What can be told of what went wrong."""
    try:
        yield
    except (MarketingError, newsletters.NoSender) as error:
        raise click.ClickException(str(error)) from error
    except TransportError as error:
        raise click.ClickException(f"the mail server did not take it: {error.failure}") from error


def _app() -> Flask:
    app: Any = current_app
    made: Flask = app._get_current_object()
    return made


def _time(at: datetime | None) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}" if at else "–"
