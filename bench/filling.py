"""A database as large as years of use would make it, filled by the database itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, text

from database import Database, UtcDateTime


def fill(owner_url: str, *, subjects: int, entries: int, at: datetime) -> None:
    """So many people, with so many entries among them: seven of ten have a yes to the newsletter
    in force, and nine of ten a confirmed address."""
    owner = Database(owner_url, owner=True)
    postgresql = owner.engine.dialect.name == "postgresql"
    values: dict[str, Any] = {
        "subjects": subjects,
        "each": max(1, entries // subjects),
        "past": at - timedelta(days=30),
        "until": at + timedelta(days=700),
    }
    with owner.transaction() as session:
        for statement in _POSTGRESQL if postgresql else _SQLITE:
            clause = text(statement)
            for name in ("past", "until"):
                if f":{name}" in statement:
                    clause = clause.bindparams(bindparam(name, type_=UtcDateTime()))
            asked = {name: value for name, value in values.items() if f":{name}" in statement}
            session.execute(clause, asked)
    plain = owner.engine.execution_options(sqlite_looking=True)
    if postgresql:
        plain = owner.engine.execution_options(isolation_level="AUTOCOMMIT")
    with plain.connect() as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if postgresql else "ANALYZE")
    owner.close()


# Ids that look random and are the same each time.
_POSTGRESQL = (
    """
    INSERT INTO subject (id, wrapped_key, opened_at, confirmed_at, declared_age, linked)
    SELECT CAST(md5('s' || n) AS uuid), decode(repeat(md5('k' || n), 5), 'hex'), :past,
        CASE WHEN n % 10 = 9 THEN NULL ELSE :past END, 15, :each
    FROM generate_series(1, :subjects) AS n
    """,
    """
    INSERT INTO ledger_entry (id, bytes, recorded_at)
    SELECT md5('e' || n || '-' || k), decode(repeat(md5('b' || n || k), 30), 'hex'), :past
    FROM generate_series(1, :subjects) AS n, generate_series(1, :each) AS k
    """,
    """
    INSERT INTO entry_link (entry_id, subject_id, ordinal)
    SELECT md5('e' || n || '-' || k), CAST(md5('s' || n) AS uuid), k
    FROM generate_series(1, :subjects) AS n, generate_series(1, :each) AS k
    """,
    """
    INSERT INTO current_decision
        (subject_id, purpose_id, state, entry_id, at, purpose_version, expires_at)
    SELECT CAST(md5('s' || n) AS uuid), 'marketing',
        CASE WHEN n % 10 < 7 THEN 'given' ELSE 'refused' END,
        md5('e' || n || '-1'), :past, 1, :until
    FROM generate_series(1, :subjects) AS n
    """,
)
# An odd multiplier walks through all numbers of 32 bits without meeting itself.
_SQLITE = (
    """
    INSERT INTO subject (id, wrapped_key, opened_at, confirmed_at, declared_age, linked)
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :subjects)
    SELECT printf('%08x%024x', (n * 2654435761) & 4294967295, n), randomblob(80), :past,
        CASE WHEN n % 10 = 9 THEN NULL ELSE :past END, 15, :each
    FROM s
    """,
    """
    INSERT INTO ledger_entry (id, bytes, recorded_at)
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :subjects),
        e(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM e WHERE k < :each)
    SELECT printf('%08x%016x%08x', (n * 2654435761) & 4294967295, n, k), randomblob(480), :past
    FROM s, e
    """,
    """
    INSERT INTO entry_link (entry_id, subject_id, ordinal)
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :subjects),
        e(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM e WHERE k < :each)
    SELECT printf('%08x%016x%08x', (n * 2654435761) & 4294967295, n, k),
        printf('%08x%024x', (n * 2654435761) & 4294967295, n), k
    FROM s, e
    """,
    """
    INSERT INTO current_decision
        (subject_id, purpose_id, state, entry_id, at, purpose_version, expires_at)
    WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < :subjects)
    SELECT printf('%08x%024x', (n * 2654435761) & 4294967295, n), 'marketing',
        CASE WHEN n % 10 < 7 THEN 'given' ELSE 'refused' END,
        printf('%08x%016x%08x', (n * 2654435761) & 4294967295, n, 1), :past, 1, :until
    FROM s
    """,
)
