"""`flask outbox`: what waits, what was given up, and trying it again."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import click
from flask.cli import AppGroup

import extensions
from domain.delivery import outbox as messages
from domain.delivery.errors import DeliveryError

outbox = AppGroup("outbox", help="Mails and jobs that wait, or were given up.")


@outbox.command("list")
@click.option("--state", type=click.Choice(messages.STATES), help="Only messages in this state.")
@click.option("--limit", default=100, show_default=True, help="At most this many, newest first.")
def show(state: str | None, limit: int) -> None:
    """Show messages, without addresses: those are sealed, and nobody needs them here."""
    with extensions.reading() as session:
        for row in messages.messages(session, state, limit=limit):
            click.echo(
                f"{row.id}  {row.state:<7}  {row.kind:<24}  tries {row.attempts}"
                f"  posted {_time(row.created_at)}  {_next(row.closed_at, row.due_at)}"
                + (f"  failure {row.failure}" if row.failure else "")
            )


@outbox.command("resend")
@click.argument("message", type=click.UUID)
def resend(message: UUID) -> None:
    """Queue a dead message again, with all its tries."""
    try:
        with extensions.transaction() as session:
            messages.send_again(session, message, at=extensions.now())
    except DeliveryError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"queued {message}")


def _next(closed_at: datetime | None, due_at: datetime) -> str:
    return f"closed {_time(closed_at)}" if closed_at else f"due {_time(due_at)}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
