"""What was recorded cannot be changed: attacks on the insert-only tables, on both databases.

Three lines of defence, each attacked by whom it is meant for: the application's rights (roles,
the authorizer), the triggers (the owner), and `verify`, for what the owner did all the same.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import insert, make_url, select, text
from sqlalchemy.orm import Session

from database import INSERT_ONLY, Database
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger import guards
from domain.ledger import verify as ledger
from domain.ledger.append import append_anonymous
from domain.ledger.entry import Entry, decode
from domain.ledger.models import LedgerEntry, LedgerPending
from domain.ledger.verify import first_violation
from domain.subjects import service
from domain.subjects import verify as subjects
from domain.subjects.models import EntryLink
from tests.support import NOON, cluster
from tests.support.databases import Urls

pytestmark = pytest.mark.requirement(49)

CHECKS = (*ledger.CHECKS, *subjects.CHECKS)
TABLES = (LedgerEntry, LedgerPending, Presentation, NoticeVersion, EntryLink)
REFUSED = (sqlite3.Error, psycopg.Error)
# Why: a test of refusals must not pass because of a slip in the attack.
GUARDED = (
    r"refuses (UPDATE|DELETE|TRUNCATE)|has this key already|duplicate key value"
    r"|cannot truncate a table referenced|column.*rowid"
)
NOT_ALLOWED = (
    r"not authorized|authorization denied|permission denied|must be (owner|superuser)"
    r"|sqlite_master may not be modified|has this key already|duplicate key value|column.*rowid"
)
EXPIRED = {"purpose": "marketing", "purpose_version": 1}

# Each table's key, and a column whose change would change what was recorded.
KEY_AND_CONTENT = {
    "ledger_entry": ("id", "bytes"),
    "presentation": ("hash", "bytes"),
    "notice_version": ("kind, effective_on, locale", "content"),
}


def changed(table: str) -> str:
    """A SELECT of the table's rows, each with its key and other content."""
    columns = {
        "ledger_entry": "id, bytes || bytes, recorded_at",
        "presentation": "hash, bytes || bytes, stored_at",
        "notice_version": "kind, effective_on, locale, hash, source_hash, content || content,"
        " published_at, entry_id",
    }
    # WHERE true: SQLite reads ON CONFLICT as the ON of a join without it.
    return f"SELECT {columns[table]} FROM {table} WHERE true"


def everywhere(table: str) -> list[str]:
    """Attacks that both databases have a grammar for."""
    key, content = KEY_AND_CONTENT[table]
    first = key.split(",")[0]
    return [
        f"UPDATE {table} SET {content} = {content} || {content}",
        f"UPDATE {table} SET {first} = {first}",
        f"UPDATE {table} SET {first} = 'x' WHERE false",
        f"UPDATE {table} AS t SET {content} = s.{content} FROM {table} AS s",
        f"DELETE FROM {table}",
        f"WITH gone AS (SELECT {first} FROM {table})"
        f" DELETE FROM {table} WHERE {first} IN (SELECT {first} FROM gone)",
        f"INSERT INTO {table} {changed(table)}",
        f"INSERT INTO {table} {changed(table)}"
        f" ON CONFLICT ({key}) DO UPDATE SET {content} = excluded.{content}",
        f"DROP TABLE {table}",
        f"ALTER TABLE {table} RENAME TO other",
        f"ALTER TABLE {table} RENAME COLUMN {content} TO other",
        f"ALTER TABLE {table} DROP COLUMN {content}",
        f"CREATE VIEW other AS SELECT * FROM {table}",
    ]


def on_sqlite(table: str) -> list[str]:
    _, content = KEY_AND_CONTENT[table]
    return [
        f"INSERT OR REPLACE INTO {table} {changed(table)}",
        f"REPLACE INTO {table} {changed(table)}",
        f"UPDATE OR REPLACE {table} SET {content} = x'00'",
        f"UPDATE OR IGNORE {table} SET {content} = x'00'",
        f"INSERT INTO {table} (rowid) VALUES (1)",
        f"UPDATE {table} SET rowid = 1",
        f"DROP TRIGGER {table}_no_update",
        f"DROP TRIGGER {table}_no_replace",
        f"CREATE TRIGGER other AFTER INSERT ON {table} BEGIN SELECT 1; END",
        f"CREATE TEMP TRIGGER other BEFORE UPDATE ON {table} BEGIN SELECT RAISE(IGNORE); END",
        f"CREATE TEMP TABLE {table} (id)",
        f"CREATE TEMP VIEW {table} AS SELECT 1",
        f"CREATE UNIQUE INDEX other ON {table} ({content})",
        f"DELETE FROM sqlite_master WHERE tbl_name = '{table}'",
        f"UPDATE sqlite_schema SET sql = '' WHERE tbl_name = '{table}'",
    ]


