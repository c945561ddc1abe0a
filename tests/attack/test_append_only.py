"""What was recorded cannot be changed: attacks on the insert-only tables, on both databases.

Two lines of defence, each attacked by whom it is meant for: the application's rights (roles,
the authorizer), and the triggers (the owner). What the owner does all the same is for
test_tampering.py.
"""

from __future__ import annotations

import os
import re
import sqlite3
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import exists, insert, make_url, select, text

from database import INSERT_ONLY, Database
from domain.ledger.invariants import first_violation
from domain.ledger.models import LedgerEntry, LedgerLeaf, LedgerPending
from domain.subjects import service
from tests.attack.attacks import ATTACKS, KEY_AND_CONTENT, OWNER_ATTACKS, changed
from tests.attack.ledgers import CHECKS, EXPIRED, Contents, attacked, contents
from tests.support import NOON, cluster
from tests.support.databases import Urls

pytestmark = pytest.mark.requirement(49)

REFUSED = (sqlite3.Error, psycopg.Error)
# Why: a test of refusals must not pass because of a slip in the attack.
GUARDED = (
    r"refuses (UPDATE|DELETE|TRUNCATE)|has this key already|duplicate key value"
    r"|cannot truncate a table referenced|column.*rowid"
)
NOT_ALLOWED = (
    r"not authorized|authorization denied|permission denied|must be (owner|superuser)"
    r"|sqlite_master may not be modified|has this key already|duplicate key value|column.*rowid"
    # Rows that the application may change or lose, but not so: the triggers refuse it.
    r"|entry_link refuses DELETE|subject refuses UPDATE"
)


def refusal(database: Database, attack: str) -> str:
    """What the database says to an attack."""
    try:
        attacked(database, attack)
    except REFUSED as error:
        return str(error)
    return "nothing"


@pytest.mark.parametrize(("backend", "name", "attacks"), ATTACKS, indirect=["backend"])
def test_the_application_can_only_insert(
    database: Database,
    recorded: Contents,
    name: str,
    attacks: list[str],
) -> None:
    """Whatever got hold of the application's connection: the database refuses."""
    for attack in attacks:
        assert re.search(NOT_ALLOWED, refusal(database, attack)), (name, attack)
    assert contents(database) == recorded
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None


@pytest.mark.parametrize(("backend", "name", "attacks"), OWNER_ATTACKS, indirect=["backend"])
def test_the_owner_is_refused_too(
    database: Database,
    owner: Database,
    recorded: Contents,
    name: str,
    attacks: list[str],
) -> None:
    """A slip in a migration or at the owner's prompt: the triggers refuse."""
    for attack in attacks:
        assert re.search(GUARDED, refusal(owner, attack)), (name, attack)
    assert contents(database) == recorded


@pytest.mark.parametrize("table", INSERT_ONLY)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_replacing_is_refused_where_recursive_triggers_are_off(
    database: Database,
    owner: Database,
    recorded: Contents,
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


@pytest.mark.parametrize("table", [*INSERT_ONLY, "entry_link", "subject"])
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_blob_cannot_be_opened_for_writing(
    owner: Database, recorded: Contents, table: str
) -> None:
    """Incremental I/O asks neither triggers nor authorizer, but it needs a rowid, and these
    tables have none."""
    others = {"entry_link": "entry_id", "subject": "wrapped_key"}
    column = others[table] if table in others else KEY_AND_CONTENT[table][1]
    connection = owner.engine.raw_connection()
    driver: Any = connection.driver_connection
    with pytest.raises(sqlite3.OperationalError, match="without rowid"):
        driver.blobopen(table, column, 1)
    connection.close()


@pytest.mark.parametrize("table", [*INSERT_ONLY, "entry_link"])
@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_superuser_in_replica_mode_is_refused(
    database: Database,
    urls: Urls,
    recorded: Contents,
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


def test_ordinary_writing_works(database: Database, recorded: Contents) -> None:
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
        waiting = select(LedgerEntry.id).where(
            ~exists().where(LedgerLeaf.entry_id == LedgerEntry.id)
        )
        session.execute(insert(LedgerPending).from_select(["entry_id"], waiting))
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None
    assert len(contents(database)["ledger_entry"]) == len(recorded["ledger_entry"]) + 1


@pytest.mark.requirement(50)
def test_links_go_with_their_person(database: Database, recorded: Contents) -> None:
    """Erasure is the one way, and it is open to the application; nobody else's links go."""
    with database.transaction() as session:
        subject = service.open_subject(session, at=NOON)
        kept = service.record(session, subject.id, "consent.expired", EXPIRED, at=NOON)
    attacked(database, "DELETE FROM subject WHERE linked = 2")
    left = contents(database)
    assert [row[0] for row in left["entry_link"]] == [kept]
    assert [row[0] for row in left["subject"]] == [subject.id]
    assert set(left["ledger_entry"]) > set(recorded["ledger_entry"])
    with database.reading() as session:
        assert first_violation(session, CHECKS) is None


def test_reading_cannot_write(database: Database) -> None:
    """A view that only reads can do no harm, not even by mistake."""
    with database.reading() as session, pytest.raises(Exception, match=r"read-?only"):
        session.execute(text("DELETE FROM ledger_pending"))
