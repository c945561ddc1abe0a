"""Notices: published once, never changed, complete in three languages, and readable for ever."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from app import create_app
from database import Database
from domain.consent import decisions, notices, presentations, purposes
from domain.consent.errors import ChangedNotice, ContentError, NoNotice
from domain.consent.models import NoticeVersion
from domain.consent.purposes import PurposeRegister
from domain.ledger.entry import decode
from domain.ledger.models import LedgerEntry
from domain.locales import LOCALES
from settings import Settings
from tests.domain.consenting import CONTENT, decide, publish, somebody
from tests.support import NOON
from tests.support.browser import Browser

NOW_IN_FORCE = date(2026, 11, 22)
NEXT = date(2026, 11, 23)
WITH_VISITORS = date(2026, 11, 24)
OLD = date(2018, 5, 7)


@pytest.fixture
def content(tmp_path: Path) -> Path:
    """A copy of `content/` to spoil."""
    return Path(shutil.copytree(CONTENT, tmp_path / "content"))


def entries(session: Session) -> list[dict[str, object]]:
    """What the ledger says was published."""
    found = [decode(raw) for raw in session.scalars(select(LedgerEntry.bytes))]
    return [entry.data for entry in found if entry.type == "notice.published"]


@pytest.mark.requirement(6)
def test_publishing_stores_every_language_and_tells_the_ledger_once(session: Session) -> None:
    """Each version has one entry with the hash of each document; publishing again does nothing."""
    publish(session)
    publish(session)
    said = {
        (one["kind"], one["effective_on"], locale): digest
        for one in entries(session)
        for locale, digest in one["hashes"].items()  # type: ignore[attr-defined]
    }
    stored = {
        (row.kind, row.effective_on.isoformat(), row.locale): row.hash
        for row in session.scalars(select(NoticeVersion))
    }
    assert len(entries(session)) == 5
    assert said == stored
    assert set(stored) == {
        ("privacy", "2018-05-07", "nb"),
        *(("privacy", "2026-11-22", locale) for locale in LOCALES),
        *(("privacy", "2026-11-23", locale) for locale in LOCALES),
        *(("privacy", "2026-11-24", locale) for locale in LOCALES),
        *(("terms", "2026-11-22", locale) for locale in LOCALES),
    }


@pytest.mark.requirement(6)
@pytest.mark.parametrize("day", [OLD, NOW_IN_FORCE, WITH_VISITORS])
def test_the_page_of_a_version_shows_what_the_ledger_has_the_hash_of(
    client: Browser, database: Database, day: date
) -> None:
    """The address of a version never changes; its bytes hash to what the entry says, and the
    page shows these bytes and this hash."""
    with database.reading() as session:
        row = notices.get(session, "privacy", day, "nb")
        assert row
        hashes = [one["hashes"] for one in entries(session) if one["effective_on"] == str(day)]
    digest = hashlib.sha256(row.content).hexdigest()
    assert any(digest == one.get("nb") for one in hashes)  # type: ignore[attr-defined]
    page = client.get(f"/notices/privacy/versions/{day}")
    assert page.status == 200
    assert digest in page.html
    plain = re.sub(r"[\s*#|`\[\]()-]+", "", re.sub(r"\]\([^)]*\)", "]", row.content.decode()))
    shown = re.sub(r"[\s*#|`\[\]()-]+", "", page.soup.get_text())
    assert plain[:2000] in shown
    assert plain[-500:] in shown


@pytest.mark.requirement(6)
def test_the_version_in_force_follows_the_norwegian_day(session: Session, content: Path) -> None:
    """The old one until midnight in Oslo, the new one from then; before the first, none."""
    publish(session)
    for at, day in (
        (datetime(2026, 11, 21, 22, 59, tzinfo=UTC), OLD),
        (datetime(2026, 11, 21, 23, 0, tzinfo=UTC), NOW_IN_FORCE),
        (datetime(2026, 11, 22, 22, 59, tzinfo=UTC), NOW_IN_FORCE),
        (datetime(2026, 11, 22, 23, 0, tzinfo=UTC), NEXT),
    ):
        local = (at + timedelta(hours=1)).date()
        found = notices.in_force(session, "privacy", "en", on=local)
        assert found.effective_on == day
        assert found.locale == ("nb" if day == OLD else "en")
        document = presentations.current(session, "register", "en", at=at)
        assert document.content["notice"]["effective_on"] == str(day)
    with pytest.raises(NoNotice, match="flask notices publish"):
        notices.in_force(session, "terms", "nb", on=OLD)


def _write(path: Path) -> None:
    path.write_text(path.read_text("utf-8") + "Mer.\n", "utf-8")


def _one_byte(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


def _remove_all(path: Path) -> None:
    shutil.rmtree(path.parent)


def _translate(path: Path) -> None:
    path.with_name("en.md").write_text("# Privacy notice\n", "utf-8")


HARM: list[tuple[str, Callable[[Path], None], str]] = [
    ("privacy/2026-11-22/nb.md", _write, "privacy/2026-11-22/nb.md"),
    ("privacy/2026-11-22/en.md", _one_byte, "privacy/2026-11-22/en.md"),
    ("privacy/2018-05-07/nb.md", _write, "privacy/2018-05-07/nb.md"),
    ("terms/2026-11-22/nn.md", Path.unlink, "terms/2026-11-22/nn.md"),
    ("privacy/2018-05-07/nb.md", _remove_all, "privacy/2018-05-07/nb.md"),
    (
        "privacy/2018-05-07/nb.md",
        _translate,
        "privacy/2018-05-07/en.md",
    ),
]


@pytest.mark.requirement(6)
@pytest.mark.parametrize(("file", "harm", "names"), HARM)
def test_a_published_file_that_was_changed_stops_the_start(
    settings: Settings,
    database: Database,
    content: Path,
    file: str,
    harm: Callable[[Path], None],
    names: str,
) -> None:
    """Changed, removed or added to: create_app refuses, names the file and says what to do; so
    does publishing."""
    with database.transaction() as session:
        notices.publish(session, content, at=NOON)
    harm(content / "notices" / file)
    with pytest.raises(ChangedNotice, match="make a new version") as error:
        create_app(replace(settings, content=content))
    assert str(content / "notices" / names) in str(error.value)
    with pytest.raises(ChangedNotice), database.transaction() as session:
        notices.publish(session, content, at=NOON)


@pytest.mark.requirement(6, 45)
def test_old_decisions_keep_the_old_words(
    database: Database, content: Path, register: PurposeRegister
) -> None:
    """A new notice, a new version of the purpose: what was shown stays as it was, byte by byte."""
    with database.transaction() as session:
        publish(session)
        who = somebody(session)
        decide(session, who, marketing=True)
        first = decisions.history(session, who)[0]
        before = presentations.get(session, first.presentation or "")
        old_notice = notices.get(session, "privacy", NOW_IN_FORCE, "nb")
        assert before
        assert old_notice
        words = old_notice.content
    path = content / "purposes.toml"
    text = path.read_text("utf-8").replace("Lillemini AS sender deg", "Vi sender deg nå")
    path.write_text(text.replace('id = "marketing"\nversion = 1', 'id = "marketing"\nversion = 2'))
    shutil.copytree(content / "notices/privacy/2026-11-24", content / "notices/privacy/2026-11-25")
    later = NOON + timedelta(days=3)
    with database.transaction() as session:
        session.info["purposes"] = purposes.load(content)
        published = notices.publish(session, content, at=later)
        assert [one.effective_on for one in published] == [date(2026, 11, 25)]
        notices.check_in_force(session, content, at=later)
        new = presentations.current(session, "preferences", "nb", at=later)
        assert "Vi sender deg nå" in new.bytes.decode()
        after = presentations.get(session, first.presentation or "")
        kept = notices.get(session, "privacy", NOW_IN_FORCE, "nb")
        assert after == before
        assert kept
        assert kept.content == words
        assert before.content["notice"]["hash"] == kept.hash


@pytest.mark.requirement(1, 7)
def test_changed_purposes_take_a_new_notice(session: Session, content: Path) -> None:
    """What the notice in force says and what the forms say cannot drift apart."""
    notices.publish(session, content, at=NOON)
    notices.check_in_force(session, content, at=NOON)
    path = content / "purposes.toml"
    path.write_text(path.read_text("utf-8").replace("Høyst 24 timer.", "Høyst et år."), "utf-8")
    session.info["purposes"] = purposes.load(content)
    with pytest.raises(ContentError, match="make a new version") as error:
        notices.check_in_force(session, content, at=NOON)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ("privacy/soon/nb.md", "soon"),
        ("privacy/2027-01-01/sv.md", "sv"),
        ("privacy/2027-01-01/en.md", "nb.md is missing"),
    ],
)
def test_a_folder_that_is_no_version_is_named(content: Path, made: str, says: str) -> None:
    """No date, no such language, no bokmål."""
    path = content / "notices" / made
    path.parent.mkdir(exist_ok=True)
    path.write_text("# Hei", "utf-8")
    with pytest.raises(ContentError, match=says):
        list(notices.sources(content))


# What requirement 3 asks for, by the heading or the words that carry it in each language.
COMPLETE = {
    "controller": ("Hvem som er ansvarlig", "Kven som er ansvarleg", "Who is responsible"),
    "contact": ("support@lillemini.com",) * 3,
    "purposes": ("behandlingsgrunnlaget", "behandlingsgrunnlaget", "lawful basis"),
    "source": ("Hvor opplysningene kommer fra", "Kvar opplysningane kjem frå", "come from"),
    "recipients": ("Hvem som får", "Kven som får", "Who receives"),
    "processors": ("Amazon Web Services",) * 3,
    "transfers": ("Overføring til land utenfor EØS", "Overføring til land utanfor EØS", "EEA"),
    "retention": ("Hvor lenge vi lagrer", "Kor lenge me lagrar", "How long we keep"),
    "access": ("Rett til innsyn", "Rett til innsyn", "Right of access"),
    "rectification": ("Rett til retting", "Rett til retting", "Right to rectification"),
    "erasure": ("Rett til sletting", "Rett til sletting", "Right to erasure"),
    "restriction": ("Rett til begrensning", "Rett til avgrensing", "Right to restriction"),
    "portability": ("dataportabilitet", "dataportabilitet", "data portability"),
    "objection": ("Rett til å protestere", "Rett til å protestere", "Right to object"),
    "withdrawal": ("trekke samtykke tilbake", "trekke samtykke tilbake", "withdraw consent"),
    "complaint": ("Rett til å klage", "Rett til å klage", "Right to complain"),
    "authority": ("www.datatilsynet.no",) * 3,
    "mandatory": ("Hva du må oppgi", "Kva du må oppgi", "What you must give"),
    "automated": ("Automatiserte avgjørelser", "Automatiserte avgjerder", "Automated decisions"),
    "one month": ("én måned", "éin månad", "one month"),
    "age": ("Aldersgrenser", "Aldersgrenser", "Age limits"),
    "cookies": ("Informasjonskapsler", "Informasjonskapslar", "Cookies"),
    "ledger": ("Samtykkeloggen", "Samtykkeloggen", "The consent ledger"),
}


@pytest.mark.requirement(3, 8, 89)
@pytest.mark.parametrize("day", [NOW_IN_FORCE, NEXT, WITH_VISITORS])
@pytest.mark.parametrize(("number", "locale"), list(enumerate(LOCALES)))
def test_the_notice_in_force_is_complete(
    session: Session, number: int, locale: str, day: date
) -> None:
    """Key by key, and purpose by purpose with its basis, data, recipients and retention."""
    publish(session)
    register = session.info["purposes"]
    notice = notices.in_force(session, "privacy", locale, on=day)
    text = notice.content.decode()
    assert (notice.effective_on, notice.locale) == (day, locale)
    missing = [key for key, words in COMPLETE.items() if words[number] not in text]
    assert missing == []
    assert "[[" not in text
    for purpose in register.told_on(day):
        words = purpose.text[locale]
        for said in (words.name, words.purpose, words.data, words.basis, words.retention):
            assert said in text
        assert words.mandatory in text
        assert f"{purpose.article[0]}" in words.basis


@pytest.mark.requirement(1, 3)
def test_what_is_told_from_a_day_on_leaves_older_notices_as_they_were(session: Session) -> None:
    """The purpose that came with the rights stands in the new notice and not in the one before;
    on both days what is in force is what the register says."""
    publish(session)
    told = session.info["purposes"].purposes["rights"]
    assert told.since == NEXT
    for day, stands in ((NOW_IN_FORCE, False), (NEXT, True)):
        notices.check_in_force(session, CONTENT, at=datetime(day.year, 11, day.day, 12, tzinfo=UTC))
        for locale in LOCALES:
            text = notices.in_force(session, "privacy", locale, on=day).content.decode()
            assert (told.text[locale].purpose in text) is stands
            assert text.count(f"### {told.text[locale].name}\n") == stands, "said once"


@pytest.mark.requirement(1, 3, 6)
def test_each_notice_keeps_the_words_of_the_purposes_of_its_day(session: Session) -> None:
    """The new words about counting stand in the notice of their day, and the old ones for ever in
    those before, whichever day it was that they were written out on."""
    session.info["purposes"] = session.info["purposes"].on(WITH_VISITORS)
    publish(session)
    first, second = session.info["purposes"].versions["analytics"]
    assert second.since == WITH_VISITORS
    for day, said, other in ((NEXT, first, second), (WITH_VISITORS, second, first)):
        notices.check_in_force(session, CONTENT, at=datetime(day.year, 11, day.day, 12, tzinfo=UTC))
        for locale in LOCALES:
            text = notices.in_force(session, "privacy", locale, on=day).content.decode()
            assert said.text[locale].data in text
            assert other.text[locale].data not in text


@pytest.mark.requirement(3)
def test_new_words_take_a_notice_of_their_day_before_the_day_comes(
    session: Session, content: Path
) -> None:
    """The site does not start into a day on which its forms would say what no notice says."""
    shutil.rmtree(content / "notices/privacy/2026-11-24")
    notices.publish(session, content, at=NOON)
    with pytest.raises(ContentError, match="make a new version"):
        notices.check_in_force(session, content, at=NOON)
