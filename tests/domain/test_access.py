"""The copy of everything: complete, readable by people and by machines."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, render_template
from sqlalchemy.orm import Session

import copies
from database import Base, Database
from domain.consent.purposes import PurposeRegister
from domain.dates import timestamp
from domain.identity import accounts
from domain.locales import LOCALES
from domain.rights import access, retention
from domain.rights.inventory import INVENTORY
from domain.subjects import service as subjects
from tests.domain.columns import COLUMNS
from tests.domain.leaving import NEW_ADDRESS, RAGNHILD, charge, plant
from tests.support import NOON


@pytest.fixture
def document(database: Database, accounting: Database) -> dict[str, Any]:
    """The copy of a person of whom there is something in every table, through JSON."""
    with database.transaction() as session:
        who, request = plant(session)
    charge(accounting, who)
    with database.reading() as session:
        made = access.collect(session, who, request, "en", at=NOON)
    copy: dict[str, Any] = json.loads(json.dumps(made))
    return copy


def records(document: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What is kept, by holding."""
    return {one["name"]: one["records"] for one in document["holdings"]}


@pytest.mark.requirement(56)
def test_every_column_about_a_person_is_in_the_copy_or_says_why_not(
    document: dict[str, Any],
) -> None:
    """A new column in a table of a holding fails here until somebody has decided."""
    held = {table for holding in INVENTORY for table in holding.tables}
    columns = {name: set(Base.metadata.tables[name].columns.keys()) for name in held}
    assert {name: set(told) for name, told in COLUMNS.items()} == columns
    kept = records(document)
    for told in COLUMNS.values():
        for place in told.values():
            if isinstance(place, tuple):
                holding, key = place
                assert any(key in record for record in kept[holding]), place


@pytest.mark.requirement(56)
def test_the_copy_has_everything_that_was_told_and_done(document: dict[str, Any]) -> None:
    """Every holding has records; every planted value is there as the person knows it."""
    kept = records(document)
    assert set(kept) == {holding.name for holding in INVENTORY}
    assert all(kept.values())
    (account,) = kept["account"]
    for field, value in vars(RAGNHILD).items():
        assert account[field] == value
    assert account["pending_email"] == NEW_ADDRESS
    assert [one["decision"] for one in kept["decisions"]] == ["given", "refused"]
    for one in kept["decisions"]:
        assert any(one["purpose"] == shown["id"] for shown in one["shown"]["purposes"])
    assert {one["kind"] for one in kept["requests"]} == {"access", "erasure"}
    types = [one["type"] for one in kept["entries"]]
    assert types[0] == "account.opened"
    assert types[1:3] == ["consent.given", "consent.refused"]


@pytest.mark.requirement(56)
def test_messages_that_merely_carry_the_address_are_hers_too(document: dict[str, Any]) -> None:
    """Requests that nobody has looked at yet and those given up, at both her addresses; nobody
    else's."""
    kept = records(document)["messages"]
    assert sorted((one["kind"], one["state"]) for one in kept) == [
        ("intake.request", "queued"),
        ("intake.reset", "dead"),
        ("mail.password_changed", "queued"),
        ("mail.request_unknown", "dead"),
    ]
    addresses = {RAGNHILD.email, NEW_ADDRESS}
    assert {str(one["to"]).lower() for one in kept} == addresses


