"""Presentations: what a person was shown when asked, stored by its hash.

A form that asks for consent is made from the current presentation and carries a signed token
of the presentation's hash and of when it was served. Showing a form stores nothing; the
bytes are stored with the first decision made on them, so a decision can always be shown again
as it looked (EDPB 05/2020 ¶108).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from typing import Any, NamedTuple

import rfc8785
from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import and_, bindparam, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from domain.consent.errors import NoNotice, StalePresentation
from domain.consent.models import NoticeVersion, Presentation
from domain.consent.purposes import (
    Purpose,
    PurposeRegister,
    Surface,
    SurfaceText,
    purposes,
)
from domain.dates import local_day, parse_timestamp, timestamp
from domain.keys import Keyring, keyring
from domain.locales import DEFAULT, LOCALES

FRESH = timedelta(hours=12)
_SALT = "samtykke.presentation"


class Notice(NamedTuple):
    """A published privacy notice in one language, without its text."""

    effective_on: date
    locale: str
    hash: str


class Token(NamedTuple):
    """What a form's token says: the hash of what was shown, when, and `Shown.seen`."""

    hash: str
    served_at: datetime
    seen: int


# Without the notices' own text, which `notices.in_force` reads along. The newest version is the
# newest in bokmål: each has that language.
_VERSION = NoticeVersion.__table__.c
NOTICE = (_VERSION.effective_on, _VERSION.locale, _VERSION.hash)
IN_FORCE = and_(
    _VERSION.kind == "privacy",
    _VERSION.effective_on
    == select(func.max(_VERSION.effective_on))
    .where(_VERSION.kind == "privacy", _VERSION.effective_on <= bindparam("on"))
    .correlate(None)
    .scalar_subquery(),
)
_IN_FORCE = select(*NOTICE).where(IN_FORCE)
_KEPT = 100
# The purposes that one person is asked about, on a surface that asks each what concerns them.
Only = tuple[str, ...] | None
_made: dict[tuple[int, str, str, Notice, Only], tuple[PurposeRegister, Document]] = {}


@dataclass(frozen=True)
class Document:
    """A presentation's exact bytes."""

    bytes: bytes

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the bytes, in hex: the presentation's address."""
        return hashlib.sha256(self.bytes).hexdigest()

    @cached_property
    def content(self) -> Mapping[str, Any]:
        """What it says. It is read by many at once and changed by nobody."""
        content: dict[str, Any] = json.loads(self.bytes)
        return content


@dataclass(frozen=True)
class Shown:
    """A presentation that a person answered, and when it was served to them. `seen` is how many
    entries there were about them then: newer ones were not known to who answered."""

    document: Document
    served_at: datetime
    seen: int = 0


def current(
    session: Session, surface_id: str, locale: str, *, at: datetime, only: Only = None
) -> Document:
    """What this surface shows now, in this language; of its purposes those in `only`, where the
    surface does not ask everybody for the same. Raises NoNotice."""
    notice = _notice_in_force(session, locale, at)
    return _document(purposes(session, at), surface_id, locale, notice, only)


def token(session: Session, document: Document, *, at: datetime, seen: int = 0) -> str:
    """Sign the presentation's hash, the time it is served, and how many entries there are about
    the person by then (none about who has no account yet)."""
    return _serializer(keyring(session).signing_key).dumps([document.hash, timestamp(at), seen])


def shown(
    session: Session,
    surface_id: str,
    signed: str | None,
    *,
    at: datetime,
    only: Only = None,
) -> Shown:
    """What the token says was shown.

    Raises StalePresentation unless the token is ours, at most 12 hours old, and names what
    this surface still shows in one of the languages.
    """
    told = opened(keyring(session), signed, at=at)
    register, published = purposes(session, at), _notices_in_force(session, at)
    return answered(register, surface_id, told, published, only)


def opened(ring: Keyring, signed: str | None, *, at: datetime) -> Token:
    """Read a form's token. Raises StalePresentation unless it is ours and at most 12 hours old."""
    try:
        digest, served, seen = _serializer(ring.signing_key).loads(signed or "")
        served_at = parse_timestamp(served)
    except (BadSignature, ValueError, TypeError) as error:
        raise StalePresentation("the token of what was shown is missing or forged") from error
    if not timedelta(0) <= at - served_at <= FRESH:
        raise StalePresentation("the form was served too long ago")
    return Token(digest, served_at, seen)


def answered(
    register: PurposeRegister,
    surface_id: str,
    token: Token,
    published: Sequence[Notice],
    only: Only = None,
) -> Shown:
    """What was shown, by the notices in force. Raises StalePresentation unless this surface
    still shows it in one of the languages."""
    for locale in LOCALES:
        document = _document(register, surface_id, locale, _choose(published, locale), only)
        if document.hash == token.hash:
            return Shown(document, token.served_at, token.seen)
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


def _notice_in_force(session: Session, locale: str, at: datetime) -> Notice:
    return _choose(_notices_in_force(session, at), locale)


def _notices_in_force(session: Session, at: datetime) -> list[Notice]:
    """The privacy notice of this day, in each language it was published in."""
    rows = session.execute(_IN_FORCE, {"on": local_day(at)}).all()
    return [Notice(*row) for row in rows]


def _choose(published: Sequence[Notice], locale: str) -> Notice:
    """The notice in this language, or in bokmål where it has no other. Raises NoNotice."""
    by_locale = {notice.locale: notice for notice in published}
    found = by_locale.get(locale) or by_locale.get(DEFAULT)
    if found is None:
        raise NoNotice("privacy")
    return found


def _document(
    register: PurposeRegister, surface_id: str, locale: str, notice: Notice, only: Only
) -> Document:
    """The presentation made of these. Each is made once: purposes and notice change seldom while
    the site runs."""
    place = (id(register), surface_id, locale, notice, only)
    kept = _made.get(place)
    # The register is kept beside what was made of it, so that its place is not another's.
    if kept is None or kept[0] is not register:
        if len(_made) >= _KEPT:
            _made.clear()
        content = _content(register, surface_id, locale, notice, only)
        kept = _made[place] = (register, Document(rfc8785.dumps(content)))
    return kept[1]


def _content(
    register: PurposeRegister, surface_id: str, locale: str, notice: Notice, only: Only
) -> dict[str, Any]:
    surface = register.surfaces[surface_id]
    words = surface.text[locale]
    at_once = {"accept": words.accept, "refuse": words.refuse, "necessary": words.necessary}
    return {
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
        **{name: text for name, text in at_once.items() if text},
        "notice": {
            "effective_on": notice.effective_on.isoformat(),
            "hash": notice.hash,
            "label": words.notice,
        },
        "purposes": [
            _asked(purpose, surface, words, locale)
            for purpose in register.asked_on(surface)
            if only is None or purpose.id in only
        ],
    }


def _asked(purpose: Purpose, surface: Surface, words: SurfaceText, locale: str) -> dict[str, Any]:
    """A purpose in the words of this surface."""
    text, own = purpose.text[locale], words.purpose.get(purpose.id, {})
    return {
        "id": purpose.id,
        "version": purpose.version,
        "name": text.name,
        "label": own.get("label", text.label),
        "wording": own.get("wording", text.wording),
        "validity_months": surface.validity_months or purpose.validity_months,
    }


@cache
def _serializer(signing_key: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        signing_key, salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
    )
