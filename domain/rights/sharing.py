"""Who else is found by a person's address: their account and what they wrote may be two.

They become one when the address is confirmed (joining.py). Until then, whoever has shown that they
read the mail of the address asks about both.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from domain.identity import accounts, correspondents
from domain.rights import requests


def others(session: Session, subject_id: UUID) -> list[UUID]:
    """Whom access to somebody, and their erasure, reach beside them: a registration of the address
    that nobody confirmed, for who wrote to us; and for who has a confirmed account, what was
    written and is apart because of a legal hold."""
    contact = requests.contact(session, subject_id)
    if contact is None:
        return []
    account = accounts.find(session, contact.email)
    if account is None:
        return []
    if accounts.is_confirmed(session, account):
        writer = correspondents.find(session, contact.email)
        return [writer] if writer and account.subject_id == subject_id else []
    return [account.subject_id] if account.subject_id != subject_id else []
