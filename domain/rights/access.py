"""Access and portability (GDPR art. 15, 20): everything kept, and what it is kept for."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from domain.consent import receipts
from domain.consent.purposes import purposes
from domain.dates import timestamp
from domain.ledger.errors import LedgerError
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest
from domain.subjects import service as subjects

log = structlog.get_logger()


def collect(
    session: Session, subject_id: UUID, request: DataSubjectRequest, locale: str, *, at: datetime
) -> dict[str, Any]:
    """Everything kept about a person, with purposes, recipients and retention, JSON-ready."""
    register = purposes(session)
    operator = register.operator
    return {
        "made_at": timestamp(at),
        "reference": request.reference,
        "language": locale,
        "controller": {"name": operator.legal_name, "contact": operator.email},
        "complaints_to": {"name": operator.authority.name, "url": operator.authority.url},
        "purposes": [
            {
                "id": purpose.id,
                "name": purpose.text[locale].name,
                "purpose": purpose.text[locale].purpose,
                "lawful_basis": purpose.text[locale].basis,
                "article": purpose.article,
                "data": purpose.text[locale].data,
                "recipients": list(purpose.recipients),
                "retention": purpose.text[locale].retention,
            }
            for purpose in register
        ],
        "recipients": [
            {
                "id": processor.id,
                "name": processor.name,
                "country": processor.country,
                "region": processor.region,
                "does": processor.does[locale],
                "transfer": processor.transfer,
            }
            for processor in register.processors
        ],
        "source": "you",
        "automated_decisions": False,
        "holdings": [
            {
                "name": holding.name,
                "purposes": list(holding.purposes),
                "records": holding.export(session, subject_id),
            }
            for holding in INVENTORY
        ],
    }


def proofs(session: Session, subject_id: UUID) -> dict[str, bytes]:
    """The receipts of everything that the ledger says about a person, by the entry's id. An entry
    that still waits for its place has none yet."""
    wanted = [entry.id for entry in subjects.entries(session, subject_id)]
    try:
        return {entry.id: one.encode() for entry, one in receipts.receipts(session, wanted)}
    except LedgerError as error:
        # What is stored is not whole, and `flask ledger verify` says where. The person's right
        # to a copy does not wait for that.
        log.error("receipts_not_made", error=type(error).__name__)
        return {}


def archive(document: dict[str, Any], page: str, receipts: Mapping[str, bytes]) -> bytes:
    """A ZIP of the page for people, the JSON for machines, and the receipts."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("index.html", page)
        file.writestr("data.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        for entry_id, receipt in receipts.items():
            file.writestr(f"receipts/{entry_id}.json", receipt)
    return made.getvalue()
