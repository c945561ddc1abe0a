"""`flask decisions`: the projection of current decisions."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from domain.consent import projection
from extensions import transaction

group = AppGroup("decisions", help="Current decisions.")


@group.command("rebuild")
def rebuild() -> None:
    """Make the table of current decisions again from the ledger and its links."""
    with transaction() as session:
        rows = projection.rebuild(session)
    click.echo(f"{rows} current decisions rebuilt from the ledger")
