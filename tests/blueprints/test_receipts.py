"""Receipts on the site: for the person they are about, in words and as files."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from blueprints.preferences import receipts as views
from database import Database
from domain.ledger import log_keys, receipts, verify
from domain.ledger.entry import Entry, decode
from domain.ledger.log import Log
from domain.ledger.models import LedgerEntry
from domain.ledger.proofs import Proof
from domain.ledger.sequencer import Sequencer
from tests.support.browser import Browser, Page
from tests.support.mails import Mails
from tests.support.people import INGRID, become_customer, register

pytestmark = pytest.mark.usefixtures("clock")

OLE = replace(INGRID, name="Ole Ei-Anna", email="ole@kunde.example")
PROGRAM = "application/json"
ENDINGS = ("json", "tlog-proof", "entry.json", "kantara.json", "27560.json")


@pytest.fixture
def sequencer(app: Flask) -> Sequencer:
    """What gives entries their places."""
    found: Sequencer = app.extensions["sequencer"]
    return found


@pytest.fixture
def ingrid(visitor: Callable[..., Browser], mails: Mails) -> Browser:
    """A customer who said yes to one and no to the other, signed in."""
    browser = visitor(locale="en")
    become_customer(browser, mails, replace(INGRID, choices={"marketing": True}))
    return browser


def entries(database: Database, type: str) -> list[Entry]:
    """The entries of a type, whoever they are about."""
    with database.reading() as session:
        found = [decode(content) for content in session.scalars(select(LedgerEntry.bytes))]
    return [one for one in found if one.type == type]


def only(database: Database, type: str) -> str:
    """The id of the one entry of a type."""
    (found,) = entries(database, type)
    return found.id


def links(page: Page) -> list[str]:
    """The receipts that a page links to."""
    found = page.soup.select('main a[href*="/preferences/receipts/"]')
    return [str(one["href"]) for one in found]


@pytest.mark.requirement(34)
def test_every_decision_has_its_receipt_in_the_history(
    ingrid: Browser, sequencer: Sequencer, log: Log
) -> None:
    """And so has the opening of the account. Each opens, and what it downloads verifies."""
    sequencer.run_once()
    found = links(ingrid.get("/preferences/history"))
    assert len(found) == 3
    for path in found:
        page = ingrid.get(path)
        assert page.status == 200
        content = ingrid.get(f"{path}.json").response.data
        verified = receipts.check(content, [log.signers[0].verifier])
        assert path.endswith(verified.entry.id)
        assert page.soup.find("code", string=verified.entry.encode().decode())
        assert f"number {verified.index + 1} of {verified.checkpoint.size}" in page.text


def test_the_page_says_how_to_verify_without_us(
    ingrid: Browser,
    sequencer: Sequencer,
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command that stands there, run on the file that is downloaded there, is right."""
    sequencer.run_once()
    path = f"/preferences/receipts/{only(database, 'consent.given')}"
    page, download = ingrid.get(path), ingrid.get(f"{path}.json")
    (command,) = [
        str(one.string)
        for one in page.soup.select("main code")
        if str(one.string).startswith("python -m domain.ledger.verify ")
    ]
    _, file, *keys = command.removeprefix("python -m domain.ledger").split()
    assert download.headers["Content-Disposition"] == f'attachment; filename="{file}"'
    kept = tmp_path / file
    kept.write_bytes(download.response.data)
    assert verify.main([str(kept), *keys]) == 0
    assert "purpose marketing" in capsys.readouterr().out


def test_a_program_gets_json_at_the_same_address(
    ingrid: Browser, sequencer: Sequencer, database: Database
) -> None:
    """By what it accepts; caches are told, and keep nothing."""
    sequencer.run_once()
    path = f"/preferences/receipts/{only(database, 'consent.given')}"
    asked = ingrid.get(path, Accept=PROGRAM)
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.response.data == ingrid.get(f"{path}.json").response.data
    for page in (asked, ingrid.get(path)):
        assert "Accept" in page.headers["Vary"]
        assert "no-store" in page.headers["Cache-Control"]


