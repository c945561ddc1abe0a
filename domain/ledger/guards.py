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

    Rows never change and never go, but for these two, which go when a person does (GDPR
    art. 17): where there is a `parent` (a column, and the table whose id it holds), rows go
    with the row they point at and not before; where there is a `counter`, rows change and go,
    but the primary key stays and the counter never falls.
    """

    keys: tuple[tuple[str, ...], ...]
    parent: tuple[str, str] | None = None
    counter: str | None = None


RULES: Mapping[str, Rule] = {
    "ledger_entry": Rule(keys=(("id",),)),
    "presentation": Rule(keys=(("hash",),)),
    "notice_version": Rule(keys=(("kind", "effective_on", "locale"),)),
    "entry_link": Rule(
        keys=(("entry_id",), ("subject_id", "ordinal")), parent=("subject_id", "subject")
    ),
    "subject": Rule(keys=(("id",),), counter="linked"),
    "ledger_leaf": Rule(keys=(("position",), ("entry_id",))),
    "ledger_tile": Rule(keys=(("level", "number"),)),
    "ledger_state": Rule(keys=(("size",), ("previous_size",))),
    "ledger_checkpoint": Rule(keys=(("size",),)),
    "ledger_cosignature": Rule(keys=(("size", "verifier_key"),)),
    "ledger_key": Rule(keys=(("verifier_key",),)),
    "ledger_key_end": Rule(keys=(("verifier_key",),)),
}

# PostgreSQL's trigger functions.
_FUNCTIONS: Mapping[str, str] = {
    "refuse_change": """
BEGIN
    RAISE EXCEPTION USING
        MESSAGE = TG_TABLE_NAME || ' refuses ' || TG_OP,
        ERRCODE = 'restrict_violation';
END
""",
    # Arguments: the parent and the column that points at it. When the foreign key's cascade
    # comes here, the parent's row is gone already.
    "refuse_parting": """
DECLARE
    attached boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %I.%I WHERE id = ($1).%I)',
        TG_TABLE_SCHEMA, TG_ARGV[0], TG_ARGV[1]
    ) INTO attached USING OLD;
    IF attached THEN
        RAISE EXCEPTION USING
            MESSAGE = TG_TABLE_NAME || ' refuses ' || TG_OP,
            ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
""",
}


def install(connection: Connection, rules: Mapping[str, Rule]) -> None:
    """Guard these tables. Migrations call it, each with the rules of its own tables."""
    if connection.dialect.name == "postgresql":
        for function, body in _FUNCTIONS.items():
            doubled = body.replace("%", "%%")  # the driver reads a single one as its own
            connection.exec_driver_sql(
                f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql"
                f" AS $${doubled}$$"
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
    for name, event, condition in _sqlite_refusals(table, rule):
        when = f"WHEN {condition} " if condition else ""
        yield (
            name,
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{table} refuses {event}'); END",
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


def _sqlite_refusals(table: str, rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Name, event and condition."""
    if rule.counter:
        yield f"{table}_no_lowering", "UPDATE", _lowered(rule, rule.counter)
        return
    yield f"{table}_no_update", "UPDATE", ""
    attached = ""
    if rule.parent:
        column, parent = rule.parent
        attached = f"EXISTS (SELECT 1 FROM {parent} WHERE id = OLD.{column})"  # noqa: S608 - our own
    yield f"{table}_no_delete", "DELETE", attached


def _same(key: tuple[str, ...]) -> str:
    return " AND ".join(f"{column} = NEW.{column}" for column in key)


def _lowered(rule: Rule, counter: str) -> str:
    moved = (f"new.{column} <> old.{column}" for column in rule.keys[0])
    return " OR ".join((f"new.{counter} < old.{counter}", *moved))


def _postgresql(table: str, rule: Rule) -> Iterator[tuple[str, str]]:
    # Written as pg_get_triggerdef writes them, so that `missing` can compare.
    for name, event, refusal in _postgresql_refusals(table, rule):
        yield name, f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH {refusal}"


def _postgresql_refusals(table: str, rule: Rule) -> Iterator[tuple[str, str, str]]:
    """Name, event, and the rest: for each what, when, and by which function."""
    refuse = "EXECUTE FUNCTION refuse_change()"
    if rule.counter:
        lowered = _lowered(rule, rule.counter)
        yield f"{table}_no_lowering", "UPDATE", f"ROW WHEN ({lowered}) {refuse}"
    else:
        yield f"{table}_no_update", "UPDATE", f"ROW {refuse}"
        if rule.parent:
            column, parent = rule.parent
            part = f"EXECUTE FUNCTION refuse_parting('{parent}', '{column}')"
            yield f"{table}_no_delete", "DELETE", f"ROW {part}"
        else:
            yield f"{table}_no_delete", "DELETE", f"ROW {refuse}"
    yield f"{table}_no_truncate", "TRUNCATE", f"STATEMENT {refuse}"


def _found(session: Session) -> dict[str, str]:
    """Triggers on guarded tables: definition by name, empty for one that would not fire."""
    if session.connection().dialect.name == "sqlite":
        return {name: sql for name, sql in session.execute(_named(_SQLITE_TRIGGERS))}
    rows = session.execute(_named(_POSTGRESQL_TRIGGERS))
    return {
        name: definition if enabled == "A" and body == _FUNCTIONS.get(function) else ""
        for name, definition, enabled, function, body in rows
    }


def _named(statement: str) -> TextClause:
    return text(statement).bindparams(bindparam("tables", list(RULES), expanding=True))


_SQLITE_TRIGGERS = """
    SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) IN :tables
"""
_POSTGRESQL_TRIGGERS = """
    SELECT t.tgname, pg_get_triggerdef(t.oid, true), t.tgenabled::text, p.proname, p.prosrc
    FROM pg_trigger t
    JOIN pg_class c ON c.oid = t.tgrelid
    JOIN pg_proc p ON p.oid = t.tgfoid
    WHERE c.relname IN :tables AND pg_table_is_visible(c.oid) AND NOT t.tgisinternal
"""
_POSTGRESQL_RULES = """
    SELECT r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE c.relname IN :tables AND pg_table_is_visible(c.oid)
"""
