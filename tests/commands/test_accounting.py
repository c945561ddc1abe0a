"""`flask accounting`: what the bookkeeper types, and what they get."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from click.testing import Result
from flask import Flask

from database import Database
from domain.accounting import records
from domain.identity import accounts
from domain.keys import Keyring
from domain.rights import erasure
from domain.subjects import service as subjects
from tests.domain.identity_people import KARI, OLA, opened
from tests.support import NOON
from tests.support.tables import entries

INVOICE = {
    "--number": "2026-17",
    "--date": "2026-11-22",
    "--amount": "1249,00",
    "--vat": "249,80",
    "--item": "Abonnement",
}
FACTS = [
    *("2026-17", "2026-11-22", "2026", "Abonnement", "NOK", "1249,00", "249,80"),
    "2031-12-31",
]

Run = Callable[..., Result]


@pytest.fixture
def run(app: Flask) -> Run:
    """Runs a command of the group, with something typed."""

    def run(*args: str, typed: str = "") -> Result:
        return app.test_cli_runner().invoke(args=["accounting", *args], input=typed)

    return run


def given(**changed: str) -> list[str]:
    """The options of `add`."""
    options = {**INVOICE, **{f"--{name}": value for name, value in changed.items()}}
    return [part for option in options.items() for part in option]


@pytest.mark.requirement(59)
def test_an_invoice_is_kept_listed_and_let_go(
    run: Run,
    database: Database,
    accounting: Database,
    keys: Keyring,
    clock: time_machine.Traveller,
) -> None:
    """Name and address come from the account; the address typed is in no output, and nothing is
    told to the ledger. It stays when the person goes, until its time is over."""
    with database.transaction() as session:
        account = opened(session, replace(KARI, address="Storgata 1", postal_code=None, city="Bø"))
        who = account.subject_id
    before = entries(database)
    typed = f"{KARI.email.upper()}\n"
    first, again = run("add", *given(), typed=typed), run("add", *given(), typed=typed)
    assert (first.exit_code, again.exit_code) == (0, 0), first.output + again.output
    assert "invoice 2026-17: kept\n" in first.output
    assert "kept already" in again.output
    other = run("add", *given(amount="1250"), typed=typed)
    assert other.exit_code == 1
    assert "says something else" in other.output
    assert entries(database) == before
    (line,) = run("list", "--year", "2026").output.splitlines()
    assert line.split("\t") == FACTS
    assert run("list", "--number", "none").output == ""
    assert "0 invoices deleted" in run("purge").output
    clock.shift(timedelta(days=6 * 365))
    assert "1 invoices deleted" in run("purge").output
    assert records.of(accounting, keys, who) == []


@pytest.mark.requirement(59, 81)
def test_who_looks_at_a_buyer_says_why_and_is_entered(run: Run, database: Database) -> None:
    """By the address, or by one invoice; an invoice of somebody erased still says who bought, and
    nobody is left to enter it for."""
    with database.transaction() as session:
        who = opened(session, replace(KARI, address="Storgata 1", postal_code=None, city="Bø"))
        other = opened(session, OLA).subject_id
    typed = f"{KARI.email}\n"
    run("add", *given(), typed=typed)
    run("add", *given(number="2026-18"), typed=f"{OLA.email}\n")
    assert KARI.name not in run("list").output
    for wrong in (["--email"], ["--purpose", "audit"], ["--year", "2026", "--purpose", "audit"]):
        assert run("list", *wrong, typed=typed).exit_code == 2
    assert _viewed(database, who.subject_id) == []
    mine = run("list", "--email", "--purpose", "answering", typed=typed).output
    one = run("list", "--number", "2026-17", "--purpose", "audit").output
    for output in (mine, one):
        assert output.splitlines()[-1].split("\t") == [*FACTS, KARI.name, "Storgata 1, Bø"]
        assert OLA.name not in output
    assert _viewed(database, who.subject_id) == ["answering", "audit"]
    assert _viewed(database, other) == []
    with database.transaction() as session:
        erasure.forget(session, who.subject_id, "request", at=NOON)
    before = entries(database)
    again = run("list", "--number", "2026-17", "--purpose", "audit").output
    assert KARI.name in again
    assert entries(database) == before


def _viewed(database: Database, who: UUID) -> list[str]:
    with database.reading() as session:
        told = [one for one in subjects.entries(session, who) if one.type == "staff.viewed"]
    assert all(one.data["holdings"] == ["accounting"] for one in told)
    return [one.data["purpose"] for one in told]


@pytest.mark.parametrize(
    ("changed", "typed", "says"),
    [
        ({}, "nobody@nowhere.example\n", "nobody has an account"),
        ({"amount": "12.5"}, f"{KARI.email}\n", "an amount is written like"),
        ({"vat": "9999"}, f"{KARI.email}\n", "VAT a part of it"),
        ({"date": "22.11.2026"}, f"{KARI.email}\n", "does not match the format"),
        ({"currency": "XYZ"}, f"{KARI.email}\n", "is not one of"),
        ({}, "", "Aborted"),
    ],
)
def test_bad_input_is_refused(
    run: Run, database: Database, changed: dict[str, str], typed: str, says: str
) -> None:
    """With a sentence, and nothing is kept."""
    with database.transaction() as session:
        opened(session)
        assert accounts.find(session, KARI.email)
    done = run("add", *given(**changed), typed=typed)
    assert done.exit_code != 0
    assert says in done.output
    assert run("list").output == ""


def test_a_process_without_the_role_keeps_no_books(run: Run, app: Flask) -> None:
    """It says which setting it takes."""
    app.extensions["database"].info["accounting"] = None
    for command in (["list"], ["purge"], ["add", *given()]):
        done = run(*command, typed=f"{KARI.email}\n")
        assert done.exit_code == 1
        assert "ACCOUNTING_DATABASE_URL is not set" in done.output
