"""`flask ledger receipt`: for people who cannot get it themselves any more."""

from __future__ import annotations

import click

from commands.ledger import group
from domain.consent import receipts
from domain.ledger.errors import LedgerError
from extensions import reading


@group.command("receipt")
@click.argument("entry_id", metavar="ID")
def receipt(entry_id: str) -> None:
    """Write the receipt of an entry, by the number in the last mail to somebody who was erased.

    It names nobody. Whoever has the number had the mail.
    """
    try:
        with reading() as session:
            made = receipts.receipt(session, entry_id)
    except LedgerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(made.encode(), nl=False)
