"""What a person takes along: what they gave, in a format that others can read."""

from __future__ import annotations

import copy
import csv
import io
import json
import zipfile
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from sqlalchemy.orm import Session

from domain.consent import decisions
from domain.dates import timestamp
from domain.identity import accounts, correspondents, subscriptions
from domain.rights import cases, portability, requests, shape
from domain.rights.requests import RequestKind
from tests.domain.consenting import decide, publish
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

HOUR = timedelta(hours=1)
FORMULA = '=HYPERLINK("http://ond.example")\nog «æøå»; slutt'


def kari(session: Session) -> UUID:
    """A customer who told, subscribed, chose and wrote; and of whom more is kept than that."""
    publish(session)
    who = opened(session, KARI).subject_id
    accounts.confirm_address(session, who, at=NOON)
    day = NOON.date()
    subscriptions.start(session, who, on=day - timedelta(days=400), at=NOON)
    subscriptions.end(session, who, on=day - timedelta(days=30), at=NOON)
    subscriptions.start(session, who, on=day, at=NOON)
    decide(session, who, marketing=True)
    decide(session, who, at=NOON + HOUR)
    decide(session, who, at=NOON + 2 * HOUR, analytics=True)
    decisions.invalidate(session, who, "analytics", "unlawful_wording", at=NOON + 3 * HOUR)
    case = requests.receive(session, who, RequestKind.ENQUIRY, channel="account", at=NOON)
    cases.write(session, case, "person", FORMULA, at=NOON)
    cases.answer(session, case, "Svaret er nei.", at=NOON + HOUR)
    return who


@pytest.fixture
def document(session: Session) -> dict[str, Any]:
    """Hers, through JSON."""
    made = portability.document(session, kari(session), at=NOON)
    through: dict[str, Any] = json.loads(json.dumps(made))
    return through


@pytest.mark.requirement(57)
def test_it_has_what_the_person_gave_and_nothing_that_was_derived(document: dict[str, Any]) -> None:
    """Told, chosen and written by herself; no answer of ours, nothing that time or we did."""
    (lillemini,) = {one["to"] for one in document["choices"]}
    assert lillemini == document["controller"]["name"]
    told = {**vars(KARI), "email": KARI.email.lower()}
    assert document["person"] == told
    assert (document["language"], document["declared_age"]) == ("nb", 15)
    assert document["subscriptions"] == [
        {"started_on": "2025-10-18", "ended_on": "2026-10-23", "to": lillemini},
        {"started_on": "2026-11-22", "ended_on": None, "to": lillemini},
    ]
    assert [(one["purpose"], one["answer"], one["at"]) for one in document["choices"]] == [
        ("marketing", "yes", timestamp(NOON)),
        ("analytics", "no", timestamp(NOON)),
        ("marketing", "no", timestamp(NOON + HOUR)),
        ("analytics", "yes", timestamp(NOON + 2 * HOUR)),
    ]
    (message,) = document["messages"]
    assert (message["about"], message["words"]) == ("enquiry", FORMULA)


@pytest.mark.requirement(57)
def test_who_has_no_account_takes_along_what_they_wrote(session: Session) -> None:
    """A correspondent told an address and nothing else; the document is a whole one."""
    who = correspondents.open_or_find(session, "brev@firma.example", "nn", at=NOON)
    made = portability.document(session, who, at=NOON)
    assert made["person"] == {**dict.fromkeys(made["person"]), "email": "brev@firma.example"}
    assert (made["language"], made["choices"], made["declared_age"]) == ("nn", [], None)
    shape.check(portability.schema(), made)


@pytest.mark.requirement(57)
def test_the_archive_has_json_tables_and_schema(document: dict[str, Any]) -> None:
    """The JSON is as it was written; a table opens in a spreadsheet, with its letters, and runs
    nothing there."""
    with zipfile.ZipFile(io.BytesIO(portability.archive(document))) as file:
        assert file.testzip() is None
        assert json.loads(file.read("portability.json")) == document
        assert file.read("portability.schema.json") == portability.SCHEMA_FILE.read_bytes()
        raw = {name: file.read(name) for name in file.namelist() if name.endswith(".csv")}
    assert set(raw) == {"person.csv", "subscriptions.csv", "choices.csv", "messages.csv"}
    rows = {}
    for name, content in raw.items():
        assert content.startswith(b"\xef\xbb\xbf")
        assert content.endswith(b"\r\n")
        rows[name] = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        for row in rows[name]:
            assert not any(cell[:1] in tuple("=+-@\t\r\n") for cell in row.values())
    (person,) = rows["person.csv"]
    assert (person["name"], person["phone"]) == (KARI.name, f"'{KARI.phone}")
    assert rows["messages.csv"][0]["words"] == f"'{FORMULA}"
    assert [row["answer"] for row in rows["choices.csv"]] == ["yes", "no", "no", "yes"]
    assert rows["subscriptions.csv"][1]["ended_on"] == ""


Spoil = Callable[[dict[str, Any]], Any]
SPOILT: dict[str, Spoil] = {
    "a field too many": lambda one: one.update(extra=1),
    "a field too few": lambda one: one.pop("language"),
    "another version": lambda one: one.update(schema="urn:samtykke:portability:2"),
    "another language": lambda one: one.update(language="sv"),
    "a person with more": lambda one: one["person"].update(fnr="01017012345"),
    "a name that is a list": lambda one: one["person"].update(name=["Kari"]),
    "a very long name": lambda one: one["person"].update(name="K" * 201),
    "an age in words": lambda one: one.update(declared_age="15"),
    "an age of no years": lambda one: one.update(declared_age=0),
    "an age that is true": lambda one: one.update(declared_age=True),
    "a list that is none": lambda one: one.update(choices={}),
    "a choice that is none": lambda one: one["choices"].append("yes"),
    "an answer that is none": lambda one: one["choices"][0].update(answer="maybe"),
    "a time without a zone": lambda one: one["choices"][0].update(at="2026-11-22T12:00:00"),
    "a day that is none": lambda one: one["subscriptions"][0].update(started_on="2026-02-30"),
    "a day in words": lambda one: one["subscriptions"][0].update(ended_on="i morgen"),
    "a message about nothing": lambda one: one["messages"][0].update(about=None),
    "too many": lambda one: one.update(subscriptions=one["subscriptions"] * 501),
}


@pytest.mark.requirement(57)
def test_the_document_is_as_its_schema_says_and_our_reader_agrees(document: dict[str, Any]) -> None:
    """jsonschema and our own strict reader take the same and refuse the same."""
    schema = portability.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(
        schema, format_checker=jsonschema.FormatChecker(["date"])
    )
    validator.validate(document)
    shape.check(schema, document)
    for name, spoil in SPOILT.items():
        spoilt = copy.deepcopy(document)
        spoil(spoilt)
        assert not validator.is_valid(spoilt), name
        with pytest.raises(shape.Misshapen):
            shape.check(schema, spoilt)
    nothings: tuple[Any, ...] = (None, [], "document", 1)
    for nothing in nothings:
        with pytest.raises(shape.Misshapen):
            shape.check(schema, nothing)


def test_our_reader_refuses_a_schema_that_it_does_not_understand() -> None:
    """It would pass over what it says."""
    with pytest.raises(KeyError):
        shape.check({"type": "string", "contentEncoding": "base64"}, "x")
