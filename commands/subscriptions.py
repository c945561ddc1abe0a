"""`flask subscriptions`: when one starts and ends. The person is named on standard input."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from uuid import UUID

import click
from flask.cli import AppGroup
from sqlalchemy.orm import Session

from domain.dates import local_day
from domain.identity import accounts, subscriptions
from domain.identity.errors import IdentityError
from domain.subjects import service as subjects
from extensions import now, transaction

group = AppGroup("subscriptions", help="When a person's subscription starts and ends.")
on = click.option(
    "--on",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day, as it is in Norway; today where none is given.",
)


@group.command()
@on
def start(on: datetime | None) -> None:
    """Start a subscription. Asks for the e-mail address of the account."""
    with _person() as (session, subject_id):
        subscriptions.start(session, subject_id, on=_day(on), at=now())
    click.echo(f"started on {_day(on)}")


@group.command()
@on
def end(on: datetime | None) -> None:
    """End the subscription that runs. The account goes as long after it as the notice says."""
    with _person() as (session, subject_id):
        if not subscriptions.end(session, subject_id, on=_day(on), at=now()):
            raise click.ClickException("no subscription runs")
        goes = subscriptions.erase_on(session, subject_id, at=now())
    click.echo(f"ended on {_day(on)}; the account is erased on {goes}")


@group.command()
@click.option(
    "--purpose",
    type=click.Choice(["answering", "verifying", "security", "legal_claim", "audit"]),
    required=True,
    help="Why you look. It is entered in the ledger, and the person can see it.",
)
def show(purpose: str) -> None:
    """Show a person's subscriptions. Asks for the e-mail address of the account."""
    with _person() as (session, subject_id):
        viewed = {"holdings": ["subscriptions"], "purpose": purpose}
        subjects.record(session, subject_id, "staff.viewed", viewed, at=now())
        found = subscriptions.of_subject(session, subject_id)
        goes = subscriptions.erase_on(session, subject_id, at=now())
    for one in found:
        click.echo(f"from {one.started_on} to {one.ended_on or 'now'}")
    click.echo("no subscription" if not found else f"the account is erased on {goes or 'no day'}")


@contextmanager
def _person() -> Iterator[tuple[Session, UUID]]:
    """Whose address is given; not an argument, which would stay in the shell's history."""
    email = click.prompt("E-mail address", err=True)
    try:
        with transaction() as session:
            account = accounts.find(session, email)
            if account is None:
                raise click.ClickException("no account has this address")
            yield session, account.subject_id
    except IdentityError as error:
        raise click.ClickException(str(error)) from error


def _day(on: datetime | None) -> date:
    return on.date() if on else local_day(now())
