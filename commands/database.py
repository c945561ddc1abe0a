"""`flask database`: migrations, and on PostgreSQL the roles."""

from __future__ import annotations

import click
import psycopg
from flask.cli import AppGroup

import migrations
from database import redacted
from extensions import settings
from migrations.roles import RolesError, create_roles

group = AppGroup("database", help="The database: roles, migrations.")


@group.command()
def upgrade() -> None:
    """Bring the database to the newest revision, as its owner.

    Connects with DATABASE_OWNER_URL (DATABASE_URL where that is not set). On PostgreSQL the
    user of DATABASE_URL is then given what the application may do, and that of
    ACCOUNTING_DATABASE_URL, where it is set, the books. Running it again, or twice at once, does
    no harm.
    """
    migrations.upgrade(settings())
    click.echo(f"{redacted(settings().owner_url)} is at the newest revision.")


@group.command("create-roles")
@click.option(
    "--admin-url",
    envvar="DATABASE_ADMIN_URL",
    required=True,
    help="An administrator's address, as postgresql://user:password@host/postgres; "
    "better set as DATABASE_ADMIN_URL, which no list of processes shows.",
)
def roles(admin_url: str) -> None:
    """Make PostgreSQL's roles and the database.

    The users, passwords and the name of the database are those in DATABASE_OWNER_URL,
    DATABASE_URL and, where it is set, ACCOUNTING_DATABASE_URL. Passwords of roles that exist are
    set to these.
    """
    try:
        said = create_roles(
            admin_url,
            settings().owner_url,
            settings().database_url,
            settings().accounting_url,
        )
    except (RolesError, psycopg.Error) as error:
        raise click.ClickException(str(error)) from error
    for line in said:
        click.echo(line)


@group.command()
@click.argument("number")
@click.argument("message")
def revision(number: str, message: str) -> None:
    """Draft a migration NUMBER (as 0002) from what the models have and the database has not."""
    migrations.new_revision(settings().owner_url, message, number)
