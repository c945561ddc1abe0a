"""The table of attacks: statements that must not change or hide what was recorded."""

from __future__ import annotations

from database import INSERT_ONLY

# Each table's key, and a column whose change would change what was recorded.
KEY_AND_CONTENT = {
    "ledger_entry": ("id", "bytes"),
    "presentation": ("hash", "bytes"),
    "notice_version": ("kind, effective_on, locale", "content"),
    "ledger_leaf": ("position", "leaf_hash"),
    "ledger_tile": ("level, number", "data"),
    "ledger_state": ("size", "root"),
    "ledger_checkpoint": ("size", "note"),
    "ledger_cosignature": ("size, verifier_key", "line"),
    "ledger_key": ("verifier_key", "from_size"),
    "ledger_key_end": ("verifier_key", "to_size"),
}
_NUMBERS = ("from_size", "to_size", "position", "level", "size")


def _doubled(column: str, of: str = "") -> str:
    """The column with other content than it has."""
    return f"{of}{column} {'+' if column in _NUMBERS else '||'} {of}{column}"


def _other(column: str) -> str:
    return "7" if column in _NUMBERS else "'x'"


def changed(table: str) -> str:
    """A SELECT of the table's rows, each with its key and other content."""
    columns = {
        "ledger_entry": "id, bytes || bytes, recorded_at",
        "presentation": "hash, bytes || bytes, stored_at",
        "notice_version": "kind, effective_on, locale, hash, source_hash, content || content,"
        " published_at, entry_id",
        "ledger_leaf": "position, entry_id, leaf_hash || leaf_hash",
        "ledger_tile": "level, number, root, data || data",
        "ledger_state": "size, root || root, previous_size",
        "ledger_checkpoint": "size, note || note, signed_at",
        "ledger_cosignature": "size, verifier_key, line || line, seen_at",
        "ledger_key": "verifier_key, from_size + from_size",
        "ledger_key_end": "verifier_key, to_size + to_size",
    }
    # WHERE true: SQLite reads ON CONFLICT as the ON of a join without it.
    return f"SELECT {columns[table]} FROM {table} WHERE true"


def everywhere(table: str) -> list[str]:
    """Attacks that both databases have a grammar for."""
    key, content = KEY_AND_CONTENT[table]
    first = key.split(",")[0]
    return [
        f"UPDATE {table} SET {content} = {_doubled(content)}",
        f"UPDATE {table} SET {first} = {first}",
        f"UPDATE {table} SET {first} = {_other(first)} WHERE false",
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
        f"{merge} UPDATE SET {content} = {_doubled(content, 's.')}",
        f"{merge} DELETE",
        f"UPDATE ONLY {table} SET {content} = {content}",
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


# A decision is hidden where its link goes and the person's counter goes back with it.
_SUBJECTS = (
    "(id, wrapped_key, opened_at, confirmed_at, declared_age, linked)"
    " SELECT id, wrapped_key, opened_at, confirmed_at, declared_age, 0 FROM subject WHERE true"
)
HIDING = [
    "DELETE FROM entry_link",
    "DELETE FROM entry_link WHERE ordinal = 2",
    "DELETE FROM entry_link WHERE subject_id IN (SELECT id FROM subject)",
    "WITH newest AS (SELECT max(ordinal) AS n FROM entry_link)"
    " DELETE FROM entry_link WHERE ordinal = (SELECT n FROM newest)",
    "UPDATE subject SET linked = linked - 1",
    "UPDATE subject SET declared_age = 15, linked = 0",
    "UPDATE subject SET linked = '1'",
    "UPDATE subject SET id = '00000000000000000000000000000000'",
    f"INSERT INTO subject {_SUBJECTS}",
    f"INSERT INTO subject {_SUBJECTS} ON CONFLICT (id) DO UPDATE SET linked = excluded.linked",
]
AROUND = {
    "sqlite": [
        *HIDING,
        f"INSERT OR REPLACE INTO subject {_SUBJECTS}",
        f"REPLACE INTO subject {_SUBJECTS}",
        "UPDATE OR REPLACE subject SET linked = 1",
        "UPDATE OR IGNORE subject SET linked = 1",
        "INSERT INTO subject (rowid) VALUES (1)",
        "DROP TRIGGER entry_link_no_delete",
        "DROP TRIGGER subject_no_lowering",
        "CREATE TEMP TRIGGER other BEFORE DELETE ON entry_link BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TEMP TABLE subject (id)",
        "CREATE TEMP VIEW subject AS SELECT 1",
        "PRAGMA defer_foreign_keys=ON",
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
        *HIDING,
        "MERGE INTO entry_link AS l USING subject AS s ON l.subject_id = s.id"
        " WHEN MATCHED THEN DELETE",
        "MERGE INTO subject AS s USING entry_link AS l ON l.subject_id = s.id AND l.ordinal = 2"
        " WHEN MATCHED THEN UPDATE SET linked = l.ordinal - 1",
        "DO $$ BEGIN DELETE FROM entry_link; END $$",
        "TRUNCATE subject CASCADE",
        "ALTER TABLE entry_link DISABLE TRIGGER USER",
        "ALTER TABLE subject DISABLE TRIGGER USER",
        "DROP TRIGGER entry_link_no_delete ON entry_link",
        "DROP TRIGGER subject_no_lowering ON subject",
        "CREATE OR REPLACE FUNCTION refuse_parting() RETURNS trigger LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN OLD; END $$",
        "GRANT DELETE ON entry_link TO CURRENT_USER; DELETE FROM entry_link",
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
ATTACKS: list[tuple[str, str, list[str]]] = [
    *(
        (backend, table, [*everywhere(table), *SPECIAL[backend](table)])
        for backend in ("sqlite", "postgresql")
        for table in INSERT_ONLY
    ),
    *((backend, "around", attacks) for backend, attacks in AROUND.items()),
]
# The owner may change the schema: these are what its triggers must stop.
_OWNERS = ("UPDATE", "DELETE", "INSERT", "REPLACE", "WITH", "TRUNCATE", "MERGE", "DO ")
_FREE = ("alembic", "sqlite_", "pg_", "_pending", "WHERE false", "LOCK")


def _stopped(attack: str) -> bool:
    return attack.startswith(_OWNERS) and not any(free in attack for free in _FREE)


OWNER_ATTACKS = [
    (backend, name, [attack for attack in attacks if _stopped(attack)])
    for backend, name, attacks in ATTACKS
]
