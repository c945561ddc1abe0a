"""`flask subjects`: people who come from another controller (GDPR art. 20)."""

from __future__ import annotations

from pathlib import Path

import click
from flask.cli import AppGroup

from domain.rights import importing
from domain.rights.errors import BadImport
from extensions import now, settings, transaction

group = AppGroup("subjects", help="The people whom data are about.")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_file(file: Path) -> None:
    """Take over what a person brings in FILE: a portability.json, or the ZIP with it.

    The person is mailed a link with which they choose a password and accept the terms. Until
    then nobody enters the account, and after seven days it goes.
    """
    try:
        with file.open("rb") as opened:
            document = importing.read(opened.read(importing.MOST_BYTES + 1))
        with transaction() as session:
            importing.take_over(session, document, least_age=settings().registration_age, at=now())
    except BadImport as error:
        raise click.ClickException(f"Nothing was taken over: {error}.") from None
    click.echo("Taken over. The person is mailed a link with which they make the account theirs.")
