"""The log in public: what programs read, what people are told, and the check of a receipt."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import insert
from werkzeug.test import TestResponse

from database import Database
from domain.consent import receipts as consent_receipts
from domain.ledger import checkpoints, log_keys, recovery, tiles, tree
from domain.ledger.append import append_anonymous
from domain.ledger.log import Log, Witness
from domain.ledger.models import LedgerCosignature, LedgerLeaf
from domain.ledger.notes import KeyType, SignerKey
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt
from domain.ledger.tiles import Tile
from extensions import now
from tests.support import logs
from tests.support.browser import Browser, Page
from tests.support.databases import SqliteTemplate
from tests.support.receipts import opened, prove
from tests.support.tables import contents

Visitor = Callable[..., Browser]
MACHINES = ("/ledger/checkpoint", "/ledger/key", "/ledger/tile/0/000.p/3")


@pytest.fixture
def grown(app: Flask, database: Database) -> Database:
    """A log of 300 entries that was published at 257 and at 300."""
    with database.transaction() as session:
        logs.fill(session, 257, 300)
    return database


@pytest.fixture
def receipt(grown: Database) -> bytes:
    """The receipt of the entry at position 7."""
    with grown.reading() as session:
        row = session.get_one(LedgerLeaf, 7)
        return consent_receipts.receipt(session, row.entry_id).encode()


# --- For programs -----------------------------------------------------------------------------


def test_before_the_first_entry_there_is_nothing(app: Flask, client: Browser) -> None:
    """In words, as a 404 that nobody keeps."""
    for path in MACHINES:
        page = client.get(path)
        assert (page.status, page.response.mimetype) == (404, "text/plain")
        assert page.headers["Cache-Control"] == "no-store"
    page = client.get("/ledger")
    assert page.status == 200
    assert not page.soup.select("main a[href='/ledger/checkpoint'], main a[href='/ledger/key']")


@pytest.mark.requirement(34)
def test_the_newest_checkpoint_is_published_with_its_witnesses(
    grown: Database, client: Browser, log: Log
) -> None:
    """As a signed note that the log's key verifies, asked for anew each second."""
    witness = SignerKey.make("vitne.example", KeyType.WITNESS)
    with grown.transaction() as session:
        newest = tree.published(session)
        assert newest
        line = witness.sign(newest.note.split(b"\n\n")[0] + b"\n", seen=1)
        row = {"size": 300, "verifier_key": str(witness.verifier), "line": line, "seen_at": now()}
        session.execute(insert(LedgerCosignature).values(row))
    page = client.get("/ledger/checkpoint")
    assert page.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert page.headers["Cache-Control"] == "public, max-age=1"
    found = checkpoints.trusted(page.response.data, [log.signers[0].verifier], [witness.verifier])
    assert found.checkpoint.size == 300
    assert [one.key for one in found.witnesses] == [witness.verifier]


def test_the_keys_in_force_are_listed_newest_first(
    grown: Database, client: Browser, log: Log
) -> None:
    """A line each; one that was retired is on the page about the ledger, and not here."""
    old, new = log.signers[0].verifier, SignerKey.make(log.signers[0].name).verifier
    with grown.transaction() as session:
        log_keys.rotate(session, new, at=now())
    assert client.get("/ledger/key").response.get_data(as_text=True) == f"{new}\n{old}\n"
    with grown.transaction() as session:
        log_keys.end(session, old, 300)
    assert client.get("/ledger/key").response.get_data(as_text=True) == f"{new}\n"
    assert f"{old}" in client.get("/ledger").html


def test_tiles_are_those_of_the_published_tree(grown: Database, client: Browser) -> None:
    """Each tile of it, full and partial, holds its hashes; the full ones for ever."""
    with grown.reading() as session:
        for one in tiles.of_tree(300):
            page = client.get(f"/ledger/tile/{one.path}")
            assert page.response.mimetype == "application/octet-stream"
            assert page.response.data == tree.tile(session, one)
            kept = "public, max-age=31536000, immutable" if one.full else "public, max-age=60"
            assert page.headers["Cache-Control"] == kept
        assert client.get("/ledger/tile/0/000.p/9").response.data == tree.tile(
            session, Tile(0, 0, 9)
        )


NO_TILES = (
    *("0/001.p/45", "0/001", "0/002.p/1", "1/000", "1/000.p/2", "2/000.p/1", "0/001.p/0"),
    *("entries/000", "0/0", "0/x000/000", "0/000.p/256", "8/000", "0/000/", "0//000", "x", ""),
    *("0/000.p/1/", "0/000.P/1", "0/999/999", "0/x999/x999/x999/x999/x999/999"),
)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_past_the_end_and_beside_the_format_there_is_nothing(
    grown: Database, client: Browser
) -> None:
    """404 and no other spelling, no entries, no empty tile, and nothing that is only sequenced."""
    for path in NO_TILES:
        page = client.get(f"/ledger/tile/{path}", follow=False)
        assert page.status == 404, path
        assert page.headers["Cache-Control"] == "no-store", path


