"""PostgreSQL: what the application's role may do and what that of bookkeeping, granted by the
owner and checked at start."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, MetaData, text

from database import ACCOUNTING, NEVER

_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")
# Besides the verbs: what would let a role empty a table, or hang something on it.
_STRUCTURAL = ("TRUNCATE", "REFERENCES", "TRIGGER")


def grant(connection: Connection, role: str, metadata: MetaData) -> None:
    """Give the application's role its privileges on every table, and take all others."""
    schema = _take_all(connection, role)
    quote = connection.dialect.identifier_preparer.quote
    run = connection.exec_driver_sql
    for table in (*metadata.tables, "alembic_version"):
        allowed = [verb for verb in _VERBS if verb not in NEVER.get(table, ())]
        if allowed:
            run(f"GRANT {', '.join(allowed)} ON {quote(table)} TO {quote(role)}")
    run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {quote(role)}")


def grant_accounting(connection: Connection, role: str) -> None:
    """Give the role of bookkeeping its own table, and take everything else."""
    _take_all(connection, role)
    quote = connection.dialect.identifier_preparer.quote
    for table, verbs in ACCOUNTING.items():
        connection.exec_driver_sql(
            f"GRANT {', '.join(sorted(verbs))} ON {quote(table)} TO {quote(role)}"
        )


def _take_all(connection: Connection, role: str) -> str:
    """Take what the role may do in the schema, whose name is returned."""
    quote = connection.dialect.identifier_preparer.quote
    name = quote(role)
    schema = quote(str(connection.exec_driver_sql("SELECT current_schema()").scalar_one()))
    run = connection.exec_driver_sql
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        run(f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM PUBLIC, {name}")
    database, owned = connection.execute(_DATABASE).one()
    if owned:
        # A temporary table hides the real one of its name from whoever made it.
        run(f"REVOKE TEMPORARY ON DATABASE {quote(database)} FROM PUBLIC, {name}")
    return schema


def excess(connection: Connection, owner: str | None) -> Iterator[str]:
    """What the connection's role may do and the application must not, a sentence each."""
    yield from _excess_of_any(connection, owner)
    for table, never in NEVER.items():
        yield from _held(connection, table, (*sorted(never), *_STRUCTURAL))
    for (keeper,) in connection.execute(_KEEPERS):
        (role,) = connection.execute(_WHO).one()
        yield f"The role {role} is a member of {keeper}, which keeps the books."


def accounting_excess(connection: Connection, owner: str | None) -> Iterator[str]:
    """What the connection's role may do and bookkeeping must not, and what it must do and may
    not, a sentence each."""
    yield from _excess_of_any(connection, owner)
    for (table,) in connection.execute(_TABLES).all():
        allowed = ACCOUNTING.get(table, frozenset())
        never = [verb for verb in _VERBS if verb not in allowed]
        yield from _held(connection, table, (*never, *_STRUCTURAL))
    (role,) = connection.execute(_WHO).one()
    for table, verbs in ACCOUNTING.items():
        for verb in sorted(verbs):
            if not connection.execute(_HAS, {"table": table, "privilege": verb}).scalar():
                yield f"The role {role} has no {verb} on {table}; run: flask database upgrade"


def _excess_of_any(connection: Connection, owner: str | None) -> Iterator[str]:
    """What no role but the owner's may do."""
    (role,) = connection.execute(_WHO).one()
    attributes = connection.execute(_ATTRIBUTES).one()._asdict()
    for attribute, held in attributes.items():
        if held:
            yield f"The role {role} is {attribute.upper()}; the application's must not be."
    if owner and owner != role and connection.execute(_MEMBER, {"owner": owner}).scalar():
        yield f"The role {role} is a member of {owner}, which owns the tables."
    if connection.execute(_CREATES).scalar():
        yield f"The role {role} may create tables; only the owner should."
    if connection.execute(_TEMPORARY).scalar():
        yield f"The role {role} may create temporary tables, which could hide the real ones."
    for (table,) in connection.execute(_OWNED):
        yield f"The role {role} owns the table {table}; migrations need a role of their own."


def _held(connection: Connection, table: str, privileges: Iterable[str]) -> Iterator[str]:
    (role,) = connection.execute(_WHO).one()
    for privilege in privileges:
        has = _HAS_COLUMN if privilege in _BY_COLUMN else _HAS
        if connection.execute(has, {"table": table, "privilege": privilege}).scalar():
            yield f"The role {role} has {privilege} on {table}."


_WHO = text("SELECT current_user")
_ATTRIBUTES = text(
    "SELECT rolsuper AS superuser, rolcreaterole AS createrole, rolreplication AS replication"
    " FROM pg_roles WHERE rolname = current_user"
)
# A predefined or hosted owner may not exist as a role of this name: then nobody is a member.
_MEMBER = text(
    "SELECT pg_has_role(current_user, oid, 'MEMBER') FROM pg_roles WHERE rolname = :owner"
)
_CREATES = text("SELECT has_schema_privilege(current_schema(), 'CREATE')")
_TEMPORARY = text("SELECT has_database_privilege(current_database(), 'TEMPORARY')")
_DATABASE = text(
    "SELECT datname, pg_has_role(datdba, 'USAGE') FROM pg_database"
    " WHERE datname = current_database()"
)
_OWNED = text(
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p')"
    " AND relnamespace = current_schema()::regnamespace AND pg_has_role(relowner, 'USAGE')"
    " ORDER BY relname"
)
_FOUND = "FROM pg_class c WHERE c.relname = :table AND pg_table_is_visible(c.oid)"
_HAS = text(f"SELECT has_table_privilege(c.oid, :privilege) {_FOUND}")
# On one column is as good as on all: UPDATE (bytes) changes an entry.
_HAS_COLUMN = text(f"SELECT has_any_column_privilege(c.oid, :privilege) {_FOUND}")
_BY_COLUMN = ("SELECT", "INSERT", "UPDATE", "REFERENCES")
_TABLES = text(
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm', 'f')"
    " AND relnamespace = current_schema()::regnamespace ORDER BY relname"
)
# Whoever was granted the books: the application may not become one of them.
_KEEPERS = text(
    "SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a"
    " JOIN pg_roles r ON r.oid = a.grantee"
    " WHERE c.relname = 'accounting_record' AND pg_table_is_visible(c.oid)"
    " AND a.grantee <> c.relowner AND r.rolname <> current_user"
    " AND pg_has_role(current_user, a.grantee, 'MEMBER')"
)
