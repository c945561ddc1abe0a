"""`flask holds`: placed, listed, extended and released, without a word about whom."""

from __future__ import annotations

from uuid import UUID

import pytest
from click.testing import Result
from flask import Flask

from database import Database
from domain.rights import erasure, holds, requests
from domain.rights.requests import RequestKind
from domain.subjects.models import Subject
from tests.domain.identity_people import KARI, opened
from tests.support import NOON

pytestmark = [pytest.mark.requirement(62), pytest.mark.usefixtures("clock")]

REASON = "Krav om erstatning, sak 27-014"


def run(app: Flask, *arguments: str, typed: str = "") -> Result:
    """What the operator types."""
    return app.test_cli_runner().invoke(args=["holds", *arguments], input=typed)


def place(app: Flask, *more: str, typed: str) -> Result:
    """A hold on an account, until May."""
    named = ("--ground", "legal_claim", "--holding", "account", "--review-on", "2027-05-01")
    return run(app, "place", *named, *more, typed=typed)


@pytest.fixture
def kari(app: Flask, database: Database) -> UUID:
    """Somebody with an account."""
    with database.transaction() as session:
        return opened(session).subject_id


def test_a_hold_from_the_first_to_the_last_day(app: Flask, database: Database, kari: UUID) -> None:
    """By address, read and not repeated; released by its number, and then the rest goes."""
    made = place(app, typed=f"{KARI.email}\n{REASON}\n")
    assert made.exit_code == 0, made.output
    number = made.stdout.splitlines()[-1].split()[0]
    listed = run(app, "list").output
    assert f"{number}  legal_claim  placed 2026-11-22  until 2027-05-01  account" in listed
    later = run(app, "extend", number, "--review-on", "2027-06-01")
    assert "2027-06-01" in later.output
    with database.transaction() as session:
        asked = requests.receive(session, kari, RequestKind.ERASURE, channel="staff", at=NOON)
        requests.verify(session, asked, channel="staff", at=NOON)
        erasure.fulfil(session, asked, at=NOON)
        reference = asked.reference
    second = place(app, "--reference", reference, typed=f"{REASON}\n")
    assert second.exit_code == 0, "who is held is found by the request"
    for one in (second.stdout.splitlines()[-1].split()[0], number):
        assert run(app, "release", one).exit_code == 0
    with database.reading() as session:
        assert session.get(Subject, kari) is None
        assert holds.running(session) == []
    gone = run(app, "release", number)
    assert (gone.exit_code, f"no hold {number} runs" in gone.output) == (1, True)
    said = listed + later.output + gone.output + made.stdout.splitlines()[-1]
    assert not any(word in said.casefold() for word in ("kari", "firma.example", "27-014"))


@pytest.mark.parametrize(
    ("more", "typed", "says"),
    [
        ((), f"nobody@firma.example\n{REASON}\n", "nobody here has that address"),
        (("--reference", "2345-6789"), f"{REASON}\n", "no request of that reference"),
        ((), f"{KARI.email}\n   \n{REASON}\n", ""),
        (("--review-on", "2026-11-22"), f"{KARI.email}\n{REASON}\n", "after today"),
        (("--holding", "decisions"), f"{KARI.email}\n{REASON}\n", "decisions"),
    ],
)
def test_what_cannot_be_held_is_said_and_refused(
    app: Flask, database: Database, kari: UUID, more: tuple[str, ...], typed: str, says: str
) -> None:
    """And nothing is placed."""
    refused = place(app, *more, typed=typed)
    assert refused.exit_code != 0
    assert says in refused.output
    with database.reading() as session:
        assert holds.kept_back(session, kari) == {}