def test_the_proof_alone_and_the_entry_alone(
    ingrid: Browser, sequencer: Sequencer, database: Database, log: Log
) -> None:
    """For programs that know tlog-proof and nothing of receipts."""
    sequencer.run_once()
    path = f"/preferences/receipts/{only(database, 'account.opened')}"
    proof, entry = ingrid.get(f"{path}.tlog-proof"), ingrid.get(f"{path}.entry.json")
    assert proof.headers["Content-Type"].startswith("text/plain")
    assert proof.headers["Content-Disposition"].endswith('.tlog-proof"')
    content = proof.response.data
    assert Proof.parse(content).encode() == content
    keys = [log.signers[0].verifier]
    assert receipts.check_entry(entry.response.data, content, keys).entry.type == "account.opened"


def test_somebody_elses_receipt_is_not_found(
    ingrid: Browser,
    visitor: Callable[..., Browser],
    mails: Mails,
    sequencer: Sequencer,
    database: Database,
) -> None:
    """Nor is one that there is not, nor an entry about nobody; and who is not signed in is asked
    to sign in."""
    sequencer.run_once()
    mine = only(database, "consent.given")
    ole = visitor()
    become_customer(ole, mails, OLE)
    about_nobody = [one.id for one in entries(database, "notice.published")]
    for entry_id in (mine, "0" * 32, *about_nobody, "x", mine[:-1]):
        path = f"/preferences/receipts/{entry_id}"
        assert [ole.get(path).status, ole.get(path, Accept=PROGRAM).status] == [404, 404]
        for ending in ENDINGS:
            assert ole.get(f"{path}.{ending}").status == 404
    path = f"/preferences/receipts/{mine}"
    for address in (path, *(f"{path}.{ending}" for ending in ENDINGS)):
        assert visitor().get(address).path.startswith("/login?")
    assert ingrid.get(f"{path}.exe").status == 404


# --- Before it has its place ------------------------------------------------------------------


def early(ingrid: Browser, database: Database) -> str:
    """Decide something, and where its receipt will be: the mails of before have let the sequencer
    run, and it does not run again by itself."""
    ingrid.post("/preferences", {"consent-marketing": False})
    return f"/preferences/receipts/{only(database, 'consent.withdrawn')}"


def test_who_asks_too_early_waits_for_the_sequencer(
    ingrid: Browser, sequencer: Sequencer, database: Database
) -> None:
    """The receipt comes as soon as it can be made."""
    path = early(ingrid, database)
    soon = threading.Timer(0.3, sequencer.run_once)
    soon.start()
    page = ingrid.get(f"{path}.json")
    soon.join()
    assert page.status == 200
    assert receipts.Receipt.parse(page.response.data)


def test_who_asks_far_too_early_is_told_when_to_come_back(
    ingrid: Browser, database: Database
) -> None:
    """After two seconds, in words and in the header; the page is the same to look at as others."""
    path = early(ingrid, database)
    begun = time.perf_counter()
    page = ingrid.get(f"{path}?lang=nn")
    assert 1.9 < time.perf_counter() - begun < 4
    assert (page.status, page.headers["Retry-After"]) == (202, "10")
    assert page.soup.find("html", lang="nn")
    assert [str(one["href"]) for one in page.soup.select("main a.button")] == [path]


def test_only_so_many_wait_at_a_time(ingrid: Browser, database: Database) -> None:
    """The next is told at once to come back: threads are left for everybody else. Who leaves
    makes room."""
    path = early(ingrid, database)
    for _ in range(3):
        assert views._waiting.acquire(blocking=False)
    try:
        begun = time.perf_counter()
        pages = [ingrid.get(f"{path}.json"), ingrid.get(path, Accept=PROGRAM), ingrid.get(path)]
        pages.append(ingrid.get(f"{path}.tlog-proof", Accept="text/html"))
        assert time.perf_counter() - begun < 1.9
    finally:
        for _ in range(3):
            views._waiting.release()
    assert {(page.status, page.headers["Retry-After"]) for page in pages} == {(202, "10")}
    for page in pages[:2]:
        assert json.loads(page.response.data) == {"state": "waiting", "retry_after": 10}
    for page in pages[2:]:
        assert page.soup.h1


# --- The documents of others ------------------------------------------------------------------


