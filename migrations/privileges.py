"""PostgreSQL: what the application's role may do, granted by the owner and checked at start."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, MetaData, text

from database import NEVER

_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE")
# Besides the verbs: what would let a role empty a table, or hang something on it.
_STRUCTURAL = ("TRUNCATE", "REFERENCES", "TRIGGER")


def grant(connection: Connection, role: str, metadata: MetaData) -> None:
    """Give the application's role its privileges on every table, and take all others."""
    quote = connection.dialect.identifier_preparer.quote
    name = quote(role)
    schema = quote(str(connection.exec_driver_sql("SELECT current_schema()").scalar_one()))
    run = connection.exec_driver_sql
    for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
        run(f"REVOKE ALL ON ALL {kind} IN SCHEMA {schema} FROM PUBLIC, {name}")
    for table in (*metadata.tables, "alembic_version"):
        allowed = [verb for verb in _VERBS if verb not in NEVER.get(table, ())]
        run(f"GRANT {', '.join(allowed)} ON {quote(table)} TO {name}")
    run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {name}")
    database, owned = connection.execute(_DATABASE).one()
    if owned:
        # A temporary table hides the real one of its name from whoever made it.
        run(f"REVOKE TEMPORARY ON DATABASE {quote(database)} FROM PUBLIC, {name}")


def excess(connection: Connection, owner: str | None) -> Iterator[str]:
    """What the connection's role may do and the application must not, a sentence each."""
    (role,) = connection.execute(text("SELECT current_user")).one()
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
    for table, never in NEVER.items():
        for privilege in (*sorted(never), *_STRUCTURAL):
            values = {"table": table, "privilege": privilege}
            has = _HAS_COLUMN if privilege in _BY_COLUMN else _HAS
            if connection.execute(has, values).scalar():
                yield f"The role {role} has {privilege} on {table}."


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
_BY_COLUMN = ("INSERT", "UPDATE", "REFERENCES")
