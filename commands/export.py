"""`flask ledger export`: the published log as files that other programs read."""

from __future__ import annotations

from pathlib import Path

import click

from commands.ledger import group
from commands.progress import Progress
from domain.ledger import export as log_export
from domain.ledger.errors import LedgerError
from extensions import reading


@group.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--entries",
    is_flag=True,
    help="Write the entries too: a backup of the operator's own, not to be published.",
)
def export(folder: Path, entries: bool) -> None:
    """Write the newest published log into FOLDER: tiles, keys, and the checkpoint last.

    The files are those that the site serves under /ledger/, in tlog-tiles form. Running it again
    goes on where it stopped.
    """
    try:
        with reading() as session:
            found = log_export.begin(session, entries=entries)
            progress = Progress(found.files, "files written")
            log_export.write(session, found, folder, progress.step)
    except (LedgerError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{found.checkpoint.size} entries in {found.files} files, and the checkpoint.")
