"""Migrations of the database, run by its owner: `migrate` is the only way in."""

from __future__ import annotations

import fcntl
import importlib.util
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, make_url
from sqlalchemy.exc import OperationalError

import domain
from database import Base, Database
from domain.ledger import guards
from migrations import privileges
from settings import Settings

_HERE = Path(__file__).parent
# Any number will do, as long as all processes that migrate take the same one.
_ADVISORY_LOCK = 0x53616D74796B6B65


def migrate(
    owner_url: str, *, application_role: str | None = None, accounting_role: str | None = None
) -> None:
    """Bring the database to the newest revision; do nothing where it is there already.

    On PostgreSQL `application_role` is then given what the application may do, and nothing
    more, and `accounting_role` the books. All of it is one transaction: a crash leaves the
    database as it was. Of several processes that come at once, one migrates and the others find
    it done.
    """
    with _alone(owner_url), _owner(owner_url) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        command.upgrade(_config(connection), "head")
        if connection.dialect.name != "postgresql":
            return
        if application_role is not None:
            privileges.grant(connection, application_role, metadata())
        if accounting_role is not None:
            privileges.grant_accounting(connection, accounting_role)


def upgrade(settings: Settings) -> None:
    """`migrate` with what the settings say."""
    migrate(
        settings.owner_url,
        application_role=_application_role(settings),
        accounting_role=_accounting_role(settings),
    )


def problems(database: Database, settings: Settings) -> list[str]:
    """What makes this database unfit for production, a sentence each.

    The database is looked at as the application, over `database`: it is what the application
    could do that matters, not what somebody meant to grant.
    """
    with database.reading() as session:
        connection = session.connection()
        if not is_current(connection):
            return ["The database is not at the newest revision; run: flask database upgrade"]
        found = [f"The guard {name} is missing or changed." for name in guards.missing(session)]
        found += [f"{name} is no guard of ours." for name in guards.strangers(session)]
        if connection.dialect.name == "postgresql":
            found += privileges.excess(connection, make_url(settings.owner_url).username)
            found += _accounting_problems(settings)
        return found


def _accounting_problems(settings: Settings) -> list[str]:
    """The same for the role that keeps the books, looked at as that role."""
    if settings.accounting_url is None:
        return []
    if _accounting_role(settings) is None:
        return ["ACCOUNTING_DATABASE_URL needs a user of its own: nobody else reads the books."]
    accounting = Database(settings.accounting_url, role="accounting")
    try:
        with accounting.reading() as session:
            owner = make_url(settings.owner_url).username
            return list(privileges.accounting_excess(session.connection(), owner))
    except OperationalError:
        return ["ACCOUNTING_DATABASE_URL: no connection; run: flask database create-roles"]
    finally:
        accounting.close()


def new_revision(owner_url: str, message: str, number: str) -> None:
    """Write a draft of a migration from what the models have and the database has not."""
    with _owner(owner_url) as connection:
        command.revision(_config(connection), message, autogenerate=True, rev_id=number)


def is_current(connection: Connection) -> bool:
    """Whether the database is at the revision that this code was written for."""
    newest = ScriptDirectory(str(_HERE)).get_heads()
    return set(MigrationContext.configure(connection).get_current_heads()) == set(newest)


def metadata() -> MetaData:
    """The tables of every `models.py` in the domain."""
    for package in pkgutil.iter_modules(domain.__path__, "domain."):
        if package.ispkg and importlib.util.find_spec(f"{package.name}.models"):
            importlib.import_module(f"{package.name}.models")
    return Base.metadata


def _application_role(settings: Settings) -> str | None:
    """The role to grant to, where the application has one of its own."""
    role = make_url(settings.database_url).username
    return role if role != make_url(settings.owner_url).username else None


def _accounting_role(settings: Settings) -> str | None:
    """The role that keeps the books, where one does."""
    if settings.accounting_url is None:
        return None
    role = make_url(settings.accounting_url).username
    others = (make_url(url).username for url in (settings.owner_url, settings.database_url))
    return None if role in others else role


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _owner(url: str) -> Iterator[Connection]:
    database = Database(url, owner=True)
    try:
        with database.engine.begin() as connection:
            yield connection
    finally:
        database.close()


@contextmanager
def _alone(url: str) -> Iterator[None]:
    """On SQLite make the folder, and let one process in at a time: switching a new file to
    WAL does not wait for others that do the same, it fails."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        yield
        return
    path = Path(address.database)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.migrating").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
