"""A person of whom there is something in every column: all of it is in their copy, none of it in
the clear, and after erasure none of it is found but what the page listed."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import LargeBinary, select, update
from sqlalchemy.orm import Session

import logs
from database import Base, Database
from domain.accounting import records
from domain.analytics import pseudonyms
from domain.dates import local_day
from domain.identity import accounts, limits, signed_links
from domain.identity.limits import LimitKind
from domain.identity.signed_links import LinkKind
from domain.keys import keyring
from domain.rights import access, held, holds, places, requests
from domain.rights.inventory import INVENTORY
from domain.rights.requests import RequestKind
from extensions import now
from settings import Settings
from tests.domain.columns import COLUMNS
from tests.domain.leaving import (
    CANARIES,
    IP,
    NEW_ADDRESS,
    RAGNHILD,
    WORDS,
    charge,
    plant_messages,
    plant_newsletter,
    plant_renewal,
    plant_rights,
    plant_usage,
)
from tests.support import canaries
from tests.support.browser import Browser
from tests.support.canaries import Column, Found
from tests.support.mails import Mails
from tests.support.people import Guest, ask, become_customer

GUEST = Guest(**vars(RAGNHILD), password="kanarigult passord 93", choices={"marketing": True})

# Columns that hold nothing here, each with the reason.
EMPTY = {
    ("subject", "erasing_at"): "only while an erasure waits, and then nothing else happens",
    **dict.fromkeys(
        (("usage_key", "browser"), ("usage_key", "expires_at")), "a visitor's, not a member's"
    ),
    ("campaign_delivery", "leased_until"): "only while it is being sent",
    ("outbox_message", "leased_until"): "only while a worker has the message in hand",
}
# Times that follow from the ledger, which says them in the copy; the last would stop the flow.
NATURAL = {("current_decision", name) for name in ("at", "expires_at")} | set(EMPTY)
# What no column would hold by itself in this story.
SAID = {
    ("account", "undeliverable_status"): "5.1.1",
    ("outbox_message", "failure"): "Kanarifeil",
    ("data_subject_request", "about_purpose"): "marketing",
    ("data_subject_request", "reason"): "complexity",
}
# By their names, the columns of what is not hers alone: what everybody was shown, what anybody can
# buy, and words of ours.
ANYBODY = {
    *("kind", "state", "author", "ground", "purpose_id", "about_purpose"),
    *("presentation", "terms_accepted", "item", "campaign_id"),
}
# The log keeps what happened, about nobody (DESIGN.md, "The ledger never contains a person").
LOG = ("ledger_entry", "ledger_leaf", "ledger_pending")
TOLD = {("entry_link", "entry_id"), ("data_subject_request", "reference")}
# Random names of rows, by which an operator finds what the log speaks of while it is there.
LOGGED = {("outbox_message", "id")}


@dataclass
class Scene:
    """The person, what leads to her, and the ways to look."""

    who: UUID
    found: Found
    app: Flask
    owner: Database
    settings: Settings

    def places(self) -> Iterator[tuple[str, bytes]]:
        """Every table, file and dump, with what is in it."""
        yield from canaries.tables(self.owner)
        yield from canaries.files(self.settings.instance, self.settings.database_url)
        dumped = canaries.dump(self.settings.owner_url, Path(os.environ["SAMTYKKE_TEST_RUN"]))
        if dumped is not None:
            yield "dump.db", dumped


@pytest.fixture
def spoken(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> Callable[[], str]:
    """Everything that was logged or written until now."""
    caplog.set_level(logging.INFO)
    return lambda: "\n".join([*capfd.readouterr(), caplog.text])


@pytest.fixture
def plant(
    app: Flask,
    mails: Mails,
    database: Database,
    owner: Database,
    accounting: Database,
    settings: Settings,
) -> Callable[[Browser], Scene]:
    """She signs up, chooses, asks for another address; the rest is planted."""

    def plant(browser: Browser) -> Scene:
        become_customer(browser, mails, GUEST)
        browser.post("/account/email", {"email": NEW_ADDRESS, "password": GUEST.password})
        browser.post("/logout", page=browser.get("/account"))
        mails.deliver()
        with database.transaction() as session:
            who = _plant_rest(session)
        charge(accounting, who)
        with owner.transaction() as session:
            rows = canaries.one_of_each(session, _mine(session, who))
            canaries.mark_times(session, rows, NATURAL)
            for (table, column), said in SAID.items():
                change = update(Base.metadata.tables[table]).where(rows[table])
                session.execute(change.values({column: said}))
        return Scene(who, _canaries(owner, who), app, owner, settings)

    return plant


def _plant_rest(session: Session) -> UUID:
    account = accounts.find(session, RAGNHILD.email)
    assert account
    who = account.subject_id
    request = requests.receive(session, who, RequestKind.ACCESS, channel="link", at=now())
    token = signed_links.issue(
        session,
        LinkKind.ACCESS,
        who,
        stamp=account.stamp,
        lifetime=timedelta(hours=1),
        request_id=request.id,
        at=now(),
    )
    signed_links.consume(session, LinkKind.ACCESS, token, at=now())
    limits.spend(session, LimitKind.SIGN_IN, address=RAGNHILD.email, ip=IP, at=now())
    plant_messages(session, who)
    plant_rights(session, who, request)
    plant_usage(session, who, at=now())
    plant_renewal(session, who, at=now())
    plant_newsletter(session, who, at=now())
    return who


def _canaries(owner: Database, who: UUID) -> Found:
    """What leads to her: every value of her rows that could not be anybody's, and the words that
    are sealed in them."""
    found = Found()
    with owner.reading() as session:
        for column, value in canaries.values(session, _mine(session, who)):
            if column[1] not in ANYBODY:
                found.add(column, value)
    for column, word in WORDS.items():
        found.add(column, word)
    return found


def _mine(session: Session, who: UUID) -> dict[str, Any]:
    """Which rows of each table are hers."""
    column = {table.name: table.c for table in canaries.held_tables()}
    copies = select(column["export_archive"].id).where(column["export_archive"].subject_id == who)
    tries = [one.id for one in limits.tries(session, RAGNHILD.email)]
    customer = keyring(session).lookup("accounting.customer", who.hex)
    counted = pseudonyms.of_member(session, who)
    mine = {
        name: columns["subject_id"] == who
        for name, columns in column.items()
        if "subject_id" in columns
    }
    return {
        **mine,
        "subject": column["subject"].id == who,
        "export_part": column["export_part"].archive_id.in_(copies),
        "attempt": column["attempt"].id.in_(tries),
        "outbox_message": column["outbox_message"].about == who,
        "usage_event": column["usage_event"].pseudonym.in_(counted),
        "accounting_record": column["accounting_record"].customer == customer,
    }


@pytest.mark.requirement(50, 56, 59, 80, 82)
def test_every_canary_is_exported_none_is_in_the_clear_and_none_survives(
    plant: Callable[[Browser], Scene],
    visitor: Callable[..., Browser],
    mails: Mails,
    spoken: Callable[[], str],
) -> None:
    """In every column of every holding, in files, queue and log."""
    logs.configure()
    browser = visitor(address=IP, locale="en")
    scene = plant(browser)
    _every_column_has_one(scene)
    _all_are_in_the_copy(scene)
    _nothing_is_in_the_clear(scene)

    page = ask(browser, mails, "erasure", GUEST)
    until = _books_until(scene)
    for said in (f"{until.year}", "mail folder", "reference, kind, dates"):
        assert said in page.text, "the page lists what stays"
    browser.press(page, page.path)
    mails.deliver()
    assert scene.app.extensions["database"].scrub()  # docs/operations.md: what the round does

    assert _left(scene) == {}
    # The last one, and one to an address that she never confirmed, as the page says.
    (last,) = mails.to(RAGNHILD.email)
    assert "Kanarifugl" not in last.as_string()
    assert {str(mail["To"]) for mail in mails.all()} >= {RAGNHILD.email, NEW_ADDRESS}

    written = spoken()
    assert "message_tried" in written
    words = (*CANARIES, GUEST.password)
    assert [one for one in words if one.casefold() in written.casefold()] == []
    assert scene.found.within(written.encode(), but=LOGGED) == set()


@pytest.mark.requirement(59)
def test_what_a_hold_keeps_is_all_that_is_left_and_goes_with_it(
    plant: Callable[[Browser], Scene], visitor: Callable[..., Browser], mails: Mails
) -> None:
    """A legal claim keeps the account: everything else goes at once, and the rest when it ends."""
    browser = visitor(address=IP, locale="en")
    scene = plant(browser)
    database: Database = scene.app.extensions["database"]
    with database.transaction() as session:
        review_on = local_day(now()) + timedelta(days=700)
        hold = holds.place(
            session, scene.who, "legal_claim", "A claim", ["account"], review_on, at=now()
        )
    page = ask(browser, mails, "erasure", GUEST)
    assert f"{review_on.year}" in page.text, "the page says until when"
    browser.press(page, page.path)
    mails.deliver()
    database.scrub()
    with database.reading() as session:
        kept = held.kept_back(session, scene.who)
    assert set(kept) == {"account", "decisions", "holds", "entries"}, "the last three hang together"
    assert _left(scene, kept) == {}
    with database.transaction() as session:
        found = holds.take(session, hold.id)
        assert found
        holds.release(session, found, at=now())
    mails.deliver()
    database.scrub()
    assert _left(scene) == {}


def _left(scene: Scene, kept: Collection[str] = ()) -> dict[str, set[Column]]:
    """What can be found of her, and where; but what stays, and what she still finds in her mail."""
    left = {
        place: scene.found.within(content, but=_staying(place, kept))
        for place, content in scene.places()
        if not place.startswith("mail/")
    }
    return {place: hits for place, hits in left.items() if hits}


def _every_column_has_one(scene: Scene) -> None:
    """A column without a canary could hide anything."""
    with scene.owner.reading() as session:
        filled = {column for column, value in _hers(session, scene) if value is not None}
    every = {
        (table, column)
        for holding in INVENTORY
        for table, columns in holding.columns.items()
        for column in columns
    }
    assert every - filled == set(EMPTY)
    sealed = {
        (table, name)
        for table, columns in COLUMNS.items()
        for name, place in columns.items()
        if isinstance(place, tuple)
        and isinstance(Base.metadata.tables[table].c[name].type, LargeBinary)
    }
    assert {*sealed, ("export_part", "sealed")} == set(WORDS)


def _all_are_in_the_copy(scene: Scene) -> None:
    """Every column that has a place in the copy is there, opened."""
    with scene.app.extensions["database"].reading() as session:
        (request, *_) = requests.of_subject(session, scene.who)
        made = access.collect(session, scene.who, request, "en", at=now())
    kept = {one["name"]: one["records"] for one in json.loads(json.dumps(made))["holdings"]}
    with scene.owner.reading() as session:
        for (table, name), value in _hers(session, scene):
            place = COLUMNS[table][name]
            if isinstance(place, str) or value is None:
                continue
            holding, key = place
            said = json.dumps(kept[holding], ensure_ascii=False)
            assert any(record.get(key) is not None for record in kept[holding]), place
            if (table, name) in WORDS:
                assert WORDS[table, name] in said, place
            elif canaries.marked(value):
                assert any(one.decode() in said for one in canaries.spellings(value)), place
    assert made["restricted_since"]


def _nothing_is_in_the_clear(scene: Scene) -> None:
    """No direct identifier can be read where it is stored, and where nothing personal belongs
    nothing is; there is no file that the register does not know. Else all is there to be found."""
    words = [word.encode() for word in (*CANARIES, GUEST.password)]
    tables, seen = Base.metadata.tables, set()
    for name, content in scene.places():
        seen |= scene.found.within(content)
        place = None if name in tables else places.of_file(name)
        assert place or name in tables, f"{name} is in no register"
        if place is not None and not place.personal:
            assert scene.found.within(content) == set(), name
        if not name.startswith("mail/"):
            assert [word for word in words if word in content] == [], name
    every = {column for columns in scene.found.columns.values() for column in columns}
    assert seen == every


def _books_until(scene: Scene) -> date:
    books = scene.app.extensions["database"].info["accounting"]
    until = records.kept_until(books, scene.settings.keys, scene.who)
    assert until
    return until


def _staying(place: str, kept: Collection[str]) -> set[Column]:
    """What the erasure page says stays: rows of holdings that stay, about nobody, the log, and
    for a time what is kept back, and the request that leads to it."""
    stays = {
        table: {(table, column) for column in columns if column != "subject_id"}
        for holding in INVENTORY
        if holding.stays and holding.name != "entries"
        for table, columns in holding.columns.items()
    } | {table: TOLD for table in LOG}
    for holding in INVENTORY:
        if holding.name in (*kept, *(("requests",) if kept else ())):
            for table, columns in holding.columns.items():
                stays[table] = {(table, column) for column in columns}
    if place in Base.metadata.tables:
        return stays.get(place, set())
    found = places.of_file(place)
    if found is None or found.name != "database":
        return set()
    return {column for columns in stays.values() for column in columns}


def _hers(session: Session, scene: Scene) -> Iterator[tuple[Column, Any]]:
    return canaries.values(session, _mine(session, scene.who))