def on_postgresql(table: str) -> list[str]:
    key, content = KEY_AND_CONTENT[table]
    first = key.split(",")[0]
    merge = f"MERGE INTO {table} AS t USING {table} AS s ON t.{first} = s.{first} WHEN MATCHED THEN"
    return [
        f"TRUNCATE {table}",
        f"TRUNCATE {table} CASCADE",
        f"{merge} UPDATE SET {content} = s.{content} || s.{content}",
        f"{merge} DELETE",
        f"UPDATE ONLY {table} SET {content} = ''",
        f"WITH gone AS (DELETE FROM {table} RETURNING *) SELECT * FROM gone",
        f"DO $$ BEGIN DELETE FROM {table}; END $$",
        f"ALTER TABLE {table} DISABLE TRIGGER ALL",
        f"ALTER TABLE {table} DISABLE TRIGGER USER",
        f"ALTER TABLE {table} ENABLE REPLICA TRIGGER {table}_no_update",
        f"ALTER TABLE {table} ALTER COLUMN {content} TYPE bytea USING ''",
        f"ALTER TABLE {table} OWNER TO CURRENT_USER",
        f"DROP TRIGGER {table}_no_update ON {table}",
        f"DROP TRIGGER {table}_no_truncate ON {table}",
        f"CREATE RULE other AS ON INSERT TO {table} DO INSTEAD NOTHING",
        f"CREATE TRIGGER other BEFORE INSERT ON {table}"
        " FOR EACH ROW EXECUTE FUNCTION refuse_change()",
        # PostgreSQL warns that it granted nothing, so try what was not granted.
        f"GRANT DELETE ON {table} TO CURRENT_USER; DELETE FROM {table}",
        f"SELECT * FROM {table} FOR UPDATE",
        f"DO $$ BEGIN LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; END $$",
        f"CREATE TABLE other () INHERITS ({table})",
        f"CREATE TABLE {table}_other (id varchar REFERENCES {table})",
    ]


AROUND = {
    "sqlite": [
        "PRAGMA writable_schema=ON",
        "PRAGMA WRITABLE_SCHEMA=1",
        "PRAGMA main.writable_schema(1)",
        "PRAGMA recursive_triggers=OFF",
        "PRAGMA foreign_keys=OFF",
        "PRAGMA ignore_check_constraints=ON",
        "PRAGMA journal_mode=OFF",
        "PRAGMA synchronous=OFF",
        "PRAGMA secure_delete=OFF",
        "PRAGMA schema_version=1",
        "PRAGMA user_version=1",
        "PRAGMA trusted_schema=ON",
        "ATTACH ':memory:' AS other",
        "DETACH main",
        "VACUUM",
        "VACUUM INTO '/dev/null'",
        "REINDEX",
        "ANALYZE",
        "CREATE TABLE other (id)",
        "CREATE VIRTUAL TABLE other USING fts5(id)",
        "INSERT INTO sqlite_master VALUES ('table', 'other', 'other', 0, '')",
        "SELECT load_extension('other')",
        "UPDATE entry_link SET ordinal = ordinal + 1",
        "UPDATE ledger_pending SET entry_id = 'x'",
        "INSERT OR REPLACE INTO entry_link SELECT 'x', subject_id, ordinal FROM entry_link",
        "INSERT OR REPLACE INTO entry_link SELECT entry_id, subject_id, 9 FROM entry_link",
        "UPDATE alembic_version SET version_num = '0000'",
        "DELETE FROM alembic_version",
    ],
    "postgresql": [
        "SET session_replication_role = replica",
        "SELECT set_config('session_replication_role', 'replica', false)",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN NEW; END $$",
        "DROP FUNCTION refuse_change() CASCADE",
        "ALTER FUNCTION refuse_change() RENAME TO other",
        "CREATE TABLE other (id int)",
        "CREATE FUNCTION other() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'",
        "CREATE EXTENSION dblink",
        "ALTER SCHEMA public RENAME TO other",
        "DROP SCHEMA public CASCADE",
        "ALTER ROLE CURRENT_USER SUPERUSER",
        "ALTER SYSTEM SET session_replication_role = 'replica'",
        "COPY ledger_entry TO PROGRAM 'true'",
        "COPY ledger_entry FROM '/etc/passwd'",
        "UPDATE pg_trigger SET tgenabled = 'D'",
        "DELETE FROM pg_trigger",
        "UPDATE entry_link SET ordinal = ordinal + 1",
        "UPDATE ledger_pending SET entry_id = 'x'",
        "TRUNCATE entry_link",
        "INSERT INTO entry_link SELECT entry_id, subject_id, 9 FROM entry_link"
        " ON CONFLICT (entry_id) DO UPDATE SET ordinal = 9",
        "UPDATE alembic_version SET version_num = '0000'",
        "DELETE FROM alembic_version",
    ],
}
SPECIAL = {"sqlite": on_sqlite, "postgresql": on_postgresql}
ATTACKS = [
    (backend, attack)
    for backend in ("sqlite", "postgresql")
    for attack in (
        *(one for table in INSERT_ONLY for one in everywhere(table)),
        *(one for table in INSERT_ONLY for one in SPECIAL[backend](table)),
        *AROUND[backend],
    )
]
# The owner may change the schema: these are what its triggers must stop.
_OWNERS = ("UPDATE", "DELETE", "INSERT", "REPLACE", "WITH", "TRUNCATE", "MERGE", "DO ")
OWNER_ATTACKS = [
    (backend, attack)
    for backend, attack in ATTACKS
    if attack.startswith(_OWNERS)
    and not any(free in attack for free in ("alembic", "sqlite_", "pg_", "_pending", "WHERE false"))
    and "LOCK" not in attack
    and attack != "TRUNCATE entry_link"
]


