"""Who is told that a notice changes in something material, and who is not; each once."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import event, select
from sqlalchemy.orm import Session

import letters
from database import Database
from domain.consent import changes, notices
from domain.consent.changes import Change
from domain.consent.errors import ContentError
from domain.consent.models import NoticeTelling
from domain.delivery import outbox
from domain.delivery.models import OutboxMessage
from domain.identity import accounts
from domain.identity.models import Account
from domain.keys import keyring
from domain.locales import LOCALES
from domain.rights import notifying, upkeep
from domain.subjects.models import Subject
from tests.domain.consenting import CONTENT, publish
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON
from tests.support.browser import Browser
from tests.support.faults import die
from tests.support.mails import Mails, text
from tests.support.office import FILLED, part

pytestmark = pytest.mark.requirement(7)

DAY = timedelta(days=1)
PRIVACY = ("privacy", date(2026, 11, 24))


@pytest.fixture
def changes_told(info: dict[str, object]) -> tuple[Change, ...]:
    """The databases of the test know what is material."""
    found = changes.load(CONTENT)
    info["changes"] = found
    return found


@pytest.fixture
def telling(changes_told: tuple[Change, ...], database: Database) -> Database:
    """A database whose sessions know it."""
    assert database.info["changes"] == changes_told
    return database


def member(session: Session, number: int = 0, **differing: Any) -> UUID:
    """Somebody who had a confirmed account the day before."""
    person = replace(KARI, email=f"kari{number}@firma.example")
    account = opened(session, person, at=NOON - DAY, **differing)
    accounts.confirm_address(session, account.subject_id, at=NOON - DAY)
    return account.subject_id


def members(database: Database, count: int) -> set[UUID]:
    """So many of them, and then the notices are published."""
    with database.transaction() as session:
        people = {member(session, number) for number in range(count)}
        publish(session)
    return people


def tell(database: Database) -> int:
    """To the end."""
    told = 0
    while (piece := notifying.tell(database, NOON, limit=3)) is not None:
        told += piece
    return told


def waiting(database: Database) -> list[tuple[UUID | None, dict[str, Any]]]:
    """What waits to be sent, and to whom."""
    with database.reading() as session:
        rows = session.scalars(select(OutboxMessage).where(OutboxMessage.kind == notifying.LETTER))
        keys = keyring(session)
        return [(row.about, outbox.opened(keys, row.id, row.payload or b"")) for row in rows]


def _unconfirmed(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).confirmed_at = None


def _erasing(session: Session, who: UUID) -> None:
    session.get_one(Subject, who).erasing_at = NOON


def _account(session: Session, who: UUID) -> Account:
    return session.scalars(select(Account).where(Account.subject_id == who)).one()


def _undeliverable(session: Session, who: UUID) -> None:
    _account(session, who).undeliverable_at = NOON


def _newcomer(session: Session, who: UUID) -> None:
    _account(session, who).opened_at = NOON


NOT_TOLD: tuple[Callable[[Session, UUID], None], ...] = (
    *(_unconfirmed, _erasing, _undeliverable, _newcomer),
)


def test_everybody_who_was_there_before_is_told_once(telling: Database) -> None:
    """Two days ahead, in their language, and restricted people too: it rests on no purpose that
    could be forbidden. None to who is unconfirmed, cannot be reached, is being erased, or opened
    the account with the new version before them."""
    with telling.transaction() as session:
        told = {member(session, number): "nb" for number in range(3)}
        for number, locale in enumerate(("nn", "en"), len(told)):
            told[member(session, number, locale=locale)] = locale
        session.get_one(Subject, next(iter(told))).restricted_at = NOON
        for number, change in enumerate(NOT_TOLD, len(told)):
            change(session, member(session, number))
        publish(session)
    assert tell(telling) == len(told)
    assert tell(telling) == 0
    sent = waiting(telling)
    assert {who: letter["locale"] for who, letter in sent} == told
    assert len(sent) == len(told)
    (change,) = telling.info["changes"]
    for _, letter in sent:
        assert tuple(letter["new"]) == change.new[letter["locale"]]
        assert outbox.FOR_PURPOSE not in letter
    with telling.reading() as session:
        done = session.get_one(NoticeTelling, PRIVACY)
    assert (done.begun_at, done.finished_at, done.cursor) == (NOON, NOON, None)


def test_nothing_is_told_before_it_is_published(telling: Database) -> None:
    """And nothing of a version that is not named as material."""
    with telling.transaction() as session:
        member(session)
    assert notifying.tell(telling, NOON, limit=3) is None
    with telling.transaction() as session:
        publish(session)
    named, telling.info["changes"] = telling.info["changes"], ()
    assert notifying.tell(telling, NOON, limit=3) is None
    telling.info["changes"] = named
    assert notifying.tell(telling, NOON, limit=3) == 1


def test_a_fresh_installation_tells_nobody(telling: Database) -> None:
    """Its first notices are published before anybody comes; nor is anybody told later on."""
    members(telling, 0)
    upkeep.everything(telling, at=NOON)
    with telling.transaction() as session:
        accounts.confirm_address(session, opened(session, at=NOON + DAY).subject_id, at=NOON + DAY)
    upkeep.everything(telling, at=NOON + 2 * DAY)
    assert waiting(telling) == []


@pytest.mark.parametrize("commit", [1, 2, 4])
def test_killed_in_the_middle_it_goes_on_and_tells_nobody_twice(
    telling: Database, commit: int
) -> None:
    """Before the first people, between two lots of them, and at the very end."""
    people = members(telling, 8)
    url, info = telling.engine.url.render_as_string(hide_password=False), telling.info
    telling.close()

    def work() -> None:
        commits: list[object] = []

        def dies(connection: object) -> None:
            commits.append(connection)
            if len(commits) == commit:
                os.kill(os.getpid(), signal.SIGKILL)

        mine = Database(url, info=info)
        event.listen(mine.engine, "commit", dies)
        tell(mine)

    die(work)
    before = {who for who, _ in waiting(telling)}
    assert len(before) == min(3 * (commit - 1), len(people))
    assert tell(telling) == len(people) - len(before)
    assert sorted(who for who, _ in waiting(telling) if who) == sorted(people)


def test_two_workers_tell_nobody_twice(telling: Database) -> None:
    """They hold the cursor by turns."""
    people = members(telling, 12)
    other = Database(telling.engine.url.render_as_string(hide_password=False), info=telling.info)
    with ThreadPoolExecutor(2) as pool:
        told = sum(pool.map(tell, (telling, other)))
    other.close()
    assert told == len(people)
    assert sorted(who for who, _ in waiting(telling) if who) == sorted(people)


def test_one_who_cannot_be_told_does_not_keep_the_others_waiting(
    telling: Database, owner: Database
) -> None:
    """Somebody whose details cannot be opened is passed over."""
    people = members(telling, 4)
    unreadable = min(people)
    with owner.transaction() as session:
        _account(session, unreadable).email = b"unreadable"
    assert tell(telling) == 3
    assert {who for who, _ in waiting(telling)} == people - {unreadable}


def test_the_worker_sends_a_letter_that_leads_to_both_versions(
    app: Flask,
    database: Database,
    client: Browser,
    mails: Mails,
    clock: time_machine.Traveller,
) -> None:
    """The site knows what `content/` names, and its links open for who is not signed in."""
    with database.transaction() as session:
        account = opened(session, OLA, at=NOON - DAY, locale="en")
        accounts.confirm_address(session, account.subject_id, at=NOON - DAY)
    for _ in range(2):
        upkeep.everything(app.extensions["database"], at=NOON)
    (mail,) = mails.to(OLA.email)
    assert "24 November 2026" in mail["Subject"]
    links = re.findall(r"https?://\S+?(/notices/privacy/versions\S*)", text(mail))
    assert len(links) == 2
    for link in links:
        assert client.get(link).status == 200
    assert "2026-11-24" in links[0]


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("notice", notices.KINDS)
def test_the_letter_says_what_is_new_and_from_when_and_nothing_else(
    app: Flask, notice: str
) -> None:
    """In each language, with both versions and what one can do; nothing that presses or sells."""
    new = ["We count exactly this.", "You unsubscribe by a link."]
    paths = [f"/notices/{notice}/versions/2026-11-24", f"/notices/{notice}/versions"]
    for locale in LOCALES:
        filled = {**FILLED, "locale": locale, "notice": notice, "new": new}
        mail = letters.render(app, notifying.LETTER, filled, "<1@lillemini.example>", NOON)
        day = "24 November 2026" if locale == "en" else "24. november 2026"
        assert day in mail["Subject"]
        for kind in ("plain", "html"):
            words = part(mail, kind)
            for one in (day, *new):
                assert one in words
            for path in (*paths, "/preferences", "/account/privacy"):
                assert f"{path}?lang={locale}" in words
            assert "/unsubscribe" not in words
        _, _, plain = part(mail, "plain").partition("\n\n")
        assert "!" not in plain
        if locale == "en":
            assert ("terms" in mail["Subject"]) == (notice == "terms")
            assert "You need not do anything." in plain


def test_the_version_of_this_release_is_named(changes_told: tuple[Change, ...]) -> None:
    """It is material: visitors are asked, and analytics asks anew."""
    (change,) = changes_told
    assert (change.kind, change.date) == PRIVACY
    assert set(change.new) == set(LOCALES)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("2026-11-24", "2026-11-25", "content/notices has no privacy/2026-11-25"),
        ("2026-11-24", '"2026-11-24"', "date is a day"),
        ('"privacy"', '"privat"', "content/notices has no privat/2026-11-24"),
        ("[change.nn]", "[change.se]", "no text in nn"),
        ("new = [", "nytt = [", "[nb]: new is a list of what is new"),
        ("[[change]]", "[[changed]]", "unknown changed"),
        ("new = [", 'new = ["One more.", ', "as much is new in nb, nn, en"),
        ("new = [", 'new = [" ", ', "[nb]: what is new is told in words"),
        ("[[change]]", "[change", "changes.toml: "),
    ],
)
def test_a_file_that_says_half_of_it_is_refused(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    """By its name, and with what is wrong."""
    content = Path(shutil.copytree(CONTENT, tmp_path / "content"))
    path = content / "changes.toml"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ContentError, match=re.escape(says)) as raised:
        changes.load(content)
    assert str(path) in str(raised.value)


def test_a_version_stands_there_once(tmp_path: Path) -> None:
    """Two lists of what is new could not both be sent."""
    content = Path(shutil.copytree(CONTENT, tmp_path / "content"))
    path = content / "changes.toml"
    path.write_text(path.read_text("utf-8") * 2, "utf-8")
    with pytest.raises(ContentError, match="privacy 2026-11-24 stands there twice"):
        changes.load(content)
