"""Consent in use: newsletters, usage under pseudonyms, renewal, staff, addresses that fail."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HASH = sa.LargeBinary(length=32)


def upgrade() -> None:
    """Add columns in place; then the new tables."""
    op.add_column(
        "account", sa.Column("staff", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("account", sa.Column("undeliverable_at", TIME))
    op.add_column("account", sa.Column("undeliverable_status", sa.String(10)))
    _newsletters()
    _usage()
    op.create_table(
        "renewal_ask",
        sa.Column("entry_id", sa.String(32), nullable=False),
        sa.Column("purpose_version", sa.Integer(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_renewal_ask_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("entry_id", "purpose_version", name="pk_renewal_ask"),
    )
    op.create_index("ix_renewal_ask_subject_id", "renewal_ask", ["subject_id"])
    op.create_table(
        "notice_telling",
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("cursor", sa.Uuid()),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.PrimaryKeyConstraint("kind", "effective_on", name="pk_notice_telling"),
    )


def _newsletters() -> None:
    op.create_table(
        "campaign",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("started_at", TIME),
        sa.Column("filled_at", TIME),
        sa.Column("paused_at", TIME),
        sa.Column("finished_at", TIME),
        sa.Column("recipients", sa.Integer()),
        sa.Column("cursor", sa.Uuid()),
        sa.Column("paced_at", TIME),
        sa.Column("counts", sa.String(400)),
        sa.PrimaryKeyConstraint("id", name="pk_campaign"),
    )
    op.create_table(
        "campaign_text",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        _of_campaign("campaign_text"),
        sa.PrimaryKeyConstraint("campaign_id", "locale", name="pk_campaign_text"),
    )
    op.create_table(
        "campaign_delivery",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("reason", sa.String(40)),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("leased_until", TIME),
        sa.Column("closed_at", TIME),
        _of_campaign("campaign_delivery"),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_campaign_delivery_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("campaign_id", "subject_id", name="pk_campaign_delivery"),
    )
    op.create_index(
        "ix_campaign_delivery_campaign_id_state_due_at",
        "campaign_delivery",
        ["campaign_id", "state", "due_at"],
    )
    op.create_index("ix_campaign_delivery_subject_id", "campaign_delivery", ["subject_id"])


def _of_campaign(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["campaign_id"],
        ["campaign.id"],
        name=f"fk_{table}_campaign_id_campaign",
        ondelete="CASCADE",
    )


def _usage() -> None:
    op.create_table(
        "usage_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid()),
        sa.Column("browser", HASH),
        sa.Column("key", HASH, nullable=False),
        sa.Column("despite_signal", sa.Boolean(), nullable=False),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("expires_at", TIME),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_usage_key_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_usage_key"),
        sa.UniqueConstraint("subject_id", name="uq_usage_key_subject_id"),
        sa.UniqueConstraint("browser", name="uq_usage_key_browser"),
    )
    op.create_table(
        "usage_month",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("month", sa.String(7), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_usage_month"),
        sa.UniqueConstraint("month", name="uq_usage_month_month"),
    )
    op.create_table(
        "usage_event",
        sa.Column("pseudonym", HASH, nullable=False),
        sa.Column("item", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "item", "kind", "day", name="pk_usage_event"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_usage_event_day", "usage_event", ["day"])
    op.create_table(
        "usage_week",
        sa.Column("week", sa.Date(), nullable=False),
        sa.Column("item", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("week", "item", "kind", "locale", name="pk_usage_week"),
        sqlite_with_rowid=False,
    )
