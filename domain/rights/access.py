"""Access and portability (GDPR art. 15, 20): everything kept, and what it is kept for."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.consent.purposes import purposes
from domain.dates import timestamp
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest


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


def archive(document: dict[str, Any], page: str) -> bytes:
    """A ZIP of the page for people and the JSON for machines."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("index.html", page)
        file.writestr("data.json", json.dumps(document, ensure_ascii=False, indent=2) + "\n")
    return made.getvalue()
