"""The copy of everything: complete, readable by people and by machines."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest
from flask import Flask, render_template
from sqlalchemy.orm import Session

from database import Base
from domain.consent.purposes import PurposeRegister
from domain.locales import LOCALES
from domain.rights import access
from domain.rights.inventory import INVENTORY
from tests.domain.leaving import NEW_ADDRESS, RAGNHILD, plant
from tests.support import NOON

# Where each column about a person stands in the copy (holding, key), or why it does not.
KEYS = "internal: a key or keyed hash that opens or finds rows, and says nothing"
ROW = "internal: a random id of the row"
LINK = "who it is about: the person who asks"
SCHEDULE = "internal: when and how often delivery was tried"
COLUMNS: dict[str, dict[str, tuple[str, str] | str]] = {
    "account": {
        **{
            name: ("account", name)
            for name in (
                *("id", "email", "pending_email", "name", "phone", "address", "postal_code"),
                *("city", "locale", "terms_accepted", "stamp", "opened_at"),
            )
        },
        "subject_id": LINK,
        "email_lookup": KEYS,
        "password_hash": "as the fact that there is one: the hash would help only who guesses",
    },
    "subject": {
        "id": LINK,
        "wrapped_key": KEYS,
        "opened_at": "the same moment as the account's",
        "confirmed_at": ("account", "confirmed_at"),
        "declared_age": ("account", "declared_age"),
        "linked": "the number of entries, which are all there",
    },
    "entry_link": {"entry_id": ("entries", "entry"), "subject_id": LINK, "ordinal": "their order"},
    "current_decision": {
        "subject_id": LINK,
        "purpose_id": ("decisions", "purpose"),
        "state": ("decisions", "decision"),
        "entry_id": ("decisions", "entry"),
        "at": ("decisions", "at"),
        "purpose_version": ("decisions", "purpose_version"),
        "presentation": ("decisions", "shown"),
        "expires_at": ("decisions", "expires_at"),
    },
    "data_subject_request": {
        **{
            name: ("requests", name)
            for name in (
                *("reference", "kind", "state", "received_at", "due_on", "verified_at"),
                "closed_at",
            )
        },
        "id": ROW,
        "subject_id": LINK,
    },
    "signed_link": {
        **{name: ("links", name) for name in ("kind", "issued_at", "expires_at", "used_at")},
        "id": ROW,
        "token_hash": KEYS,
        "subject_id": LINK,
        "request_id": ROW,
        "stamp": "the account's, when it was issued",
    },
    "attempt": {"id": ROW, "kind": ("attempts", "kind"), "key": KEYS, "at": ("attempts", "at")},
    "outbox_message": {
        **{name: ("messages", name) for name in ("kind", "state", "created_at")},
        "payload": ("messages", "to"),
        "about": LINK,
        **dict.fromkeys(("id", "message_id"), ROW),
        **dict.fromkeys(("due_at", "attempts", "leased_until", "failure", "closed_at"), SCHEDULE),
    },
}


@pytest.fixture
def document(session: Session) -> dict[str, Any]:
    """The copy of a person of whom there is something in every table, through JSON."""
    who, request = plant(session)
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
    assert (document["source"], document["automated_decisions"]) == ("you", False)
    for purpose, said in zip(register, document["purposes"], strict=True):
        text = purpose.text[locale]
        assert (said["lawful_basis"], said["retention"]) == (text.basis, text.retention)
        assert said["recipients"] == list(purpose.recipients)
    assert {one["id"] for one in document["recipients"]} == {
        processor.id for processor in register.processors
    }
    assert all("transfer" in one for one in document["recipients"])


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
    assert "\\u" not in html
    assert "{" not in html.split("</style>")[1]
    (shown,) = {one["shown"]["heading"] for one in records(document)["decisions"]}
    assert shown in html
    assert "<script" not in html
