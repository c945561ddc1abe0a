"""Every right: restriction, cases with words, subscriptions, holds, exports, bookkeeping."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
HASH = sa.LargeBinary(length=32)


def upgrade() -> None:
    """Add columns in place, where triggers and rows stay as they are; then the new tables."""
    op.add_column("subject", sa.Column("restricted_at", TIME))
    op.add_column("subject", sa.Column("erasing_at", TIME))
    unconfirmed = sa.text("confirmed_at IS NULL")
    op.create_index(
        "ix_subject_unconfirmed",
        "subject",
        ["id"],
        sqlite_where=unconfirmed,
        postgresql_where=unconfirmed,
    )
    _requests()
    _identity()
    _exports()
    _holds()
    _bookkeeping()
    _runs()


def _subject(*, nullable: bool = False) -> sa.Column[object]:
    return sa.Column("subject_id", sa.Uuid(), nullable=nullable)


def _of_subject(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["subject_id"], ["subject.id"], name=f"fk_{table}_subject_id_subject"
    )


def _requests() -> None:
    for column in (
        sa.Column("channel", sa.String(8), nullable=False, server_default="link"),
        sa.Column("locale", sa.String(2), nullable=False, server_default="nb"),
        sa.Column("about_purpose", sa.String(40)),
        sa.Column("act_at", TIME),
        sa.Column("extended_at", TIME),
        sa.Column("reason", sa.String(20)),
    ):
        op.add_column("data_subject_request", column)
    for when in ("received_at", "act_at"):
        name = f"ix_data_subject_request_state_{when}"
        op.create_index(name, "data_subject_request", ["state", when])
    op.create_table(
        "request_text",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        _subject(),
        sa.Column("author", sa.String(10), nullable=False),
        sa.Column("words", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["data_subject_request.id"],
            name="fk_request_text_request_id_data_subject_request",
        ),
        _of_subject("request_text"),
        sa.PrimaryKeyConstraint("id", name="pk_request_text"),
    )
    op.create_index("ix_request_text_request_id", "request_text", ["request_id"])
    op.create_index("ix_request_text_subject_id", "request_text", ["subject_id"])
    op.create_table(
        "recipient_notice",
        sa.Column("id", sa.Uuid(), nullable=False),
        _subject(nullable=True),
        sa.Column("processor", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("done_at", TIME),
        _of_subject("recipient_notice"),
        sa.PrimaryKeyConstraint("id", name="pk_recipient_notice"),
    )
    op.create_index("ix_recipient_notice_subject_id", "recipient_notice", ["subject_id"])


def _identity() -> None:
    op.create_table(
        "correspondent",
        _subject(),
        sa.Column("email_lookup", HASH, nullable=False),
        sa.Column("email", sa.LargeBinary(), nullable=False),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        _of_subject("correspondent"),
        sa.PrimaryKeyConstraint("subject_id", name="pk_correspondent"),
        sa.UniqueConstraint("email_lookup", name="uq_correspondent_email_lookup"),
    )
    op.create_table(
        "subscription",
        sa.Column("id", sa.Uuid(), nullable=False),
        _subject(),
        sa.Column("started_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date()),
        sa.Column("warned_at", TIME),
        _of_subject("subscription"),
        sa.PrimaryKeyConstraint("id", name="pk_subscription"),
    )
    op.create_index("ix_subscription_subject_id", "subscription", ["subject_id"])
    op.create_index("ix_subscription_ended_on", "subscription", ["ended_on"])
    op.create_table(
        "imported_document",
        _subject(),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("imported_at", TIME, nullable=False),
        _of_subject("imported_document"),
        sa.PrimaryKeyConstraint("subject_id", name="pk_imported_document"),
    )


def _exports() -> None:
    op.create_table(
        "export_archive",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=False),
        _subject(),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("locale", sa.String(2), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.Column("leased_until", TIME),
        sa.Column("expires_at", TIME),
        sa.ForeignKeyConstraint(
            ["request_id"],
            ["data_subject_request.id"],
            name="fk_export_archive_request_id_data_subject_request",
        ),
        _of_subject("export_archive"),
        sa.PrimaryKeyConstraint("id", name="pk_export_archive"),
    )
    op.create_index("ix_export_archive_request_id", "export_archive", ["request_id"])
    op.create_index("ix_export_archive_subject_id", "export_archive", ["subject_id"])
    op.create_table(
        "export_part",
        sa.Column("archive_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["archive_id"],
            ["export_archive.id"],
            name="fk_export_part_archive_id_export_archive",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("archive_id", "number", name="pk_export_part"),
    )


def _holds() -> None:
    op.create_table(
        "legal_hold",
        sa.Column("id", sa.Uuid(), nullable=False),
        _subject(),
        sa.Column("ground", sa.String(20), nullable=False),
        sa.Column("reason", sa.LargeBinary(), nullable=False),
        sa.Column("holdings", sa.String(400), nullable=False),
        sa.Column("placed_at", TIME, nullable=False),
        sa.Column("review_on", sa.Date(), nullable=False),
        sa.Column("reminded_at", TIME),
        sa.Column("ended_at", TIME),
        _of_subject("legal_hold"),
        sa.PrimaryKeyConstraint("id", name="pk_legal_hold"),
    )
    op.create_index("ix_legal_hold_subject_id", "legal_hold", ["subject_id"])


def _bookkeeping() -> None:
    op.create_table(
        "accounting_record",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer", HASH, nullable=False),
        sa.Column("invoice_number", sa.String(40), nullable=False),
        sa.Column("invoice_date", sa.Date(), nullable=False),
        sa.Column("financial_year", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("vat", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.String(200), nullable=False),
        sa.Column("buyer", sa.LargeBinary(), nullable=False),
        sa.Column("keep_until", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounting_record"),
        sa.UniqueConstraint("invoice_number", name="uq_accounting_record_invoice_number"),
    )
    op.create_index("ix_accounting_record_customer", "accounting_record", ["customer"])
    op.create_index("ix_accounting_record_keep_until", "accounting_record", ["keep_until"])


def _runs() -> None:
    op.create_table(
        "retention_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("finished_at", TIME),
        sa.Column("counts", sa.String(2000), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retention_run"),
    )
    op.create_table(
        "vault_epoch",
        sa.Column("epoch", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("begun_at", TIME, nullable=False),
        sa.Column("rotated_at", TIME),
        sa.Column("retired_at", TIME),
        sa.PrimaryKeyConstraint("epoch", name="pk_vault_epoch"),
    )
