"""`flask holds`: legal holds, placed and ended by whoever answers for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from uuid import UUID

import click
import structlog
from flask.cli import AppGroup
from sqlalchemy.orm import Session

import extensions
from domain.identity import accounts, correspondents
from domain.rights import holds, requests
from domain.rights.errors import RightsError, UnknownHold
from domain.rights.models import LegalHold
from domain.subjects.errors import UnknownSubject
from extensions import now, reading, transaction

group = AppGroup("holds", help="Data that must not be erased yet: legal claims and duties.")
log = structlog.get_logger()

_Day = click.DateTime(["%Y-%m-%d"])


@group.command()
@click.option(
    "--ground",
    required=True,
    type=click.Choice([one.value for one in holds.Ground]),
    help="GDPR 17(3).",
)
@click.option(
    "--holding",
    "holdings",
    required=True,
    multiple=True,
    type=click.Choice(holds.HOLDABLE),
    help="What is held; again for each.",
)
@click.option("--review-on", required=True, type=_Day, help="When it ends, unless extended.")
@click.option(
    "--reference", help="A request of the person; else their e-mail address is asked for."
)
def place(
    ground: str, holdings: tuple[str, ...], review_on: datetime, reference: str | None
) -> None:
    """Keep data of one person from being erased until a day.

    The e-mail address and the reason are asked for, or read from standard input, a line each: what
    stands in a command is seen by others and stays in the shell's history. The person finds the
    reason in their copy, so write it for them; what would harm the claim belongs in the lawyer's
    file.
    """
    email = None if reference else click.prompt("E-mail address", err=True)
    reason = click.prompt("Reason, as the person may read it", err=True)
    with _explained(), transaction() as session:
        subject_id = _person(session, reference, email)
        day = review_on.date()
        hold = holds.place(session, subject_id, ground, reason, holdings, day, at=now())
    click.echo(f"{hold.id} holds {', '.join(hold.holdings.split())} until {hold.review_on}.")


@group.command("list")
def show() -> None:
    """Show the holds that run, the next to be looked at first. Nothing says whose they are."""
    with reading() as session:
        for hold in holds.running(session):
            click.echo(
                f"{hold.id}  {hold.ground:<11}  placed {hold.placed_at:%Y-%m-%d}"
                f"  until {hold.review_on}  {hold.holdings}"
            )


@group.command()
@click.argument("hold", type=click.UUID)
@click.option("--review-on", required=True, type=_Day, help="When it ends, unless extended again.")
def extend(hold: UUID, review_on: datetime) -> None:
    """Keep a hold for longer, after looking whether it is still needed."""
    day: date = review_on.date()
    with _explained(), transaction() as session:
        holds.extend(session, _taken(session, hold), day, at=now())
    click.echo(f"{hold} holds until {day}.")


@group.command()
@click.argument("hold", type=click.UUID)
def release(hold: UUID) -> None:
    """End a hold. If the person asked for erasure, what it kept back is erased now."""
    with _explained(), transaction() as session:
        holds.release(session, _taken(session, hold), at=now())
    if not extensions.database().scrub():
        log.warning("scrub_gave_up")  # the worker tries again
    click.echo(f"{hold} has ended.")


def _taken(session: Session, hold: UUID) -> LegalHold:
    found = holds.take(session, hold)
    if found is None:
        raise UnknownHold(hold)
    return found


def _person(session: Session, reference: str | None, email: str | None) -> UUID:
    """Whom it is about. The messages repeat no address: they may end in a log."""
    if reference is not None:
        request = requests.by_reference(session, reference)
        if request is None or request.subject_id is None:
            raise click.ClickException("no request of that reference is about anybody here")
        return request.subject_id
    account = accounts.find(session, email or "")
    found = account.subject_id if account else correspondents.find(session, email or "")
    if found is None:
        raise click.ClickException("nobody here has that address")
    return found


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except UnknownSubject:
        raise click.ClickException("the person was erased meanwhile") from None
    except RightsError as error:
        raise click.ClickException(str(error)) from error
