"""Alembic's entry: runs on the connection that migrations.migrate opened, in its transaction."""

from __future__ import annotations

from typing import Any, Literal

from alembic import context

from database import UtcDateTime
from migrations import metadata


def _render(kind: str, item: object, autogen: Any) -> str | Literal[False]:
    """Drafts name plain types: a migration must not change when a class of ours does."""
    return "sa.DateTime(timezone=True)" if isinstance(item, UtcDateTime) else False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata(),
    render_item=_render,
    # SQLite can alter little in place: tables are copied instead. Its DDL is transactional,
    # because database.py begins transactions and not the driver.
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