@pytest.fixture
def recorded(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Rows in every protected table; their content, to be compared."""
    with database.transaction() as session:
        subject = service.open_subject(session, at=NOON)
        for _ in range(2):
            service.record(session, subject.id, "consent.expired", EXPIRED, at=NOON)
        data = {"kind": "privacy", "effective_on": "2026-11-01", "hashes": {"nb": "a" * 64}}
        entry_id = append_anonymous(session, "notice.published", data, at=NOON)
        session.add(Presentation(hash="b" * 64, bytes=b"{}", stored_at=NOON))
        session.add(
            NoticeVersion(
                kind="privacy",
                effective_on=date(2026, 11, 1),
                locale="nb",
                hash="a" * 64,
                source_hash="c" * 64,
                content=b"# Personvern",
                published_at=NOON,
                entry_id=entry_id,
            )
        )
    return contents(database)


def contents(database: Database) -> dict[str, list[tuple[object, ...]]]:
    with database.reading() as session:
        return {
            table.__tablename__: sorted(
                tuple(row) for row in session.execute(select(*table.__table__.columns))
            )
            for table in TABLES
        }


def attacked(database: Database, *statements: str) -> None:
    """Run the statements on a bare connection, each in a transaction of its own."""
    connection = database.engine.raw_connection()
    try:
        driver: Any = connection.driver_connection
        if isinstance(driver, psycopg.Connection):
            driver.autocommit = True
        else:
            # The pool may hand out a connection that was last used for reading.
            driver.execute("PRAGMA query_only=OFF")
        for statement in statements:
            driver.execute(statement)
    finally:
        connection.invalidate()
        connection.close()


@pytest.mark.parametrize(("backend", "attack"), ATTACKS, indirect=["backend"])
def test_the_application_can_only_insert(
    database: Database,
    recorded: dict[str, list[tuple[object, ...]]],
    attack: str,
) -> None:
    """Whatever got hold of the application's connection: the database refuses."""
    with pytest.raises(REFUSED, match=NOT_ALLOWED):
        attacked(database, attack)
    assert contents(database) == recorded
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None


@pytest.mark.parametrize(("backend", "attack"), OWNER_ATTACKS, indirect=["backend"])
def test_the_owner_is_refused_too(
    database: Database,
    owner: Database,
    recorded: dict[str, list[tuple[object, ...]]],
    attack: str,
) -> None:
    """A slip in a migration or at the owner's prompt: the triggers refuse."""
    with pytest.raises(REFUSED, match=GUARDED):
        attacked(owner, attack)
    assert contents(database) == recorded


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_replacing_is_refused_where_recursive_triggers_are_off(
    database: Database,
    owner: Database,
    recorded: dict[str, list[tuple[object, ...]]],
    table: str,
) -> None:
    """INSERT OR REPLACE deletes without a word to a DELETE trigger: the insert guard stops it."""
    with pytest.raises(sqlite3.IntegrityError, match="has this key already"):
        attacked(
            owner,
            "PRAGMA recursive_triggers=OFF",
            f"INSERT OR REPLACE INTO {table} {changed(table)}",
        )
    assert contents(database) == recorded


@pytest.mark.parametrize("table", [*INSERT_ONLY, "entry_link"])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_blob_cannot_be_opened_for_writing(
    owner: Database, recorded: dict[str, list[tuple[object, ...]]], table: str
) -> None:
    """Incremental I/O asks neither triggers nor authorizer, but it needs a rowid, and these
    tables have none."""
    column = KEY_AND_CONTENT.get(table, ("", "entry_id"))[1]
    connection = owner.engine.raw_connection()
    driver: Any = connection.driver_connection
    with pytest.raises(sqlite3.OperationalError, match="without rowid"):
        driver.blobopen(table, column, 1)
    connection.close()


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_superuser_in_replica_mode_is_refused(
    database: Database,
    urls: Urls,
    recorded: dict[str, list[tuple[object, ...]]],
    table: str,
) -> None:
    """session_replication_role = replica silences ordinary triggers; these are ALWAYS on."""
    url = make_url(cluster.admin_url(Path(os.environ["SAMTYKKE_TEST_RUN"])))
    url = url.set(drivername="postgresql", database=make_url(urls.owner).database)
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as admin:
        admin.execute("SET session_replication_role = replica")
        for attack in (f"DELETE FROM {table}", f"TRUNCATE {table} CASCADE"):
            with pytest.raises(psycopg.errors.RestrictViolation, match="refuses"):
                admin.execute(attack)
    assert contents(database) == recorded


def test_ordinary_writing_works(
    database: Database, recorded: dict[str, list[tuple[object, ...]]]
) -> None:
    """What is refused is refused there only: other rows change, with savepoints and all."""
    with database.transaction() as session:
        subject = service.open_subject(session, at=NOON)
        with session.begin_nested() as savepoint:
            subject.declared_age = 13
            session.flush()
            savepoint.rollback()
        subject.declared_age = 15
        service.record(session, subject.id, "consent.expired", EXPIRED, at=NOON)
        service.forget(session, subject.id)
        session.execute(text("DELETE FROM ledger_pending"))
        session.execute(insert(LedgerPending).from_select(["entry_id"], select(LedgerEntry.id)))
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None
    assert len(contents(database)["ledger_entry"]) == len(recorded["ledger_entry"]) + 1


def test_reading_cannot_write(database: Database) -> None:
    """A view that only reads can do no harm, not even by mistake."""
    with database.reading() as session, pytest.raises(Exception, match=r"read-?only"):
        session.execute(text("DELETE FROM ledger_pending"))


# --- What prevention cannot stop: the owner, who takes the guards away -------------------------


@pytest.fixture
def tampered(owner: Database) -> Callable[..., None]:
    """Runs statements as an owner who takes the guards and keys away, and puts the guards back
    as if nothing had been."""

    def tamper(*statements: str, values: dict[str, object] | None = None) -> None:
        sqlite = owner.engine.dialect.name == "sqlite"
        with owner.engine.connect() as connection:
            if sqlite:
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA foreign_keys=OFF")
            with connection.begin():
                for table, name in triggers():
                    on = "" if sqlite else f" ON {table}"
                    connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}{on}")
                if not sqlite:
                    connection.exec_driver_sql(
                        "ALTER TABLE entry_link DROP CONSTRAINT fk_entry_link_entry_id_ledger_entry"
                    )
                for statement in statements:
                    connection.execute(text(statement), values or {})
                guards.install(connection, guards.RULES)

    return tamper


