"""The gate of delivery: what is sent for a purpose is asked for once more when it leaves.

Delivery knows nobody, and consent knows no mail. They meet here.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from database import Database
from domain.consent import permission


def forbids(database: Database, subject_id: UUID, purpose_id: str, at: datetime) -> str | None:
    """Why the purpose is not permitted for the person at this moment (`restricted`, `erasing`,
    `not_given`, …); None where it is.

    Asked without a transaction, so that whatever was answered to the person before stands there.
    Raises KeyError for a purpose that is not in the register.
    """
    answer = permission.permitted(database, subject_id, purpose_id, at=at)
    return None if answer else answer.value
