"""PostgreSQL: the roles and the database, made once by an administrator."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url


class RolesError(Exception):
    """The addresses do not name roles of one PostgreSQL database, each another one."""


def create_roles(
    admin_url: str, owner_url: str, application_url: str, accounting_url: str | None = None
) -> list[str]:
    """Make the owner's role, the application's, that of bookkeeping where it has an address, and
    the database; say what was made.

    Names and passwords are those in the addresses. What exists stays, except that passwords
    and attributes become what they should be. Raises RolesError.
    """
    owner, application = make_url(owner_url), make_url(application_url)
    _check(owner, application, "DATABASE_URL")
    guests = [application]
    if accounting_url is not None:
        accounting = make_url(accounting_url)
        _check(owner, accounting, "ACCOUNTING_DATABASE_URL")
        if accounting.username == application.username:
            raise RolesError("ACCOUNTING_DATABASE_URL needs a user of its own")
        guests.append(accounting)
    database = owner.database or ""
    said = []
    with _connect(make_url(admin_url)) as admin:
        for url in (owner, *guests):
            said.append(_role(admin, url))
        said.append(_database(admin, database, str(owner.username)))
    with _connect(make_url(admin_url).set(database=database)) as admin:
        for guest in guests:
            _close(admin, database, str(owner.username), str(guest.username))
    return said


def _check(owner: URL, guest: URL, name: str) -> None:
    if {owner.get_backend_name(), guest.get_backend_name()} != {"postgresql"}:
        raise RolesError("roles are for PostgreSQL; SQLite has none and needs none")
    if not owner.username or not guest.username:
        raise RolesError(f"DATABASE_OWNER_URL and {name} each need a user")
    if owner.username == guest.username:
        raise RolesError(f"DATABASE_OWNER_URL and {name} name the same user; two are needed")
    if not owner.database or owner.database != guest.database:
        raise RolesError(f"DATABASE_OWNER_URL and {name} name different databases")


def _connect(url: URL) -> psycopg.Connection:
    # Part by part: libpq reads fewer passwords out of an address than SQLAlchemy writes.
    parts: dict[str, Any] = url.translate_connect_args(username="user", database="dbname")
    return psycopg.connect(autocommit=True, **parts, **dict[str, Any](url.query))


def _role(admin: psycopg.Connection, url: URL) -> str:
    name = str(url.username)
    known = admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount
    verb = "ALTER" if known else "CREATE"
    admin.execute(sql.SQL(f"{verb} ROLE {{}} {_LIMITS}").format(sql.Identifier(name)))
    if url.password is not None:
        # Only its SCRAM verifier is sent, so the password stands in no log of the server.
        verifier = admin.pgconn.encrypt_password(
            str(url.password).encode(), name.encode(), b"scram-sha-256"
        )
        admin.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(name), sql.Literal(verifier.decode())
            )
        )
    return f"role {name}: {'there already' if known else 'created'}"


_LIMITS = "LOGIN NOCREATEDB NOCREATEROLE"


def _database(admin: psycopg.Connection, name: str, owner: str) -> str:
    row = admin.execute(
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [name]
    ).fetchone()
    if row is not None:
        if row[0] != owner:
            raise RolesError(f"the database {name} is there and belongs to {row[0]}, not {owner}")
        return f"database {name}: there already"
    # The administrator of a hosted server is no superuser: it gives only to roles it is in.
    if not admin.execute("SELECT pg_has_role(%s, 'MEMBER')", [owner]).fetchone() == (True,):
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(sql.Identifier(owner)))
    admin.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} ENCODING 'UTF8' TEMPLATE template0").format(
            sql.Identifier(name), sql.Identifier(owner)
        )
    )
    return f"database {name}: created"


def _close(admin: psycopg.Connection, database: str, owner: str, guest: str) -> None:
    """Nobody but the owner and the guests comes in; only the owner makes tables. A temporary
    table of the application's would hide the real one from it, so it makes none of these
    either."""
    names = {
        "database": sql.Identifier(database),
        "owner": sql.Identifier(owner),
        "guest": sql.Identifier(guest),
    }
    for statement in (
        "REVOKE ALL ON DATABASE {database} FROM PUBLIC, {guest}",
        "GRANT CONNECT ON DATABASE {database} TO {guest}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC, {guest}",
        "GRANT ALL ON SCHEMA public TO {owner}",
        "GRANT USAGE ON SCHEMA public TO {guest}",
    ):
        admin.execute(sql.SQL(statement).format(**names))