def triggers() -> list[tuple[str, str]]:
    verbs = ("update", "delete", "truncate", "replace")
    return [(table, f"{table}_no_{verb}") for table in guards.RULES for verb in verbs]


def found(database: Database) -> str:
    with database.reading() as session:
        return str(first_violation(session, CHECKS))


def linked(session: Session, ordinal: int) -> Entry:
    link = EntryLink.entry_id == LedgerEntry.id
    query = select(LedgerEntry.bytes).join(EntryLink, link).where(EntryLink.ordinal == ordinal)
    return decode(session.scalars(query).one())


@pytest.fixture
def entry(database: Database, recorded: dict[str, list[tuple[object, ...]]]) -> Entry:
    """The first of two entries about a person."""
    with database.reading() as session:
        return linked(session, 1)


SET_BYTES = "UPDATE ledger_entry SET bytes = :bytes WHERE id = :id"


def test_taking_the_guards_away_and_back_is_no_violation(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """What the next tests find is what was changed, and not the way it was done."""
    tampered()
    assert found(database) == "None"


@pytest.mark.parametrize("position", [0, 10, 40, 100, 150, 200, -1])
def test_a_flipped_bit_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry, position: int
) -> None:
    """The bytes of an entry about a person: broken, under another id, or with another tag."""
    content = bytearray(entry.encode())
    content[position] ^= 0x01
    tampered(SET_BYTES, values={"bytes": bytes(content), "id": entry.id})
    assert f"entry {entry.id}" in found(database)


