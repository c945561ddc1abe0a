"""Presentations: canonical bytes, tokens that only say what is so, and words kept for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Thread
from typing import Any

import pytest
import rfc8785
from itsdangerous import URLSafeSerializer
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import presentations
from domain.consent.errors import NoNotice, StalePresentation
from domain.consent.models import Presentation
from domain.consent.presentations import FRESH, Document
from domain.keys import keyring
from domain.locales import LOCALES
from tests.domain.consenting import changed, publish
from tests.support import NOON


@pytest.mark.requirement(45)
@pytest.mark.parametrize("surface", ["register", "preferences"])
def test_a_presentation_is_canonical_and_has_every_word(session: Session, surface: str) -> None:
    """RFC 8785 bytes of the surface's, the purposes' and the notice's words, and nothing else."""
    publish(session)
    register = session.info["purposes"]
    for locale in LOCALES:
        document = presentations.current(session, surface, locale, at=NOON)
        content = document.content
        assert rfc8785.dumps(content) == document.bytes
        assert document.hash == hashlib.sha256(document.bytes).hexdigest()
        assert sorted(content) == [
            *("button", "controller", "heading", "introduction", "layout", "locale", "notice"),
            *("purposes", "surface", "v"),
        ]
        words = register.surfaces[surface].text[locale]
        assert content["heading"] == words.heading
        assert content["introduction"] == words.introduction
        assert content["button"] == words.button
        assert content["controller"]["name"] == register.operator.legal_name
        for one in content["purposes"]:
            text = register.purposes[one["id"]].text[locale]
            assert (one["label"], one["wording"]) == (text.label, text.wording)
            assert (one["version"], one["validity_months"]) == (1, 24)


def test_the_bytes_of_a_presentation_are_a_vector() -> None:
    """Sorted keys, no blanks, UTF-8 as it is: somebody else arrives at the same hash."""
    made = rfc8785.dumps({"v": 1, "locale": "nn", "heading": "Vala dine – «ja»", "a": {"b": []}})
    expected = '{"a":{"b":[]},"heading":"Vala dine – «ja»","locale":"nn","v":1}'
    assert made == expected.encode()
    assert Document(made).hash == hashlib.sha256(expected.encode()).hexdigest()


def test_every_word_that_changes_makes_another_presentation(session: Session) -> None:
    """Language, surface, wording, version, duration, notice and layout each count."""
    publish(session)
    register = session.info["purposes"]

    def now() -> str:
        return presentations.current(session, "register", "nb", at=NOON).hash

    hashes = {now()}
    hashes.add(presentations.current(session, "register", "nn", at=NOON).hash)
    hashes.add(presentations.current(session, "preferences", "nb", at=NOON).hash)
    hashes.add(presentations.current(session, "register", "nb", at=NOON - timedelta(days=9)).hash)
    for values in ({"version": 2}, {"validity_months": 12}):
        changed(session, "marketing", **values)
        hashes.add(now())
    for number in (1, 2):
        surface = replace(register.surfaces["register"], layout=1 + number)
        surfaces = {**register.surfaces, "register": surface}
        session.info["purposes"] = replace(register, surfaces=surfaces)
        hashes.add(now())
    assert len(hashes) == 8


Spoil = Callable[[Session, str], str | None]


def _signed(*values: Any, salt: str = "samtykke.presentation", key: str | None = None) -> Spoil:
    def make(session: Session, token: str) -> str:
        document = presentations.current(session, "register", "nb", at=NOON)
        filled = [document.hash if one is ... else one for one in values]
        with_key = key or keyring(session).signing_key
        signer = {"digest_method": hashlib.sha256}
        return str(URLSafeSerializer(with_key, salt=salt, signer_kwargs=signer).dumps(filled))

    return make


WHEN = "2026-11-22T12:00:00.000Z"
BAD: dict[str, Spoil] = {
    "missing": lambda session, token: None,
    "empty": lambda session, token: "",
    "nonsense": lambda session, token: "æøå.\ud800",
    "cut off": lambda session, token: token[:-1],
    "changed": lambda session, token: ("X" if token[5] != "X" else "Y").join(
        (token[:5], token[6:])
    ),
    "another key": _signed(..., WHEN, 0, key="another key of more than thirty-two characters"),
    "another use": _signed(..., WHEN, 0, salt="samtykke.link.erasure"),
    "unknown words": _signed("0" * 64, WHEN, 0),
    "no time": _signed(..., "noon", 0),
    "from the future": _signed(..., "2026-11-22T12:00:00.001Z", 0),
    "too few values": _signed(..., WHEN),
    "not a list": _signed(),
}