@pytest.mark.requirement(1, 56, 63)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_copy_says_what_for_to_whom_and_how_long(
    session: Session, register: PurposeRegister, locale: str
) -> None:
    """Purposes, bases, recipients with their transfers, retention, source, complaints."""
    who, request = plant(session)
    document = access.collect(session, who, request, locale, at=NOON)
    assert document["reference"] == request.reference
    assert document["controller"]["contact"] == register.operator.email
    assert "datatilsynet.no" in document["complaints_to"]["url"]
    assert document["automated_decisions"] is False
    # Nobody enters them here, so the copy does not say that there were none.
    assert document["disclosures"]["recorded"] is False
    assert document["disclosures"]["ask"] == document["controller"]["contact"]
    for purpose, said in zip(register, document["purposes"], strict=True):
        text = purpose.text[locale]
        assert (said["lawful_basis"], said["retention"]) == (text.basis, text.retention)
        assert said["recipients"] == list(purpose.recipients)
    assert {one["id"] for one in document["recipients"]} == {
        processor.id for processor in register.processors
    }
    assert all("transfer" in one for one in document["recipients"])
    names = {processor.name for processor in register.processors}
    kept = {one.holding: one for one in retention.dates(session, who, at=NOON)}
    for holding, said in zip(INVENTORY, document["holdings"], strict=True):
        because = [(one["name"], one["basis"]) for one in said["purposes"]]
        texts = [register.purposes[id].text[locale] for id in holding.purposes]
        assert because == [(text.name, text.basis) for text in texts]
        assert (said["source"], set(said["recipients"])) == (holding.source, names)
        if (dated := kept.get(holding.name)) is not None:
            until = dated.until.isoformat() if dated.until else None
            assert said["retention"] == [{"rule": dated.rule, "until": until}]


@pytest.mark.requirement(56, 61)
def test_the_copy_says_who_is_restricted_and_who_is_about_to_go(session: Session) -> None:
    """Since when, beside what is kept."""
    who, request = plant(session)
    before = access.collect(session, who, request, "nb", at=NOON)
    assert (before["restricted_since"], before["erasure_begun"]) == (None, None)
    subjects.restrict(session, who, at=NOON)
    subjects.freeze(session, who, at=NOON)
    after = access.collect(session, who, request, "nb", at=NOON)
    assert after["restricted_since"] == after["erasure_begun"] == timestamp(NOON)


def test_a_copy_has_nothing_of_anybody_else(session: Session) -> None:
    """Asked for by somebody of whom nothing is kept but that they are there."""
    from tests.domain.consenting import somebody

    _, request = plant(session)
    document = access.collect(session, somebody(session), request, "nb", at=NOON)
    assert not any(records(document).values())


@pytest.mark.requirement(57)
def test_the_archive_opens_and_the_page_reads(app: Flask, document: dict[str, Any]) -> None:
    """JSON that parses to the same, and a page with every value in plain letters."""
    with app.test_request_context("/?lang=en"):
        page = render_template("requests/export.html", document=document)
    made = access.archive(document, page, {})
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["index.html", "data.json"]
        assert json.loads(archive.read("data.json")) == document
        html = archive.read("index.html").decode()
    for word in vars(RAGNHILD).values():
        assert word in html
    assert "given your data to nobody" not in html
    assert "This site does not record that. Ask us" in html
    assert "\\u" not in html
    assert "{" not in html.split("</style>")[1]
    (shown,) = {one["shown"]["heading"] for one in records(document)["decisions"]}
    assert shown in html
    assert "<script" not in html
    assert not re.findall(r'<th scope="row">([a-z]+_[a-z_]+|[a-z]+)</th>', html), "a bare name"


@pytest.mark.requirement(56)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_large_copy_has_the_same_page_and_the_same_file(
    app: Flask, database: Database, locale: str
) -> None:
    """Made in pieces, by the worker, without a request: as if it had been made at once. What a
    person wrote is text in it, whatever they wrote."""
    with database.transaction() as session:
        who, request = plant(session)
        account = accounts.of_subject(session, who)
        assert account is not None
        accounts.update(session, account, replace(RAGNHILD, name="<script>1</script>"), at=NOON)
    with database.reading() as session:
        whole = access.collect(session, who, request, locale, at=NOON)
        pieces = access.describe(session, who, request, locale, at=NOON)
        streamed = "".join(copies.page(app, pieces))
        written = json.loads("".join(access.written(pieces)))
    with app.test_request_context(f"/?lang={locale}"):
        assert streamed == render_template("requests/export.html", document=whole, receipts=True)
    assert written == json.loads(json.dumps(whole))
    assert whole["holdings"][0]["purposes"][0]["name"] in streamed
    assert "&lt;script&gt;1" in streamed
    assert "<script" not in streamed