@pytest.mark.requirement(46, 48)
def test_documents_need_no_place_in_the_log(ingrid: Browser, database: Database) -> None:
    """They tell what was decided, in the language it was decided in, and link to the notice as
    it was then."""
    path = f"/preferences/receipts/{only(database, 'consent.given')}"
    kantara = ingrid.get(f"{path}.kantara.json?lang=nb")
    record = ingrid.get(f"{path}.27560.json?lang=nb")
    assert kantara.headers["Content-Disposition"].endswith('.kantara.json"')
    assert record.headers["Content-Disposition"].endswith('.27560.json"')
    one, other = json.loads(kantara.response.data), json.loads(record.response.data)
    assert one["language"] == other["pii_processing"]["language"] == "en"
    assert one["collectionMethod"] == "A form on the website, where the account was opened."
    assert one["policyUrl"] == other["pii_processing"]["privacy_notice"]["url"]
    notice = ingrid.get(one["policyUrl"])
    assert (notice.status, notice.soup.html and notice.soup.html["lang"]) == (200, "en")


def test_documents_are_offered_where_they_make_sense(
    ingrid: Browser, sequencer: Sequencer, database: Database
) -> None:
    """No consent receipt of a refusal or a withdrawal, no consent record of an account."""
    ingrid.post("/preferences", {"consent-marketing": False})
    sequencer.run_once()
    for type, kantara, record in (
        ("consent.given", 200, 200),
        ("consent.refused", 404, 200),
        ("consent.withdrawn", 404, 200),
        ("account.opened", 404, 404),
    ):
        path = f"/preferences/receipts/{only(database, type)}"
        assert ingrid.get(f"{path}.kantara.json").status == kantara
        assert ingrid.get(f"{path}.27560.json").status == record
        offered = links(ingrid.get(path))
        assert (f"{path}.kantara.json" in offered) == (kantara == 200)
        assert (f"{path}.27560.json" in offered) == (record == 200)


# --- Requests, and the copy -------------------------------------------------------------------


def test_a_request_links_to_its_receipts_for_who_is_signed_in(
    ingrid: Browser, visitor: Callable[..., Browser], sequencer: Sequencer, log: Log
) -> None:
    """Each step of it; who came by a mailed link only has no receipts here."""
    page = ingrid.post("/requests/new?kind=access", {"password": INGRID.password})
    sequencer.run_once()
    found = links(page)
    keys = [log.signers[0].verifier]
    verified = [
        receipts.check(ingrid.get(f"{one}.json").response.data, keys).entry for one in found
    ]
    assert [one.type for one in verified] == ["request.received", "request.verified"]
    assert {one.data["reference"] for one in verified} == {page.path.rpartition("/")[2]}
    assert set(found) <= set(links(ingrid.get("/preferences/history")))
    page = ingrid.get(page.path)
    assert links(ingrid.press(page, "/logout")) == []
    assert links(ingrid.get(page.path)) == []


@pytest.mark.requirement(34, 56)
def test_the_copy_of_ones_data_carries_the_receipts(
    ingrid: Browser, sequencer: Sequencer, database: Database, log: Log
) -> None:
    """Of every entry that has its place by then."""
    sequencer.run_once()
    page = ingrid.post("/requests/new?kind=access", {"password": INGRID.password})
    download = ingrid.press(page, page.path)
    with zipfile.ZipFile(io.BytesIO(download.response.data)) as archive:
        names = [name for name in archive.namelist() if name.startswith("receipts/")]
        made = [receipts.check(archive.read(name), [log.signers[0].verifier]) for name in names]
        html = archive.read("index.html").decode()
    assert {one.entry.type for one in made} == {
        *("account.opened", "consent.given", "consent.refused"),
    }
    assert names == [f"receipts/{one.entry.id}.json" for one in made]
    assert "The folder receipts" in html


def test_who_waits_for_their_address_to_be_confirmed_has_a_receipt_as_well(
    visitor: Callable[..., Browser], sequencer: Sequencer, database: Database, log: Log
) -> None:
    """The entries are there from registration on; to see them one signs in."""
    register(visitor(), replace(INGRID, choices={"marketing": True}))
    assert sequencer.run_once()
    with database.reading() as session:
        keys = [one.key for one in log_keys.known(session)]
    assert keys == [log.signers[0].verifier]
    page = visitor().get(f"/preferences/receipts/{only(database, 'consent.given')}")
    assert page.path.startswith("/login?")