@pytest.mark.parametrize("name", BAD)
def test_a_token_that_is_not_ours_and_of_now_is_stale(session: Session, name: str) -> None:
    """Missing, forged, made with another key or for another use, or from the future."""
    publish(session)
    document = presentations.current(session, "register", "nb", at=NOON)
    token = presentations.token(session, document, at=NOON)
    good = _signed(..., WHEN, 0)(session, token)
    assert presentations.shown(session, "register", good, at=NOON).document == document
    with pytest.raises(StalePresentation):
        presentations.shown(session, "register", BAD[name](session, token), at=NOON)


@pytest.mark.parametrize(
    ("later", "good"),
    [
        (timedelta(0), True),
        (FRESH, True),
        (FRESH + timedelta(milliseconds=1), False),
        (timedelta(days=400), False),
    ],
)
def test_a_form_may_lie_open_for_twelve_hours(
    session: Session, later: timedelta, good: bool
) -> None:
    """To the millisecond; then the words are shown again."""
    publish(session)
    served = NOON + timedelta(days=2)  # in the night before, a new notice comes into force
    document = presentations.current(session, "register", "nb", at=served)
    token = presentations.token(session, document, at=served, seen=7)
    if good:
        shown = presentations.shown(session, "register", token, at=served + later)
        assert (shown.document, shown.served_at, shown.seen) == (document, served, 7)
    else:
        with pytest.raises(StalePresentation):
            presentations.shown(session, "register", token, at=served + later)


@pytest.mark.requirement(7)
def test_words_that_changed_since_are_superseded(session: Session) -> None:
    """A new version of the purpose, or another surface: the answer was to something else."""
    publish(session)
    document = presentations.current(session, "register", "nb", at=NOON)
    token = presentations.token(session, document, at=NOON)
    with pytest.raises(StalePresentation):
        presentations.shown(session, "preferences", token, at=NOON)
    changed(session, "marketing", version=2)
    with pytest.raises(StalePresentation):
        presentations.shown(session, "register", token, at=NOON)


@pytest.mark.requirement(89)
@pytest.mark.parametrize("locale", LOCALES)
def test_what_was_answered_is_known_in_whatever_language(session: Session, locale: str) -> None:
    """The language may be switched in another tab: the form's own words are recorded."""
    publish(session)
    document = presentations.current(session, "register", locale, at=NOON)
    token = presentations.token(session, document, at=NOON)
    shown = presentations.shown(session, "register", token, at=NOON)
    assert shown.document.content["locale"] == locale


@pytest.mark.requirement(45)
def test_what_is_stored_is_stored_once_and_comes_back_the_same(session: Session) -> None:
    """Showing stores nothing; storing twice is storing once; unknown hashes are unknown."""
    publish(session)
    document = presentations.current(session, "register", "nb", at=NOON)
    assert presentations.get(session, document.hash) is None
    for at in (NOON, NOON + timedelta(days=1)):
        presentations.store(session, document, at=at)
    assert presentations.get(session, document.hash) == document
    assert presentations.get(session, "0" * 64) is None
    assert session.get_one(Presentation, document.hash).stored_at == NOON


def test_two_may_store_the_same_words_at_once(database: Database) -> None:
    """Neither waits for ever, neither fails."""
    with database.transaction() as session:
        publish(session)
        document = presentations.current(session, "register", "nb", at=NOON)
    failures: list[BaseException] = []

    def store(at: datetime) -> None:
        try:
            with database.transaction() as session:
                presentations.store(session, document, at=at)
        except BaseException as error:
            failures.append(error)

    threads = [Thread(target=store, args=(NOON + timedelta(seconds=n),)) for n in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert failures == []
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Presentation)) == 1


def test_nothing_can_be_shown_before_a_notice_is_in_force(session: Session) -> None:
    """There is nothing to consent by."""
    with pytest.raises(NoNotice):
        presentations.current(session, "register", "nb", at=NOON)
