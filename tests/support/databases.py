"""A fresh, migrated database for each test: a copy of one that was migrated once."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from migrations import migrate


@dataclass(frozen=True)
class Urls:
    """The addresses of one database: the application's, the owner's, and the bookkeeper's."""

    application: str
    owner: str
    accounting: str


# What is done to an application's database, at this address.
Fill = Callable[[str], None]


class Template(Protocol):
    """Where fresh databases come from."""

    def copy(self, directory: Path, *, fill: Fill | None = None) -> Urls:
        """Make a fresh database; with `fill` one that this was done to first, once for all."""

    def drop(self, urls: Urls) -> None:
        """Remove one that `copy` made."""

    def close(self) -> None:
        """Remove the template."""


class SqliteTemplate:
    """A migrated file; each test copies it."""

    def __init__(self, directory: Path):
        self._file = directory / "template.db"
        migrate(f"sqlite:///{self._file}")

    def copy(self, directory: Path, *, fill: Fill | None = None) -> Urls:
        """A copy of the file in `directory`."""
        path = directory / "samtykke.db"
        shutil.copyfile(self._filled(fill) if fill else self._file, path)
        return Urls(*[f"sqlite:///{path}"] * 3)

    def _filled(self, fill: Fill) -> Path:
        filled = self._file.with_name("filled.db")
        if not filled.exists():
            shutil.copyfile(self._file, filled)
            fill(f"sqlite:///{filled}")  # whoever closes last empties the write-ahead log
        return filled

    def drop(self, urls: Urls) -> None:
        """The file goes with the test's directory."""

    def close(self) -> None:
        """The file goes with the run's directory."""


class PostgresTemplate:
    """A migrated database on a server, with an owner's, an application's and a bookkeeper's
    role."""

    def __init__(self, admin_url: str):
        self._admin_url = make_url(admin_url)
        self._admin = psycopg.connect(
            self._admin_url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        )
        self._suffix = secrets.token_hex(4)
        self._password = secrets.token_hex(16)
        self._copies, self._has_filled = 0, False
        self._owner = f"samtykke_owner_{self._suffix}"
        self._application = f"samtykke_app_{self._suffix}"
        self._accounting = f"samtykke_books_{self._suffix}"
        for role in (self._owner, self._application, self._accounting):
            self._run("CREATE ROLE {} LOGIN PASSWORD {}", role, sql.Literal(self._password))
        self._name = f"samtykke_{self._suffix}"
        # A superuser that is none (a hosted server's) must be a member of who it gives to.
        self._run("GRANT {} TO CURRENT_USER", self._owner)
        self._run("CREATE DATABASE {} OWNER {}", self._name, self._owner)
        migrate(
            self._url(self._owner, self._name),
            application_role=self._application,
            accounting_role=self._accounting,
        )

    def copy(self, directory: Path, *, fill: Fill | None = None) -> Urls:
        """A new database from the template."""
        self._copies += 1
        source = self._filled(fill) if fill else self._name
        return self._made(f"{self._name}_{self._copies}", source)

    def _filled(self, fill: Fill) -> str:
        name = f"{self._name}_filled"
        if not self._has_filled:
            fill(self._made(name, self._name).application)
            self._has_filled = True
        return name

    def _made(self, name: str, source: str) -> Urls:
        # Copying the files is quicker than writing the log of it, where nothing waits for a disk.
        made = "CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY file_copy"
        self._run(made, name, source, self._owner)
        # A copy has what is in its template, but not what was granted or revoked on it.
        self._run("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", name)
        return Urls(
            application=self._url(self._application, name),
            owner=self._url(self._owner, name),
            accounting=self._url(self._accounting, name),
        )

    def drop(self, urls: Urls) -> None:
        """Remove the database, whoever is still connected to it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", make_url(urls.owner).database or "")

    def close(self) -> None:
        """Remove template and roles: the server may be somebody's."""
        for name in (f"{self._name}_filled", self._name):
            self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)
        for role in (self._accounting, self._application, self._owner):
            self._run("DROP ROLE IF EXISTS {}", role)
        self._admin.close()

    def _url(self, role: str, database: str) -> str:
        url: URL = self._admin_url.set(username=role, password=self._password, database=database)
        return url.render_as_string(hide_password=False)

    def _run(self, statement: str, *names: str | sql.Literal) -> None:
        parts = [sql.Identifier(name) if isinstance(name, str) else name for name in names]
        self._admin.execute(sql.SQL(statement).format(*parts))
