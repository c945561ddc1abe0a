"""Presentations: what a person was shown when asked, stored by its hash.

A form that asks for consent is made from the current presentation and carries a signed token
of the presentation's hash and of when it was served. Showing a form stores nothing; the
bytes are stored with the first decision made on them, so a decision can always be shown again
as it looked (EDPB 05/2020 ¶108).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.consent import notices
from domain.consent.errors import StalePresentation
from domain.consent.models import Presentation
from domain.consent.purposes import purposes
from domain.dates import local_day, parse_timestamp, timestamp
from domain.keys import keyring
from domain.locales import LOCALES

FRESH = timedelta(hours=12)
_SALT = "samtykke.presentation"


@dataclass(frozen=True)
class Document:
    """A presentation's exact bytes."""

    bytes: bytes

    @property
    def hash(self) -> str:
        """SHA-256 of the bytes, in hex: the presentation's address."""
        return hashlib.sha256(self.bytes).hexdigest()

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        content: dict[str, Any] = json.loads(self.bytes)
        return content


@dataclass(frozen=True)
class Shown:
    """A presentation that a person answered, and when it was served to them. `seen` is how many
    entries there were about them then: newer ones were not known to who answered."""

    document: Document
    served_at: datetime
    seen: int = 0


def current(session: Session, surface_id: str, locale: str, *, at: datetime) -> Document:
    """What this surface shows now, in this language. Raises NoNotice."""
    register = purposes(session)
    surface = register.surfaces[surface_id]
    notice = notices.in_force(session, "privacy", locale, on=local_day(at))
    words = surface.text[locale]
    content: dict[str, Any] = {
        "v": 1,
        "surface": surface.id,
        "layout": surface.layout,
        "locale": locale,
        "controller": {
            "name": register.operator.legal_name,
            "email": register.operator.email,
            "country": register.operator.country,
        },
        "heading": words.heading,
        "introduction": words.introduction,
        "button": words.button,
        "notice": {
            "effective_on": notice.effective_on.isoformat(),
            "hash": notice.hash,
            "label": words.notice,
        },
        "purposes": [
            {
                "id": purpose.id,
                "version": purpose.version,
                "name": purpose.text[locale].name,
                "label": purpose.text[locale].label,
                "wording": purpose.text[locale].wording,
                "validity_months": purpose.validity_months,
            }
            for purpose in register.optional()
        ],
    }
    return Document(rfc8785.dumps(content))


def token(session: Session, document: Document, *, at: datetime, seen: int = 0) -> str:
    """Sign the presentation's hash, the time it is served, and how many entries there are about
    the person by then (none about who has no account yet)."""
    return _serializer(session).dumps([document.hash, timestamp(at), seen])


def shown(session: Session, surface_id: str, signed: str | None, *, at: datetime) -> Shown:
    """What the token says was shown.

    Raises StalePresentation unless the token is ours, at most 12 hours old, and names what
    this surface still shows in one of the languages.
    """
    try:
        digest, served, seen = _serializer(session).loads(signed or "")
        served_at = parse_timestamp(served)
    except (BadSignature, ValueError, TypeError) as error:
        raise StalePresentation("the token of what was shown is missing or forged") from error
    if not timedelta(0) <= at - served_at <= FRESH:
        raise StalePresentation("the form was served too long ago")
    for locale in LOCALES:
        document = current(session, surface_id, locale, at=at)
        if document.hash == digest:
            return Shown(document, served_at, seen)
    raise StalePresentation("the words have changed since the form was served")


def store(session: Session, document: Document, *, at: datetime) -> None:
    """Keep the presentation; storing it again changes nothing."""
    if session.get(Presentation, document.hash) is not None:
        return
    try:
        with session.begin_nested():
            session.add(Presentation(hash=document.hash, bytes=document.bytes, stored_at=at))
    except IntegrityError:
        pass  # somebody else stored the same bytes meanwhile: the hash says they are the same


def get(session: Session, digest: str) -> Document | None:
    """The presentation with this hash."""
    row = session.get(Presentation, digest)
    return Document(row.bytes) if row else None


def _serializer(session: Session) -> URLSafeSerializer:
    return URLSafeSerializer(
        keyring(session).signing_key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
    )
