"""Migrations, roles and privileges: the same on every machine, however often they run."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from sqlalchemy import inspect, make_url

import migrations
from database import NEVER, Database
from domain.ledger import guards
from migrations.roles import RolesError, create_roles
from settings import Settings
from tests.support import cluster
from tests.support.absence import Absent, do_without
from tests.support.databases import Urls

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def admin() -> str:
    """An administrator of the PostgreSQL server."""
    try:
        return cluster.admin_url(Path(os.environ["SAMTYKKE_TEST_RUN"]))
    except Absent as absent:
        do_without(absent)


@pytest.fixture
def pair(admin: str) -> Iterator[Urls]:
    """The addresses of two roles and a database that are not there yet."""
    name, url = f"fresh_{secrets.token_hex(4)}", make_url(admin)
    names = {"application": "app", "owner": "owner", "accounting": "books"}
    made = {
        kind: url.set(username=f"{name}_{role}", password="a secret: é'\"%", database=name)
        for kind, role in names.items()
    }
    yield Urls(**{kind: one.render_as_string(hide_password=False) for kind, one in made.items()})
    with connected(admin) as connection:
        for statement, what in (
            ("DROP DATABASE IF EXISTS {} WITH (FORCE)", name),
            *(("DROP ROLE IF EXISTS {}", f"{name}_{role}") for role in names.values()),
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(what)))


@pytest.fixture
def fresh(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Urls:
    """A database without tables; on SQLite not even a folder."""
    if backend == "sqlite":
        url = f"sqlite:///{tmp_path / 'not yet' / 'there' / 'site.db'}"
        return Urls(application=url, owner=url, accounting=url)
    pair: Urls = request.getfixturevalue("pair")
    create_roles(request.getfixturevalue("admin"), pair.owner, pair.application, pair.accounting)
    return pair


@pytest.fixture
def site(settings: Settings, fresh: Urls) -> Settings:
    """Settings for that database."""
    return replace(
        settings,
        database_url=fresh.application,
        owner_url=fresh.owner,
        accounting_url=fresh.accounting,
    )


def connected(address: str) -> psycopg.Connection:
    url = make_url(address)
    parts: dict[str, Any] = url.translate_connect_args(username="user", database="dbname")
    return psycopg.connect(autocommit=True, **parts, **dict[str, Any](url.query))


def tables(url: str) -> set[str]:
    database = Database(url, owner=True)
    names = set(inspect(database.engine).get_table_names())
    database.close()
    return names


def problems(site: Settings) -> list[str]:
    database = Database(site.database_url)
    try:
        return migrations.problems(database, site)
    finally:
        database.close()


def test_migrating_makes_exactly_the_tables_of_the_models(fresh: Urls) -> None:
    """A migration names columns by hand: here they are compared with the models."""
    migrations.migrate(fresh.owner)
    database = Database(fresh.owner, owner=True)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, migrations.metadata()) == []
    database.close()


def test_migrating_again_changes_nothing(site: Settings) -> None:
    """`make run` migrates at every start."""
    for _ in range(2):
        migrations.upgrade(site)
        assert problems(site) == []


def test_several_at_once_are_no_trouble(fresh: Urls) -> None:
    """Two servers that are started together: one migrates, the other finds it done."""
    program = "import sys, migrations; migrations.migrate(sys.argv[1])"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program, fresh.owner], cwd=ROOT, stderr=subprocess.PIPE
        )
        for _ in range(4)
    ]
    for process in running:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    assert tables(fresh.owner) == {*migrations.metadata().tables, "alembic_version"}


def test_a_migration_that_fails_leaves_nothing(
    fresh: Urls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last step fails, as when the process dies there: all or nothing, and again works."""
    with monkeypatch.context() as patched:
        patched.setattr(guards, "_sqlite", _fails)
        patched.setattr(guards, "_postgresql", _fails)
        with pytest.raises(ZeroDivisionError):
            migrations.migrate(fresh.owner)
    assert tables(fresh.owner) == set()
    migrations.migrate(fresh.owner)
    assert tables(fresh.owner) >= set(NEVER)


def _fails(table: str, rule: guards.Rule) -> Iterator[tuple[str, str]]:
    raise ZeroDivisionError


def test_a_database_that_is_behind_is_not_fit(site: Settings) -> None:
    """The sentence says what to run."""
    migrations.migrate(site.owner_url)
    database = Database(site.owner_url, owner=True)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM alembic_version")
        assert not migrations.is_current(connection)
    with database.reading() as session:
        assert not migrations.is_current(session.connection())
    assert migrations.problems(database, site) == [
        "The database is not at the newest revision; run: flask database upgrade"
    ]
    database.close()


def test_a_missing_guard_is_a_problem(site: Settings) -> None:
    """Found at start, not only when somebody runs verify."""
    migrations.upgrade(site)
    database = Database(site.owner_url, owner=True)
    on = "" if database.engine.dialect.name == "sqlite" else " ON presentation"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER presentation_no_update{on}")
    database.close()
    assert problems(site) == ["The guard presentation_no_update is missing or changed."]


