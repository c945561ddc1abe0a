"""A fresh, migrated database for each test: a copy of one that was migrated once."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from migrations import migrate


@dataclass(frozen=True)
class Urls:
    """The two addresses of one database: the application's and the owner's."""

    application: str
    owner: str


class Template(Protocol):
    """Where fresh databases come from."""

    def copy(self, directory: Path) -> Urls:
        """Make a fresh database."""

    def drop(self, urls: Urls) -> None:
        """Remove one that `copy` made."""

    def close(self) -> None:
        """Remove the template."""


class SqliteTemplate:
    """A migrated file; each test copies it."""

    def __init__(self, directory: Path):
        self._file = directory / "template.db"
        migrate(f"sqlite:///{self._file}")

    def copy(self, directory: Path) -> Urls:
        """A copy of the file in `directory`."""
        path = directory / "samtykke.db"
        shutil.copyfile(self._file, path)
        return Urls(application=f"sqlite:///{path}", owner=f"sqlite:///{path}")

    def drop(self, urls: Urls) -> None:
        """The file goes with the test's directory."""

    def close(self) -> None:
        """The file goes with the run's directory."""


class PostgresTemplate:
    """A migrated database on a server, with an owner's and an application's role."""

    def __init__(self, admin_url: str):
        self._admin_url = make_url(admin_url)
        self._admin = psycopg.connect(
            self._admin_url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        )
        self._suffix = secrets.token_hex(4)
        self._password = secrets.token_hex(16)
        self._copies = 0
        self._owner = f"samtykke_owner_{self._suffix}"
        self._application = f"samtykke_app_{self._suffix}"
        for role in (self._owner, self._application):
            self._run("CREATE ROLE {} LOGIN PASSWORD {}", role, sql.Literal(self._password))
        self._name = f"samtykke_{self._suffix}"
        # A superuser that is none (a hosted server's) must be a member of who it gives to.
        self._run("GRANT {} TO CURRENT_USER", self._owner)
        self._run("CREATE DATABASE {} OWNER {}", self._name, self._owner)
        migrate(self._url(self._owner, self._name), application_role=self._application)

    def copy(self, directory: Path) -> Urls:
        """A new database from the template."""
        self._copies += 1
        name = f"{self._name}_{self._copies}"
        self._run("CREATE DATABASE {} TEMPLATE {} OWNER {}", name, self._name, self._owner)
        # A copy has what is in its template, but not what was granted or revoked on it.
        self._run("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC", name)
        return Urls(
            application=self._url(self._application, name), owner=self._url(self._owner, name)
        )

    def drop(self, urls: Urls) -> None:
        """Remove the database, whoever is still connected to it."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", make_url(urls.owner).database or "")

    def close(self) -> None:
        """Remove template and roles: the server may be somebody's."""
        self._run("DROP DATABASE IF EXISTS {} WITH (FORCE)", self._name)
        for role in (self._application, self._owner):
            self._run("DROP ROLE IF EXISTS {}", role)
        self._admin.close()

    def _url(self, role: str, database: str) -> str:
        url: URL = self._admin_url.set(username=role, password=self._password, database=database)
        return url.render_as_string(hide_password=False)

    def _run(self, statement: str, *names: str | sql.Literal) -> None:
        parts = [sql.Identifier(name) if isinstance(name, str) else name for name in names]
        self._admin.execute(sql.SQL(statement).format(*parts))
