"""Something recorded, to be attacked."""

from __future__ import annotations

from datetime import date

import pytest

from database import Database
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger.append import append_anonymous
from domain.subjects import service
from tests.attack.ledgers import EXPIRED, Contents, contents
from tests.support import NOON


@pytest.fixture
def recorded(database: Database) -> Contents:
    """Rows in every protected table; their content, to be compared."""
    with database.transaction() as session:
        subject = service.open_subject(session, at=NOON)
        for _ in range(2):
            service.record(session, subject.id, "consent.expired", EXPIRED, at=NOON)
        data = {"kind": "privacy", "effective_on": "2026-11-01", "hashes": {"nb": "a" * 64}}
        entry_id = append_anonymous(session, "notice.published", data, at=NOON)
        session.add(Presentation(hash="b" * 64, bytes=b"{}", stored_at=NOON))
        session.add(
            NoticeVersion(
                kind="privacy",
                effective_on=date(2026, 11, 1),
                locale="nb",
                hash="a" * 64,
                source_hash="c" * 64,
                content=b"# Personvern",
                published_at=NOON,
                entry_id=entry_id,
            )
        )
    return contents(database)
