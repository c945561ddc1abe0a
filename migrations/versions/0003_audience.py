"""An index of the decisions that permit, so that a purpose's audience is read in one go."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_PERMITTING = "state IN ('given', 'renewed')"


def upgrade() -> None:
    """It holds all that is asked of a decision, and only those that say yes."""
    op.create_index(
        "ix_current_decision_permitting",
        "current_decision",
        ["purpose_id", "purpose_version", "subject_id", "expires_at"],
        unique=False,
        postgresql_where=sa.text(_PERMITTING),
        sqlite_where=sa.text(_PERMITTING),
    )