def test_swapped_bytes_are_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Two decisions that changed places."""
    with database.reading() as session:
        other = linked(session, 2)
    tampered(
        "UPDATE ledger_entry SET bytes = CASE id WHEN :one THEN :others ELSE :ones END"
        " WHERE id IN (:one, :other)",
        values={
            "one": entry.id,
            "ones": entry.encode(),
            "other": other.id,
            "others": other.encode(),
        },
    )
    assert "the bytes are those of entry" in found(database)


def test_a_removed_entry_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Its link is still there."""
    tampered(
        "DELETE FROM ledger_pending WHERE entry_id = :id",
        "DELETE FROM ledger_entry WHERE id = :id",
        values={"id": entry.id},
    )
    assert found(database).endswith(f"entry {entry.id}: linked and does not exist")


def test_an_entry_removed_with_its_traces_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry
) -> None:
    """Without its link, its number is missing among the person's."""
    tampered(
        "DELETE FROM ledger_pending WHERE entry_id = :id",
        "DELETE FROM entry_link WHERE entry_id = :id",
        "DELETE FROM ledger_entry WHERE id = :id",
        values={"id": entry.id},
    )
    assert found(database).startswith("invariant 16")


def test_an_entry_with_the_tag_of_another_is_found(
    database: Database, tampered: Callable[..., None], entry: Entry, NOON: datetime
) -> None:
    """Well-formed and canonical, but nobody with the person's key made it."""
    forged = Entry(id=entry.id, at=entry.at, type=entry.type, tag="d" * 64, data=entry.data)
    tampered(SET_BYTES, values={"bytes": forged.encode(), "id": entry.id})
    assert found(database).startswith("invariant 9")
    assert f"entry {entry.id}" in found(database)


GUARD_ATTACKS = [
    ("sqlite", ["DROP TRIGGER ledger_entry_no_update"]),
    ("sqlite", ["DROP TRIGGER presentation_no_replace"]),
    (
        "sqlite",
        [
            "DROP TRIGGER ledger_entry_no_delete",
            "CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON ledger_entry WHEN false"
            " BEGIN SELECT 1; END",
        ],
    ),
    (
        "sqlite",
        ["CREATE TRIGGER other BEFORE INSERT ON ledger_entry BEGIN SELECT RAISE(IGNORE); END"],
    ),
    ("postgresql", ["DROP TRIGGER ledger_entry_no_update ON ledger_entry"]),
    ("postgresql", ["ALTER TABLE ledger_entry DISABLE TRIGGER USER"]),
    ("postgresql", ["ALTER TABLE notice_version ENABLE TRIGGER notice_version_no_delete"]),
    (
        "postgresql",
        [
            "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RETURN NEW; END $$"
        ],
    ),
    (
        "postgresql",
        [
            "DROP TRIGGER ledger_entry_no_update ON ledger_entry",
            "CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE OF recorded_at ON ledger_entry"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()",
            "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_entry_no_update",
        ],
    ),
    (
        "postgresql",
        [
            "CREATE TRIGGER other BEFORE INSERT ON ledger_entry"
            " FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        ],
    ),
    ("postgresql", ["CREATE RULE other AS ON INSERT TO ledger_entry DO INSTEAD NOTHING"]),
]


@pytest.mark.parametrize(("backend", "attack"), GUARD_ATTACKS, indirect=["backend"])
def test_a_guard_that_was_weakened_is_found(
    database: Database, owner: Database, attack: list[str]
) -> None:
    """Dropped, disabled, hollowed out, narrowed, or with another trigger or rule beside it."""
    attacked(owner, *attack)
    assert found(database).startswith("invariant 14")
