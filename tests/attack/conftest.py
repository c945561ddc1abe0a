"""Something recorded, to be attacked."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy.orm import Session

from database import Database
from domain.consent.models import NoticeVersion, Presentation
from domain.ledger import log_keys, publishing
from domain.ledger.append import append_anonymous
from domain.ledger.models import LedgerCosignature
from domain.ledger.notes import KeyType, Note, SignerKey
from domain.subjects import service
from tests.attack.ledgers import EXPIRED, Contents, contents
from tests.support import NOON, logs


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
        logs.fill(session, 300)
        cosign(session, 300)
        # Of a second key, that it came and that it went, and the entries that say so.
        other = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(96, 128))).verifier
        log_keys.rotate(session, other, at=NOON)
        log_keys.retire(session, other, at=NOON)
    return contents(database)


def cosign(session: Session, size: int) -> None:
    """A witness's signature under a checkpoint."""
    witness = SignerKey("witness.test", KeyType.WITNESS, bytes(range(32)))
    text = Note.parse(publishing.note(session, size)).text
    line = witness.sign(text, seen=int(NOON.timestamp()))
    row = LedgerCosignature(size=size, verifier_key=str(witness.verifier), line=line, seen_at=NOON)
    session.add(row)
    session.flush()
