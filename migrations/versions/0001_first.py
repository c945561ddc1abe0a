"""The first tables: ledger, subjects, consent, accounts, requests, outbox.

A migration stands still: it names columns itself and asks no model.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from domain.ledger.guards import Rule, install

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)

GUARDED = {
    "ledger_entry": Rule(keys=(("id",),)),
    "presentation": Rule(keys=(("hash",),)),
    "notice_version": Rule(keys=(("kind", "effective_on", "locale"),)),
    "entry_link": Rule(
        keys=(("entry_id",), ("subject_id", "ordinal")), parent=("subject_id", "subject")
    ),
    "subject": Rule(keys=(("id",),), counter="linked"),
}


def upgrade() -> None:
    """Make the tables, then the guards of what was recorded."""
    _ledger()
    _subjects()
    _consent()
    _accounts()
    _links_and_limits()
    _requests()
    _outbox()
    install(op.get_bind(), GUARDED)


def _ledger() -> None:
    """Facts, and the queue of those that have no position yet."""
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("bytes", sa.LargeBinary, nullable=False),
        sa.Column("recorded_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_ledger_entry"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "ledger_pending",
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_ledger_pending_entry_id_ledger_entry"
        ),
        sa.PrimaryKeyConstraint("entry_id", name="pk_ledger_pending"),
    )


def _subjects() -> None:
    """People as random keys, and which entries are theirs."""
    op.create_table(
        "subject",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("confirmed_at", TIME, nullable=True),
        sa.Column("declared_age", sa.Integer(), nullable=True),
        sa.Column("linked", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_subject"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "entry_link",
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_entry_link_entry_id_ledger_entry"
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"],
            ["subject.id"],
            name="fk_entry_link_subject_id_subject",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entry_id", name="pk_entry_link"),
        sa.UniqueConstraint("subject_id", "ordinal", name="uq_entry_link_subject_id"),
        sqlite_with_rowid=False,
    )


def _consent() -> None:
    """What was published and shown, and the projection of what was decided."""
    op.create_table(
        "notice_version",
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("source_hash", sa.String(length=64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("published_at", TIME, nullable=False),
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_notice_version_entry_id_ledger_entry"
        ),
        sa.PrimaryKeyConstraint("kind", "effective_on", "locale", name="pk_notice_version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "presentation",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.LargeBinary, nullable=False),
        sa.Column("stored_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_presentation"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "current_decision",
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("purpose_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("entry_id", sa.String(length=32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("purpose_version", sa.Integer(), nullable=False),
        sa.Column("presentation", sa.String(length=64), nullable=True),
        sa.Column("expires_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["ledger_entry.id"], name="fk_current_decision_entry_id_ledger_entry"
        ),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_current_decision_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("subject_id", "purpose_id", name="pk_current_decision"),
    )


def _accounts() -> None:
    """Sign-in: the account, sealed."""
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("email_lookup", sa.LargeBinary(length=32), nullable=False),
        sa.Column("email", sa.LargeBinary, nullable=False),
        sa.Column("pending_email", sa.LargeBinary, nullable=True),
        sa.Column("name", sa.LargeBinary, nullable=False),
        sa.Column("phone", sa.LargeBinary, nullable=True),
        sa.Column("address", sa.LargeBinary, nullable=True),
        sa.Column("postal_code", sa.LargeBinary, nullable=True),
        sa.Column("city", sa.LargeBinary, nullable=True),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("locale", sa.String(length=2), nullable=False),
        sa.Column("terms_accepted", sa.String(length=10), nullable=False),
        sa.Column("stamp", sa.Integer(), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_account_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_account"),
        sa.UniqueConstraint("email_lookup", name="uq_account_email_lookup"),
        sa.UniqueConstraint("subject_id", name="uq_account_subject_id"),
    )


def _links_and_limits() -> None:
    """Mailed links and counted tries."""
    op.create_table(
        "signed_link",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.Column("stamp", sa.Integer(), nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=False),
        sa.Column("used_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_signed_link_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_signed_link"),
        sa.UniqueConstraint("token_hash", name="uq_signed_link_token_hash"),
    )
    op.create_index("ix_signed_link_subject_id", "signed_link", ["subject_id"], unique=False)
    op.create_table(
        "attempt",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_attempt"),
    )
    op.create_index("ix_attempt_kind_key_at", "attempt", ["kind", "key", "at"], unique=False)


def _requests() -> None:
    """Data subject requests."""
    op.create_table(
        "data_subject_request",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["subject_id"], ["subject.id"], name="fk_data_subject_request_subject_id_subject"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_data_subject_request"),
        sa.UniqueConstraint("reference", name="uq_data_subject_request_reference"),
    )
    op.create_index(
        "ix_data_subject_request_subject_id", "data_subject_request", ["subject_id"], unique=False
    )


def _outbox() -> None:
    """What leaves after the commit."""
    op.create_table(
        "outbox_message",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("about", sa.Uuid(), nullable=True),
        sa.Column("payload", sa.LargeBinary, nullable=True),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("failure", sa.String(length=200), nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_outbox_message"),
        sa.UniqueConstraint("message_id", name="uq_outbox_message_message_id"),
    )
    op.create_index("ix_outbox_message_about", "outbox_message", ["about"], unique=False)
    op.create_index(
        "ix_outbox_message_state_due_at", "outbox_message", ["state", "due_at"], unique=False
    )
