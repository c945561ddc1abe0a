"""The mail with which somebody who was brought here from another controller makes the account
theirs: a link to choose a password and accept the terms."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from domain.consent.purposes import purposes
from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind

_RULE = "unconfirmed"


def invite(session: Session, account: Account, *, at: datetime) -> None:
    """Mail the link. It works as long as an unconfirmed account stays, and voids the one before."""
    lifetime = purposes(session).retention[_RULE].until(account.opened_at) - at
    token = signed_links.issue(
        session,
        LinkKind.RESET,
        account.subject_id,
        stamp=account.stamp,
        lifetime=lifetime,
        at=at,
    )
    letter = {
        **accounts.addressed(session, account),
        "token": token,
        "days": max(1, round(lifetime / timedelta(days=1))),
    }
    outbox.post(session, "mail.imported", letter, at=at, about=account.subject_id)
