"""People who come from another controller, with what they bring."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from database import Database
from domain.consent import decisions, permission
from domain.delivery.models import OutboxMessage
from domain.identity import accounts, subscriptions
from domain.identity.models import Account
from domain.keys import Keyring
from domain.rights import brought, erasure, importing, portability
from domain.rights.errors import BadImport
from domain.rights.inventory import INVENTORY
from domain.rights.models import ImportedDocument
from domain.subjects import service as subjects
from tests.domain import lapsing
from tests.domain.identity_people import KARI
from tests.domain.test_portability import SPOILT, kari
from tests.support import NOON
from tests.support.browser import Browser
from tests.support.databases import Template
from tests.support.links import NEW_PASSWORD
from tests.support.mails import Mails, link_in, text
from tests.support.people import Guest, sign_in

HOUR = timedelta(hours=1)


@pytest.fixture
def document(session: Session) -> dict[str, Any]:
    """What Kari takes along from the first company."""
    return portability.document(session, kari(session), at=NOON)


@pytest.fixture
def elsewhere(
    backend: str,
    _templates: Callable[[str], Template],
    tmp_path: Path,
    info: dict[str, object],
) -> Iterator[Database]:
    """A second installation: a database of its own, and other keys."""
    (tmp_path / "elsewhere").mkdir()
    fresh = _templates(backend).copy(tmp_path / "elsewhere")
    ring = Keyring(epochs={7: b"7" * 32}, lookup_key=b"l" * 32, signing_key="another one" * 4)
    database = Database(fresh.application, info={**info, "keyring": ring})
    yield database
    database.close()
    _templates(backend).drop(fresh)


def taken(session: Session, document: dict[str, Any]) -> Any:
    return importing.take_over(session, document, least_age=13, at=NOON + HOUR)


def facts(document: dict[str, Any]) -> dict[str, Any]:
    return {name: said for name, said in document.items() if name not in ("made_at", "controller")}


@pytest.mark.requirement(57)
def test_a_second_installation_takes_a_person_over_to_the_same_facts(
    document: dict[str, Any], elsewhere: Database
) -> None:
    """What it would give her to take along says what the first one did, but for who made it and
    when: by ZIP, and through everything that is sealed there."""
    read = importing.read(portability.archive(document))
    with elsewhere.transaction() as session:
        who = taken(session, read)
    with elsewhere.reading() as session:
        again = portability.document(session, who, at=NOON + HOUR)
        assert facts(again) == facts(document)
        assert [entry.type for entry in subjects.entries(session, who)] == ["account.imported"]


@pytest.mark.requirement(51, 57)
def test_a_subscription_elsewhere_neither_ends_nor_makes_a_customer_here(
    document: dict[str, Any], elsewhere: Database
) -> None:
    """One that ended there years ago does not let the account go; none runs here until one starts
    here, and then both are hers to take along, each with whom it was."""
    (there,) = {one["to"] for one in document["subscriptions"]}
    del document["subscriptions"][1:]
    document["subscriptions"][0].update(started_on="2019-01-01", ended_on="2020-01-01")
    with elsewhere.transaction() as session:
        who = taken(session, document)
        accounts.confirm_address(session, who, at=NOON + HOUR)
        assert subscriptions.of_subject(session, who) == []
    assert lapsing.run(elsewhere, NOON + 2 * HOUR)["customer"] == 0
    with elsewhere.transaction() as session:
        assert accounts.of_subject(session, who)
        subscriptions.start(session, who, on=NOON.date(), at=NOON + HOUR)
        again = portability.document(session, who, at=NOON + HOUR)
        assert [(one["ended_on"], one["to"]) for one in again["subscriptions"]] == [
            ("2020-01-01", there),
            (None, again["controller"]["name"]),
        ]


@pytest.mark.requirement(21, 57)
def test_what_was_consented_to_elsewhere_permits_nothing(
    document: dict[str, Any], elsewhere: Database
) -> None:
    """It was given to another company: it is kept as what she brought, and asked for anew."""
    document["choices"].append(
        {"purpose": "marketing", "answer": "yes", "at": "2026-11-22T16:00:00.000Z", "to": "Andre"}
    )
    with elsewhere.transaction() as session:
        who = taken(session, document)
        accounts.confirm_address(session, who, at=NOON + HOUR)
        assert not permission.permitted(session, who, "marketing", at=NOON + HOUR)
        assert set(decisions.current(session, who, at=NOON + HOUR).values()) == {None}
        (kept,) = [one for one in INVENTORY if one.name == "imported"]
        (record,) = kept.export(session, who)
        assert record["document"]["choices"] == document["choices"]


def test_what_was_brought_is_sealed_and_goes_with_the_person(
    document: dict[str, Any], elsewhere: Database
) -> None:
    """Nothing of it can be read in the table, and nothing is left of it."""
    with elsewhere.transaction() as session:
        who = taken(session, document)
        (row,) = session.scalars(select(ImportedDocument))
        assert b"HYPERLINK" not in row.document
        erasure.forget(session, who, "request", at=NOON + HOUR)
        assert session.scalars(select(ImportedDocument)).all() == []
        assert brought.of_subject(session, who) is None


def _zip(packed: int = zipfile.ZIP_DEFLATED, /, **members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packed) as file:
        for name, content in members.items():
            file.writestr(name.replace("__", "."), content)
    return out.getvalue()


def _spoilt(content: bytes) -> bytes:
    start = content.index(b"portability.json") + len("portability.json")
    return (
        content[:start]
        + bytes(byte ^ 0x5A for byte in content[start : start + 12])
        + content[start + 12 :]
    )


def _deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


BAD: dict[str, Callable[[], bytes]] = {
    "nothing": lambda: b"",
    "no JSON": lambda: b"Kari Nordmann",
    "no UTF-8": lambda: '{"name": "æ"}'.encode("latin-1"),
    "not a number": lambda: b'{"declared_age": NaN}',
    "a number of 10,000 digits": lambda: b'{"declared_age": ' + b"9" * 10_000 + b"}",
    "a name twice": lambda: b'{"schema": 1, "schema": 2}',
    "very deep": _deep,
    "too large": lambda: b" " * (importing.MOST_BYTES + 1),
    "a ZIP without it": lambda: _zip(other__json=b"{}"),
    "half a ZIP": lambda: _zip(portability__json=b"{}")[:-30],
    "a ZIP with noise": lambda: b"PK\x03\x04" + bytes(range(256)) * 9,
    "a bomb": lambda: _zip(portability__json=b" " * (importing.MOST_BYTES * 3)),
    # Each with a byte of what is packed spoilt.
    "broken bzip2": lambda: _spoilt(_zip(zipfile.ZIP_BZIP2, portability__json=b"{}" * 99)),
    "broken lzma": lambda: _spoilt(_zip(zipfile.ZIP_LZMA, portability__json=b"{}" * 99)),
    "a nest": lambda: _zip(portability__json=_zip(portability__json=b"{}")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_such_file_is_refused_in_words(name: str) -> None:
    """Whatever it is: never an error of another kind, and quickly."""
    with pytest.raises(BadImport):
        importing.read(BAD[name]())


def test_what_does_not_fit_is_refused_and_leaves_nothing(
    session: Session, document: dict[str, Any]
) -> None:
    """Spoilt documents, and whole ones of whom no account can be opened; no message quotes them."""
    for spoil in SPOILT.values():
        spoilt = json.loads(json.dumps(document))
        spoil(spoilt)
        with pytest.raises(BadImport):
            importing.read(json.dumps(spoilt).encode())
    half = json.dumps({**document, "controller": {"name": "\ud800", "contact": ""}})
    with pytest.raises(BadImport):
        importing.read(half.encode())
    person, new = document["person"], {**document["person"], "email": "ny@firma.example"}
    backwards = {"started_on": "2026-01-02", "ended_on": "2026-01-01"}
    for changed in (
        {"person": person},  # has an account
        {"person": {**new, "name": None}},
        {"person": {**new, "name": "Kari\r\nBcc: alle"}},
        {"person": {**new, "email": "ikke en adresse"}},
        {"person": {**new, "phone": "12"}},
        {"person": new, "declared_age": 12},
        {"person": new, "declared_age": None},
        {"person": new, "subscriptions": [{**backwards, "to": "Andre"}]},
    ):
        undone = session.begin_nested()
        with pytest.raises(BadImport) as refused:
            taken(session, importing.read(json.dumps({**document, **changed}).encode()))
        undone.rollback()
        assert "firma.example" not in str(refused.value)
    assert len(session.scalars(select(Account)).all()) == 1


@pytest.mark.usefixtures("clock")
@pytest.mark.requirement(57)
def test_the_command_mails_a_link_and_the_person_makes_the_account_theirs(
    app: Flask, client: Browser, mails: Mails, tmp_path: Path, database: Database
) -> None:
    """Nobody signs in before; then with a password and a yes to the terms, and no consent."""
    with database.transaction() as session:
        document = portability.document(session, kari(session), at=NOON)
        session.rollback()  # she is known elsewhere, not here
    file = tmp_path / "portability.zip"
    file.write_bytes(portability.archive(document))
    run = app.test_cli_runner().invoke
    done = run(args=["subjects", "import", str(file)])
    assert done.exit_code == 0, done.output
    again = run(args=["subjects", "import", str(file)])
    assert again.exit_code == 1
    assert again.output.startswith("Error: Nothing was taken over: no account can be opened")
    email = document["person"]["email"]
    assert sign_in(client, Guest(email, "!")).status == 422
    mail = mails.last(email)
    assert "7 dager" in text(mail) or "7 days" in text(mail)
    page = client.get(link_in(mail))
    assert page.soup.select_one('input[name="terms"]')
    refused = client.post(page.path, {"password": NEW_PASSWORD}, page=page)
    assert refused.status == 422
    accepted = client.post(page.path, {"password": NEW_PASSWORD, "terms": "y"}, page=refused)
    assert accepted.path.startswith("/login")
    assert sign_in(client, Guest(email, NEW_PASSWORD)).status == 200
    with database.reading() as session:
        account = session.scalars(select(Account)).one()
        assert account.terms_accepted == "2026-11-22"
        assert accounts.is_confirmed(session, account)
        types = [entry.type for entry in subjects.entries(session, account.subject_id)]
        assert types[-1] == "account.opened"
        assert "mail.imported" in session.scalars(select(OutboxMessage.kind)).all()
    plain = run(args=["subjects", "import", str(Path(__file__))])
    assert plain.exit_code == 1
    assert "is not JSON" in plain.output


def test_an_account_of_the_address_stays_as_it_was(
    session: Session, document: dict[str, Any]
) -> None:
    """Nobody gets into somebody's account by a file."""
    with pytest.raises(BadImport):
        taken(session, document)
    account = accounts.find(session, KARI.email)
    assert account is not None
    assert account.password_hash == "scrambled"
    assert brought.of_subject(session, account.subject_id) is None
