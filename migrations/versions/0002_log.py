"""The log: positions, tiles, states, checkpoints, keys.

The queue gets a number of its own, so that it can be read in order without sorting entries.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from domain.ledger.guards import Rule, install

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HASH = sa.LargeBinary(length=32)

GUARDED = {
    "ledger_leaf": Rule(keys=(("position",), ("entry_id",))),
    "ledger_tile": Rule(keys=(("level", "number"),)),
    "ledger_state": Rule(keys=(("size",), ("previous_size",))),
    "ledger_checkpoint": Rule(keys=(("size",),)),
    "ledger_cosignature": Rule(keys=(("size", "verifier_key"),)),
    "ledger_key": Rule(keys=(("verifier_key",),)),
    "ledger_key_end": Rule(keys=(("verifier_key",),)),
}


def upgrade() -> None:
    """Number the queue, make the tables, then their guards."""
    _queue()
    _tree()
    _signed()
    _keys()
    install(op.get_bind(), GUARDED)


def _queue() -> None:
    """What waits keeps its place: in the order it was recorded."""
    op.rename_table("ledger_pending", "ledger_pending_before")
    if op.get_bind().dialect.name == "postgresql":
        # These keep their names where a table is renamed, and the new table takes the names.
        for name in ("pk_ledger_pending", "fk_ledger_pending_entry_id_ledger_entry"):
            op.execute(f"ALTER TABLE ledger_pending_before RENAME CONSTRAINT {name} TO {name}_old")
    op.create_table(
        "ledger_pending",
        sa.Column(
            "number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True
        ),
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_ledger_pending_entry_id_ledger_entry"
        ),
        sa.PrimaryKeyConstraint("number", name="pk_ledger_pending"),
        sa.UniqueConstraint("entry_id", name="uq_ledger_pending_entry_id"),
    )
    op.execute(
        "INSERT INTO ledger_pending (entry_id) SELECT p.entry_id FROM ledger_pending_before p"
        " JOIN ledger_entry e ON e.id = p.entry_id ORDER BY e.recorded_at, e.id"
    )
    op.drop_table("ledger_pending_before")
    if op.get_bind().dialect.name == "postgresql":
        # Every row of the queue dies young; left lying they would slow down reading it.
        op.execute(
            "ALTER TABLE ledger_pending SET (autovacuum_vacuum_scale_factor = 0,"
            " autovacuum_vacuum_threshold = 5000)"
        )


def _tree() -> None:
    op.create_table(
        "ledger_leaf",
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.Column("leaf_hash", HASH, nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_ledger_leaf_entry_id_ledger_entry"
        ),
        sa.CheckConstraint("position >= 0", name="ck_ledger_leaf_from_0"),
        sa.PrimaryKeyConstraint("position", name="pk_ledger_leaf"),
        sa.UniqueConstraint("entry_id", name="uq_ledger_leaf_entry_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_tile",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", HASH, nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("level >= 0 AND number >= 0", name="ck_ledger_tile_from_0"),
        sa.PrimaryKeyConstraint("level", "number", name="pk_ledger_tile"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_state",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", HASH, nullable=False),
        sa.Column("previous_size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("previous_size >= 0", name="ck_ledger_state_from_0"),
        sa.CheckConstraint("size > previous_size", name="ck_ledger_state_grows"),
        sa.PrimaryKeyConstraint("size", name="pk_ledger_state"),
        sa.UniqueConstraint("previous_size", name="uq_ledger_state_previous_size"),
        sqlite_with_rowid=False,
    )


def _signed() -> None:
    op.create_table(
        "ledger_checkpoint",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("note", sa.LargeBinary, nullable=False),
        sa.Column("signed_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["size"], ["ledger_state.size"], name="fk_ledger_checkpoint_size_ledger_state"
        ),
        sa.PrimaryKeyConstraint("size", name="pk_ledger_checkpoint"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_cosignature",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("verifier_key", sa.String(length=255), nullable=False),
        sa.Column("line", sa.String(length=1000), nullable=False),
        sa.Column("seen_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["size"],
            ["ledger_checkpoint.size"],
            name="fk_ledger_cosignature_size_ledger_checkpoint",
        ),
        sa.PrimaryKeyConstraint("size", "verifier_key", name="pk_ledger_cosignature"),
        sqlite_with_rowid=False,
    )


def _keys() -> None:
    op.create_table(
        "ledger_key",
        sa.Column("verifier_key", sa.String(length=255), nullable=False),
        sa.Column("from_size", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("from_size >= 0", name="ck_ledger_key_from_0"),
        sa.PrimaryKeyConstraint("verifier_key", name="pk_ledger_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_key_end",
        sa.Column("verifier_key", sa.String(length=255), nullable=False),
        sa.Column("to_size", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["verifier_key"],
            ["ledger_key.verifier_key"],
            name="fk_ledger_key_end_verifier_key_ledger_key",
        ),
        sa.CheckConstraint("to_size >= 0", name="ck_ledger_key_end_from_0"),
        sa.PrimaryKeyConstraint("verifier_key", name="pk_ledger_key_end"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_lease",
        sa.Column("name", sa.String(length=20), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_ledger_lease"),
    )
