"""What a person brought from another controller (GDPR art. 20) and has no other place here.

It is shown and taken along again. Nothing rests on it: a consent was given to the one who asked
for it, and permits nobody else anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from domain.dates import timestamp
from domain.holding import Holding
from domain.identity import vault
from domain.rights.models import ImportedDocument

_TABLE, _FIELD = "imported_document", "document"


def keep(session: Session, subject_id: UUID, document: Mapping[str, Any], *, at: datetime) -> None:
    """Seal it under the person's key."""
    content = json.dumps(document, ensure_ascii=False).encode()
    key = vault.key_of(session, subject_id)
    sealed = vault.seal_bytes(key, _TABLE, subject_id, _FIELD, content)
    session.add(ImportedDocument(subject_id=subject_id, document=sealed, imported_at=at))
    session.flush()


def of_subject(session: Session, subject_id: UUID) -> dict[str, Any] | None:
    """What the person brought, or None."""
    row = session.get(ImportedDocument, subject_id)
    if row is None:
        return None
    key = vault.key_of(session, subject_id)
    content = vault.open_bytes(key, _TABLE, subject_id, _FIELD, row.document)
    document: dict[str, Any] = json.loads(content)
    return document


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    row = session.get(ImportedDocument, subject_id)
    if row is None:
        return []
    document = of_subject(session, subject_id)
    return [{"imported_at": timestamp(row.imported_at), "document": document}]


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    session.execute(delete(ImportedDocument).where(ImportedDocument.subject_id == subject_id))


HOLDINGS = (
    Holding(
        name="imported",
        purposes=("account",),
        source="person",
        retention=("customer", "unconfirmed", "person"),
        columns={"imported_document": ("subject_id", "document", "imported_at")},
        export=_export,
        erase=_erase,
        holdable=True,
    ),
)
