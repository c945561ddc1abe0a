"""`flask staff`: who works for the operator, and so finds the pages under /staff."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from domain.identity import accounts
from extensions import reading, transaction

group = AppGroup("staff", help="Who works here, and may write newsletters.")


@group.command()
def grant() -> None:
    """Let somebody in. Asks for the e-mail address of the account."""
    _set(True)
    click.echo("granted")


@group.command()
def revoke() -> None:
    """Let somebody in no more, from their next click on. Asks for the e-mail address."""
    _set(False)
    click.echo("revoked")


@group.command("list")
def show() -> None:
    """Show the addresses of those who may."""
    with reading() as session:
        found = sorted(accounts.person(session, one).email for one in accounts.staff(session))
    for email in found:
        click.echo(email)
    if not found:
        click.echo("nobody")


def _set(staff: bool) -> None:
    # Not an argument, which would stay in the shell's history.
    email = click.prompt("E-mail address", err=True)
    with transaction() as session:
        account = accounts.find(session, email)
        if account is None:
            raise click.ClickException("no account has this address")
        if staff and not accounts.is_confirmed(session, account):
            raise click.ClickException("nobody has confirmed this address yet")
        account.staff = staff
