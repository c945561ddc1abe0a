"""The triggers that make the database itself refuse to change what was recorded.

They hold for everybody who may write at all, the owner included; roles (PostgreSQL) and the
authorizer (SQLite, see database.py) stand before them. The owner can still drop a trigger:
that leaves evidence, and `missing` and `strangers` find it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, TextClause, bindparam, text
from sqlalchemy.orm import Session


@dataclass(frozen=True)
class Rule:
    """How one table is guarded. `keys` are its unique keys, the primary one first.

    `deletable` where rows go when a person does (GDPR art. 17), and only whole.
    """

    keys: tuple[tuple[str, ...], ...]
    deletable: bool = False


RULES: Mapping[str, Rule] = {
    "ledger_entry": Rule(keys=(("id",),)),
    "presentation": Rule(keys=(("hash",),)),
    "notice_version": Rule(keys=(("kind", "effective_on", "locale"),)),
    "entry_link": Rule(keys=(("entry_id",), ("subject_id", "ordinal")), deletable=True),
}

_FUNCTION = "refuse_change"
_BODY = """
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' refuses ' || TG_OP,
        ERRCODE = 'restrict_violation';
END
"""


def install(connection: Connection, rules: Mapping[str, Rule]) -> None:
    """Guard these tables. Migrations call it, each with the rules of its own tables."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql"
            f" AS $${_BODY}$$"
        )
    for table, rule in rules.items():
        for name, definition in _definitions(connection.dialect.name, table, rule):
            connection.exec_driver_sql(definition)
            if connection.dialect.name == "postgresql":
                # ALWAYS: session_replication_role = replica does not switch it off.
                connection.exec_driver_sql(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def missing(session: Session) -> list[str]:
    """The guards that are not in the database as `install` made them, by name."""
    dialect = session.connection().dialect.name
    found = _found(session)
    return [
        name
        for table, rule in RULES.items()
        for name, definition in _definitions(dialect, table, rule)
        if found.get(name) != definition
    ]


def strangers(session: Session) -> list[str]:
    """Triggers and rules on guarded tables that are not guards: they could change a row on its
    way in, or swallow it."""
    dialect = session.connection().dialect.name
    known = {
        name for table, rule in RULES.items() for name, _ in _definitions(dialect, table, rule)
    }
    found = set(_found(session))
    if dialect == "postgresql":
        found |= set(session.scalars(_named(_POSTGRESQL_RULES)))
    return sorted(found - known)


def _definitions(dialect: str, table: str, rule: Rule) -> Iterator[tuple[str, str]]:
    if dialect == "postgresql":
        return _postgresql(table, rule)
    return _sqlite(table, rule)


def _sqlite(table: str, rule: Rule) -> Iterator[tuple[str, str]]:
    refused = ("update",) if rule.deletable else ("update", "delete")
    for verb in refused:
        name = f"{table}_no_{verb}"
        yield (
            name,
            f"CREATE TRIGGER {name} BEFORE {verb.upper()} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{table} refuses {verb.upper()}'); END",
        )
    # INSERT OR REPLACE deletes the row in its way, and where recursive_triggers is off no
    # DELETE trigger hears of it. So no insert may find a row in its way at all.
    occupied = " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE {_same(key)})"  # noqa: S608 - our own names
        for key in rule.keys
    )
    name = f"{table}_no_replace"
    yield (
        name,
        f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN {occupied} "
        f"BEGIN SELECT RAISE(ABORT, '{table} has this key already'); END",
    )


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"{column} = NEW.{column}" for column in key)


def _postgresql(table: str, rule: Rule) -> Iterator[tuple[str, str]]:
    # Written as pg_get_triggerdef writes them, so that `missing` can compare.
    for verb, each in (("UPDATE", "ROW"), ("DELETE", "ROW"), ("TRUNCATE", "STATEMENT")):
        if verb == "UPDATE" or not rule.deletable:
            name = f"{table}_no_{verb.lower()}"
            yield (
                name,
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table} "
                f"FOR EACH {each} EXECUTE FUNCTION {_FUNCTION}()",
            )


def _found(session: Session) -> dict[str, str]:
    """Triggers on guarded tables: definition by name, empty for one that would not fire."""
    if session.connection().dialect.name == "sqlite":
        return {name: sql for name, sql in session.execute(_named(_SQLITE_TRIGGERS))}
    rows = session.execute(_named(_POSTGRESQL_TRIGGERS))
    return {
        name: definition if enabled == "A" and body == _BODY else ""
        for name, definition, enabled, body in rows
    }


def _named(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("tables", list(RULES), expanding=True))


_SQLITE_TRIGGERS = """
    SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) IN :tables
"""
_POSTGRESQL_TRIGGERS = """
    SELECT t.tgname, pg_get_triggerdef(t.oid, true), t.tgenabled::text, p.prosrc
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relname IN :tables AND pg_table_is_visible(c.oid) AND NOT t.tgisinternal
"""
_POSTGRESQL_RULES = """
    SELECT r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE c.relname IN :tables AND pg_table_is_visible(c.oid)
"""
