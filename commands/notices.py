"""`flask notices`: publishing what the operator wrote."""

from __future__ import annotations

import click
from flask.cli import AppGroup

from domain.consent import notices
from domain.consent.errors import ConsentError
from extensions import now, settings, transaction

group = AppGroup("notices", help="Privacy notices and terms.")


@group.command("publish")
def publish() -> None:
    """Publish every version in content/notices that is not published yet."""
    content = settings().content
    try:
        with transaction() as session:
            published = notices.publish(session, content, at=now())
            notices.check_in_force(session, content, at=now())
    except ConsentError as error:
        raise click.ClickException(str(error)) from error
    for source in published:
        click.echo(f"published {source.kind} {source.effective_on} ({', '.join(source.files)})")
    click.echo("notices: all published" if not published else f"notices: {len(published)} new")
