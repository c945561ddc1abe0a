"""Portability (GDPR art. 20): what a person gave us, for another controller to take over.

Only what the person provided stands in it (WP 242 rev.01): told, chosen, written. What the site
derived or noted by itself is in the copy (access.py). docs/portability.md explains the format,
docs/portability.schema.json is its schema.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from domain.consent import decisions
from domain.consent.decisions import DecisionState
from domain.consent.purposes import purposes
from domain.dates import OSLO, parse_timestamp, timestamp
from domain.identity import accounts, correspondents, subscriptions
from domain.locales import DEFAULT
from domain.rights import brought, cases, requests
from domain.subjects import service as subjects

SCHEMA_FILE = Path(__file__).parents[2] / "docs" / "portability.schema.json"
VERSION = "urn:samtykke:portability:1"
MEMBER = "portability.json"
# The person's own acts. What expired or was found invalid, nobody chose.
_ANSWERS = {
    DecisionState.GIVEN: "yes",
    DecisionState.RENEWED: "yes",
    DecisionState.REFUSED: "no",
    DecisionState.WITHDRAWN: "no",
}
_PERSON = ("name", "email", "phone", "address", "postal_code", "city")
# Nothing in a table may begin like this: a spreadsheet would take it for a formula and run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@cache
def schema_bytes() -> bytes:
    """The schema as it stands in the project, byte for byte."""
    return SCHEMA_FILE.read_bytes()


@cache
def schema() -> Mapping[str, Any]:
    """The schema, read."""
    found: Mapping[str, Any] = json.loads(schema_bytes())
    return found


def document(session: Session, subject_id: UUID, *, at: datetime) -> dict[str, Any]:
    """What the person gave, as the schema describes it; JSON-ready. Raises UnknownSubject."""
    operator = purposes(session).operator
    came = brought.of_subject(session, subject_id) or {}
    to = operator.legal_name
    person, language = _person(session, subject_id)
    return {
        "schema": VERSION,
        "made_at": timestamp(at),
        "controller": {"name": to, "contact": operator.email},
        "person": person,
        "language": language,
        "declared_age": subjects.get(session, subject_id).declared_age,
        "subscriptions": _in_order(
            "started_on",
            [*came.get("subscriptions", ()), *_subscriptions(session, subject_id, to)],
        ),
        "choices": _in_order("at", [*came.get("choices", ()), *_choices(session, subject_id, to)]),
        "messages": _in_order(
            "written_at", [*came.get("messages", ()), *_messages(session, subject_id, to)]
        ),
    }


def archive(document: Mapping[str, Any]) -> bytes:
    """A ZIP of the document, the same as tables for people, and the schema."""
    made = parse_timestamp(document["made_at"]).astimezone(OSLO).timetuple()[:6]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:

        def add(name: str, content: bytes) -> None:
            member = zipfile.ZipInfo(name, date_time=made)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.external_attr = 0o644 << 16
            file.writestr(member, content)

        add(MEMBER, (json.dumps(document, ensure_ascii=False, indent=2) + "\n").encode())
        for name, content in tables(document).items():
            add(name, content)
        add(SCHEMA_FILE.name, schema_bytes())
    return out.getvalue()


def tables(document: Mapping[str, Any]) -> dict[str, bytes]:
    """The document as CSV files (RFC 4180)."""
    person = {**document["person"]} | {one: document[one] for one in ("language", "declared_age")}
    return {
        "person.csv": _table([*_PERSON, "language", "declared_age"], [person]),
        "subscriptions.csv": _table(["started_on", "ended_on", "to"], document["subscriptions"]),
        "choices.csv": _table(["at", "purpose", "answer", "to"], document["choices"]),
        "messages.csv": _table(["written_at", "about", "to", "words"], document["messages"]),
    }


def _person(session: Session, subject_id: UUID) -> tuple[dict[str, str | None], str]:
    """What they told of themselves, and the language they read."""
    account = accounts.of_subject(session, subject_id)
    if account is not None:
        told = asdict(accounts.person(session, account))
        return {field: told[field] or None for field in _PERSON}, account.locale
    row = correspondents.of_subject(session, subject_id)
    email = correspondents.email_of(session, subject_id)
    return {**dict.fromkeys(_PERSON), "email": email}, row.locale if row else DEFAULT


def _subscriptions(session: Session, subject_id: UUID, to: str) -> Iterable[dict[str, str | None]]:
    for one in subscriptions.of_subject(session, subject_id):
        ended = one.ended_on.isoformat() if one.ended_on else None
        yield {"started_on": one.started_on.isoformat(), "ended_on": ended, "to": to}


def _choices(session: Session, subject_id: UUID, to: str) -> Iterable[dict[str, str]]:
    for one in decisions.history(session, subject_id):
        answer = _ANSWERS.get(one.state)
        if answer is not None:
            at = timestamp(one.at)
            yield {"purpose": one.purpose_id, "answer": answer, "at": at, "to": to}


def _messages(session: Session, subject_id: UUID, to: str) -> Iterable[dict[str, str]]:
    for request in requests.of_subject(session, subject_id):
        for text in cases.texts(session, request):
            if text.author == "person":
                at = timestamp(text.written_at)
                said = {"about": request.kind, "words": text.words}
                yield {**said, "written_at": at, "to": to}


def _in_order(field: str, found: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Oldest first. What came at one moment stays as it was."""
    return sorted(found, key=lambda one: one[field])


def _table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> bytes:
    """Lines end with CRLF and every cell stands in quotes, as RFC 4180 has it.

    A byte order mark begins the file: without one Excel takes it for a code page, and æ, ø and å
    for other letters. An apostrophe goes before what would be a formula; the JSON has the text as
    it was written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(columns)
    writer.writerows([_cell(row[column]) for column in columns] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