EXCESS = [
    ("GRANT UPDATE ON ledger_entry TO {app}", "has UPDATE on ledger_entry."),
    ("GRANT UPDATE (bytes) ON ledger_entry TO {app}", "has UPDATE on ledger_entry."),
    ("GRANT DELETE ON presentation TO PUBLIC", "has DELETE on presentation."),
    ("GRANT DELETE ON entry_link TO {app}", "has DELETE on entry_link."),
    ("GRANT TRUNCATE ON entry_link TO {app}", "has TRUNCATE on entry_link."),
    ("GRANT TRIGGER ON notice_version TO {app}", "has TRIGGER on notice_version."),
    ("GRANT INSERT ON alembic_version TO {app}", "has INSERT on alembic_version."),
    ("GRANT SELECT ON accounting_record TO {app}", "has SELECT on accounting_record."),
    ("GRANT SELECT (buyer) ON accounting_record TO {app}", "has SELECT on accounting_record."),
    ("GRANT SELECT ON accounting_record TO PUBLIC", "has SELECT on accounting_record."),
    ("GRANT {books} TO {app}", "which keeps the books."),
    ("GRANT SELECT (email) ON account TO {books}", "has SELECT on account."),
    ("GRANT UPDATE ON accounting_record TO {books}", "has UPDATE on accounting_record."),
    ("GRANT {owner} TO {books}", "is a member of"),
    ("REVOKE INSERT ON accounting_record FROM {books}", "has no INSERT on accounting_record"),
    ("GRANT CREATE ON SCHEMA public TO {app}", "may create tables"),
    ("GRANT TEMPORARY ON DATABASE {db} TO {app}", "may create temporary tables"),
    ("GRANT {owner} TO {app}", "is a member of"),
    ("ALTER TABLE account OWNER TO {app}", "owns the table account"),
    ("ALTER ROLE {app} SUPERUSER", "is SUPERUSER"),
    ("ALTER ROLE {app} CREATEROLE", "is CREATEROLE"),
    ("ALTER ROLE {app} REPLICATION", "is REPLICATION"),
]


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
@pytest.mark.parametrize(("grant", "says"), EXCESS)
def test_a_role_that_may_too_much_is_a_problem(
    site: Settings, admin: str, grant: str, says: str
) -> None:
    """Somebody was generous at a prompt: the site says so and does not start."""
    migrations.upgrade(site)
    assert problems(site) == []
    owner, app = make_url(site.owner_url), make_url(site.database_url)
    address = make_url(admin).set(database=owner.database).render_as_string(hide_password=False)
    books = make_url(site.accounting_url or "")
    names = {"owner": owner.username, "app": app.username, "db": owner.database}
    names["books"] = books.username
    with connected(address) as connection:
        identifiers = {name: sql.Identifier(str(value)) for name, value in names.items()}
        connection.execute(sql.SQL(grant).format(**identifiers))
    assert any(says in problem for problem in problems(site))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_one_role_for_both_is_a_problem(site: Settings) -> None:
    """Without DATABASE_OWNER_URL the application owns its tables: fine at home only. The books
    are kept by nobody who does anything else."""
    migrations.migrate(site.owner_url)
    alone = replace(site, database_url=site.owner_url, accounting_url=site.owner_url)
    found = problems(alone)
    assert any("owns the table ledger_entry" in problem for problem in found)
    assert any("ACCOUNTING_DATABASE_URL needs a user of its own" in problem for problem in found)


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_who_has_no_bookkeeper_needs_none(site: Settings) -> None:
    """A site that sells nothing: two roles, and nobody reads the books."""
    without = replace(site, accounting_url=None)
    migrations.upgrade(without)
    assert problems(without) == []
    assert any("has no SELECT on accounting_record" in problem for problem in problems(site))


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_temporary_table_cannot_hide_the_ledger(site: Settings) -> None:
    """It would swallow entries that the application believes it appended."""
    migrations.upgrade(site)
    with (
        connected(site.database_url) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("CREATE TEMPORARY TABLE ledger_entry (id int)")


def test_roles_are_made_once_and_their_passwords_stay_secret(admin: str, pair: Urls) -> None:
    """Running it again changes nothing; no password is said, nor kept in clear."""
    first = create_roles(admin, pair.owner, pair.application, pair.accounting)
    again = create_roles(admin, pair.owner, pair.application, pair.accounting)
    assert [line.split(": ")[1] for line in first] == ["created"] * 4
    assert [line.split(": ")[1] for line in again] == ["there already"] * 4
    assert not any("secret" in line for line in first + again)
    role = make_url(pair.application).username
    with connected(admin) as connection:
        row = connection.execute(
            "SELECT rolpassword, rolsuper, rolcreatedb, rolcreaterole, rolcanlogin"
            " FROM pg_authid WHERE rolname = %s",
            [role],
        ).fetchone()
    assert row is not None
    assert row[0].startswith("SCRAM-SHA-256$")
    assert row[1:] == (False, False, False, True)


def test_strangers_do_not_come_into_the_database(admin: str, pair: Urls) -> None:
    """A third role of the same server has no business here."""
    create_roles(admin, pair.owner, pair.application)
    database = make_url(pair.owner).database
    with connected(admin) as connection:
        row = connection.execute(
            "SELECT has_database_privilege('pg_monitor', %s, 'CONNECT')", [database]
        ).fetchone()
    assert row == (False,)


@pytest.mark.parametrize(
    ("owner", "application", "says"),
    [
        ("sqlite:///a.db", "sqlite:///a.db", "SQLite has none"),
        ("postgresql://a@/x", "postgresql://a@/x", "the same user"),
        ("postgresql://a@/x", "postgresql://b@/y", "different databases"),
        ("postgresql:///x", "postgresql://b@/x", "each need a user"),
    ],
)
def test_addresses_that_name_no_two_roles_are_refused(
    owner: str, application: str, says: str
) -> None:
    """Before anything is made."""
    with pytest.raises(RolesError, match=says):
        create_roles("postgresql://nobody@/nowhere", owner, application)


def test_a_database_of_somebody_else_is_left_alone(admin: str, pair: Urls) -> None:
    """A slip in a name must not hand over another program's database."""
    database = make_url(pair.owner).database or ""
    with connected(admin) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    with pytest.raises(RolesError, match="belongs to"):
        create_roles(admin, pair.owner, pair.application)