def test_what_is_sequenced_and_not_published_is_not_served(
    grown: Database, client: Browser
) -> None:
    """Only a published checkpoint says what the tree is."""
    with grown.transaction() as session:
        session.execute(insert(LedgerLeaf), _leaves(session, 300, 310))
    assert client.get("/ledger/tile/0/001.p/45").status == 404
    assert client.get("/ledger/tile/0/001.p/44").status == 200


def _leaves(session: Any, begin: int, end: int) -> list[dict[str, Any]]:
    return [
        {
            "position": position,
            "entry_id": append_anonymous(session, "consent.expired", logs.EXPIRED, at=now()),
            "leaf_hash": bytes(32),
        }
        for position in range(begin, end)
    ]


@pytest.mark.requirement(79)
@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("path", [*MACHINES, "/ledger/tile/0/000"])
def test_machines_are_answered_without_cookies_from_anywhere(
    grown: Database, app: Flask, path: str
) -> None:
    """No session, any origin, HEAD, and a 304 for who has it; the bytes as they are."""
    client = app.test_client()
    answer = client.get(f"{path}?lang=en", headers={"Accept-Encoding": "gzip"})
    assert answer.status_code == 200
    given = answer.headers
    assert given["Access-Control-Allow-Origin"] == "*"
    assert given["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in given
    assert "Cookie" not in given["Vary"]
    assert "Content-Encoding" not in given
    assert answer.data
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")
    assert head.headers["Content-Length"] == str(len(answer.data))
    again = client.get(path, headers={"If-None-Match": given["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["Cache-Control"] == given["Cache-Control"]


# --- For people -------------------------------------------------------------------------------


def test_the_page_says_where_the_log_stands(
    grown: Database, app: Flask, visitor: Visitor, log: Log
) -> None:
    """Size, root and age; whether witnesses signed, and how many of how many."""
    browser = visitor(locale="en")
    with grown.reading() as session:
        root = base64.b64encode(tree.root_at(session, 300)).decode()
    page = browser.get("/ledger")
    for said in ("300", root, "ago", "None is appointed yet", str(log.signers[0].verifier)):
        assert said in page.text
    witness = Witness("https://v.example", SignerKey.make("v", KeyType.WITNESS).verifier)
    app.extensions["database"].info["log"] = replace(log, witnesses=(witness,))
    assert "0 of 1 have signed" in browser.get("/ledger").text


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_the_page_says_what_the_log_cannot_prove(app: Flask, visitor: Visitor) -> None:
    """Above all that everybody is shown the same one."""
    page = visitor(locale="en").get("/ledger")
    for said in ("shown the same ledger", "everything was entered", "an entry is true", "our own"):
        assert said in page.text


def bring(app: Flask, content: bytes) -> TestResponse:
    """Send a file, as a browser does."""
    client = app.test_client()
    token = Page("/ledger/verify", client.get("/ledger/verify?lang=en")).soup.select_one(
        "main [name=csrf_token]"
    )
    assert token
    data = {"csrf_token": token["value"], "receipt": (io.BytesIO(content), "receipt.json")}
    return client.post("/ledger/verify", data=data, content_type="multipart/form-data")


@pytest.mark.requirement(34)
def test_a_receipt_is_checked_and_nothing_is_kept(
    app: Flask, grown: Database, visitor: Visitor, receipt: bytes, logged: Any
) -> None:
    """As a file or as text: its facts, in the reader's language, and no row or line of it."""
    before = contents(grown)
    answer = bring(app, receipt)
    assert answer.status_code == 200
    pasted = visitor(locale="en").post("/ledger/verify", {"text": f"\r\n{receipt.decode()}\r\n"})
    assert pasted.status == 200
    for page in (Page("/ledger/verify", answer), pasted):
        for said in ("Newsletter by e-mail: expired", "Number 8 of 300", "still begins with"):
            assert said in page.text
    assert contents(grown) == before
    assert list(logged) == []


def changed(receipt: bytes, **parts: str) -> bytes:
    """A receipt with other parts, well-formed."""
    made = Receipt.parse(receipt)
    return replace(made, **{name: text.encode() for name, text in parts.items()}).encode()


def _forged(receipt: bytes, log: Log) -> dict[str, bytes]:
    entry = json.loads(receipt)["entry"]
    proof = json.loads(receipt)["proof"]
    stranger = SignerKey.make(log.signers[0].name)
    text = proof.split("\n\n")[1] + "\n"
    resigned = f"{proof.split(chr(10) * 2)[0]}\n\n{text}\n{stranger.sign(text.encode())}"
    signature = proof.rstrip("\n")[-9:]
    return {
        "whole receipt": receipt[:-5],
        "whole receipt ": b"\xff\x00",
        "proof does not fit": changed(receipt, entry=entry.replace('version":1', 'version":2')),
        "not those the entry names": changed(receipt, presentation="{}"),
        "No key of our ledger": changed(receipt, proof=resigned),
        "signature does not fit": changed(
            receipt, proof=proof.replace(signature, f"AAAA{signature[4:]}")
        ),
    }


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_is_wrong_with_a_receipt_is_said(
    app: Flask, visitor: Visitor, receipt: bytes, log: Log
) -> None:
    """With 422, at the field that it came by, and what was pasted stays."""
    for said, content in _forged(receipt, log).items():
        answer = Page("/ledger/verify", bring(app, content))
        assert answer.status == 422, said
        error = answer.soup.select_one("#receipt-error")
        assert error
        assert said.strip() in error.get_text(), said
    text = receipt[:-5].decode()
    page = visitor(locale="en").post("/ledger/verify", {"text": text})
    assert page.status == 422
    assert page.soup.select_one("#text-error")
    assert page.soup.select_one("#text").get_text().strip() == text  # type: ignore[union-attr]
    empty = visitor(locale="en").post("/ledger/verify", {"text": " "})
    assert (empty.status, empty.soup.select_one("#receipt-error") is None) == (422, False)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_key_vouches_only_for_its_own_time(
    app: Flask, grown: Database, log: Log, receipt: bytes
) -> None:
    """A checkpoint larger than the log was when its key was retired is nobody's."""
    with grown.transaction() as session:
        log_keys.end(session, log.signers[0].verifier, 299)
    answer = bring(app, receipt)
    assert answer.status_code == 422
    assert "No key of our ledger" in answer.get_data(as_text=True)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_receipt_of_what_was_lost_is_no_forgery(
    app: Flask, grown: Database, log: Log, client: Browser
) -> None:
    """An older copy had to be restored, and the log says so. The page believes the receipt; and
    the old key is listed with the size it counts to."""
    old, entries = log.signers[0], [opened(number) for number in range(310)]
    proof = prove(entries, 305, [old]).encode()
    log.high_water.write_bytes(Proof.parse(proof).checkpoint)
    new = SignerKey.make(f"{old.name}/2").verifier
    with grown.transaction() as session:
        recovery.go_on(session, recovery.find(session), new, at=now())
    answer = bring(app, Receipt(entries[305], None, proof).encode())
    assert answer.status_code == 422
    assert "counts as recorded" in answer.get_data(as_text=True)
    assert f"--key {old.verifier} --until 300" in client.get("/ledger").html


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
@pytest.mark.parametrize("size", [300, 310])
def test_a_log_that_does_not_hold_to_its_receipt_is_found_out(
    app: Flask, grown: Database, tmp_path: Path, size: int
) -> None:
    """Signed with the same key over other entries, as many or more: the page says so itself."""
    url = SqliteTemplate(tmp_path).copy(tmp_path / "instance").owner
    other = Database(url, info=grown.info, owner=True)
    with other.transaction() as session:
        logs.fill(session, size)
        row = session.get_one(LedgerLeaf, 7)
        content = consent_receipts.receipt(session, row.entry_id).encode()
    other.close()
    answer = bring(app, content)
    assert answer.status_code == 422
    assert "must never happen" in answer.get_data(as_text=True)


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_what_is_no_receipt_for_its_size_is_refused_unread(app: Flask, visitor: Visitor) -> None:
    """More than other forms take, and no more than 256 kB."""
    assert bring(app, b"x" * 200 * 1024).status_code == 422
    assert bring(app, b"x" * 257 * 1024).status_code == 413
    assert visitor().send("/register", {"name": "x" * 65 * 1024}).status == 413


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_form_that_is_not_ours_checks_nothing(
    app: Flask, visitor: Visitor, receipt: bytes
) -> None:
    """It is shown again with what was pasted, and says so."""
    browser = visitor(locale="en")
    page = browser.get("/ledger/verify")
    token = page.soup.select_one("main [name=csrf_token]")
    assert token
    token["value"] = "x"
    shown = browser.submit(page, page.form({"text": ""}), {"text": receipt.decode()})
    assert shown.status == 422
    assert shown.soup.select_one("#text").get_text().strip() == receipt.decode()  # type: ignore[union-attr]
