"""Bookkeeping: kept apart, exactly, and no longer than the law says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError

from database import Base, Database
from domain.accounting import records
from domain.accounting.errors import BadInvoice, OtherInvoice
from domain.accounting.invoices import Invoice, hundredths, written
from domain.keys import Keyring, WrongSeal
from tests.support import NOON
from tests.support.databases import Urls

# What SQLite's authorizer and PostgreSQL's privileges say.
REFUSED = ("not authorized", "prohibited", "permission denied", "must be owner")
KARI = UUID(int=1)
INVOICE = Invoice(
    number="2026-0017",
    day=date(2026, 11, 22),
    currency="NOK",
    amount=124_900,
    vat=24_980,
    item="Abonnement, 12 måneder",
    buyer_name="Kari Kjøper",
    buyer_address="Bokføringsvegen 5, 7010 Trondheim",
)


def add(accounting: Database, invoice: Invoice = INVOICE, who: UUID = KARI) -> bool:
    with accounting.transaction() as session:
        return records.add(session, who, invoice, at=NOON)


@pytest.mark.requirement(59)
def test_an_invoice_is_kept_once_and_says_what_it_said(accounting: Database, keys: Keyring) -> None:
    """Entered again it is the same one; another of its number, or of another buyer, is refused;
    whoever never paid has none."""
    assert add(accounting)
    assert not add(accounting)
    for other in (replace(INVOICE, amount=1, vat=0), replace(INVOICE, buyer_name="Ola")):
        with pytest.raises(OtherInvoice):
            add(accounting, other)
    with pytest.raises(OtherInvoice):
        add(accounting, who=uuid4())
    (kept,) = records.of(accounting, keys, KARI)
    assert kept == {
        "invoice_number": "2026-0017",
        "invoice_date": "2026-11-22",
        "financial_year": 2026,
        "item": "Abonnement, 12 måneder",
        "currency": "NOK",
        "amount": "1249,00",
        "vat": "249,80",
        "buyer_name": "Kari Kjøper",
        "buyer_address": "Bokføringsvegen 5, 7010 Trondheim",
        "keep_until": "2031-12-31",
    }
    assert records.of(accounting, keys, uuid4()) == []
    assert records.kept_until(accounting, keys, uuid4()) is None
    with accounting.reading() as session:
        assert records.listed(session, number="2026-0017", buyer=True) == [kept]
        assert records.listed(session, year=2026, buyer=True) == [kept]
        assert records.listed(session, year=2025) == []


@pytest.mark.requirement(59)
def test_it_goes_after_the_last_day_of_the_fifth_year(accounting: Database, keys: Keyring) -> None:
    """The financial year is the calendar year: what was sold on 31 December goes a year before
    what was sold the day after, and neither while it is 31 December in Norway."""
    for day in (date(2026, 1, 1), date(2026, 12, 31), date(2027, 1, 1), date(2028, 2, 29)):
        add(accounting, replace(INVOICE, number=f"F-{day}", day=day))
    assert records.kept_until(accounting, keys, KARI) == date(2033, 12, 31)
    went = []
    for at in (
        datetime(2031, 12, 31, 22, 59, tzinfo=UTC),
        datetime(2031, 12, 31, 23, 0, tzinfo=UTC),
        datetime(2033, 1, 1, tzinfo=UTC),
        datetime(2034, 1, 1, tzinfo=UTC),
    ):
        with accounting.transaction() as session:
            went.append([records.purge(session, at=at, limit=1) for _ in range(3)])
    assert went == [[0, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 0]]
    assert records.kept_until(accounting, keys, KARI) is None


@pytest.mark.requirement(82)
def test_the_buyer_is_sealed_in_its_row(accounting: Database, owner: Database) -> None:
    """Not in the clear, not under the key of the person, who may be gone, and not movable."""
    add(accounting)
    add(accounting, replace(INVOICE, number="2", buyer_name="Ola Nordmann"), uuid4())
    with owner.transaction() as session:
        rows = [bytes(one) for one in session.scalars(text("SELECT buyer FROM accounting_record"))]
        assert not any(b"Kari" in one or "Bokføringsvegen".encode() in one for one in rows)
        session.execute(text("UPDATE accounting_record SET buyer = :buyer"), {"buyer": rows[0]})
    with accounting.reading() as session, pytest.raises(WrongSeal):
        records.listed(session, buyer=True)


def test_buyers_are_sealed_again_under_the_newest_key(
    accounting: Database, keys: Keyring, info: dict[str, object]
) -> None:
    """The role may change no row, and the old key can go all the same."""
    add(accounting)
    add(accounting, replace(INVOICE, number="2", amount=-1, vat=0))
    before = records.of(accounting, keys, KARI)
    renewed = replace(keys, epochs={**keys.epochs, 2: bytes(32)})
    accounting.info["keyring"] = renewed
    with accounting.transaction() as session:
        done = [records.reseal(session, limit=1) for _ in range(3)]
        assert [one and one.moved for one in done] == [1, 1, None]
    only = replace(keys, epochs={2: bytes(32)})
    assert records.of(accounting, only, KARI) == before


@pytest.mark.requirement(81)
def test_the_application_can_do_nothing_with_the_books(
    database: Database, accounting: Database
) -> None:
    """Not read, not count, not write and not by a way around: the database refuses."""
    add(accounting)
    for attack in (
        "SELECT * FROM accounting_record",
        "SELECT count(*) FROM accounting_record",
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM accounting_record)",
        "SELECT id FROM subject UNION SELECT id FROM accounting_record",
        "INSERT INTO accounting_record SELECT * FROM accounting_record",
        "UPDATE accounting_record SET vat = 0",
        "DELETE FROM accounting_record",
        "CREATE VIEW books AS SELECT * FROM accounting_record",
        "CREATE TEMPORARY TABLE copy AS SELECT * FROM accounting_record",
    ):
        assert refused(database, attack), attack


@pytest.mark.requirement(81)
def test_the_bookkeeper_sees_the_books_and_nothing_else(
    accounting: Database, owner: Database
) -> None:
    """Every other table is closed to that role, and no invoice can be changed."""
    add(accounting)
    for table in Base.metadata.tables:
        if table != "accounting_record":
            assert refused(accounting, f"SELECT count(*) FROM {table}"), table
            assert refused(accounting, f"DELETE FROM {table}"), table
    assert refused(accounting, "UPDATE accounting_record SET vat = 0")
    assert refused(accounting, "DROP TABLE accounting_record")
    with accounting.reading() as session:
        assert session.scalar(text("SELECT count(*) FROM accounting_record")) == 1


def test_it_is_known_where_the_books_cannot_be_read(
    database: Database, owner: Database, backend: str, urls: Urls
) -> None:
    """A process without the role knows that it does not know, but where nobody keeps books."""
    with database.reading() as session:
        assert records.known(session)
    database.info["accounting"] = None
    with database.reading() as session:
        assert not records.known(session)
    if backend == "postgresql":
        with owner.transaction() as session:
            books = make_url(urls.accounting).username
            session.execute(text(f"REVOKE ALL ON accounting_record FROM {books}"))
        with database.reading() as session:
            assert records.known(session)


def refused(database: Database, attack: str) -> bool:
    try:
        with database.transaction() as session:
            session.execute(text(attack))
    except DBAPIError as error:
        return any(why in str(error.orig) for why in REFUSED)
    return False


@pytest.mark.parametrize(
    ("typed", "exactly"),
    [
        ("1249", 124_900),
        ("1249,00", 124_900),
        ("0.10", 10),
        ("-12,05", -1205),
        ("900719925474,93", 90_071_992_547_493),
    ],
)
def test_amounts_are_read_exactly(typed: str, exactly: int) -> None:
    """No float comes near them."""
    assert hundredths(typed) == exactly
    assert hundredths(written(exactly)) == exactly


@pytest.mark.parametrize(
    "typed", ["", "12,5", "1 249,00", "1,249.00", "12.345", "1e3", "kr 10", "9" * 13]
)
def test_what_is_no_amount_is_refused(typed: str) -> None:
    """A slip here would stand in the books for five years."""
    with pytest.raises(BadInvoice):
        hundredths(typed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": "two words"},
        {"number": ""},
        {"day": date(206, 11, 22)},
        {"currency": "JPY"},
        {"amount": 0, "vat": 0},
        {"vat": 124_900},
        {"vat": -1},
        {"item": " "},
        {"item": "x" * 201},
        {"buyer_name": " "},
    ],
)
def test_what_is_no_invoice_is_refused(accounting: Database, wrong: dict[str, object]) -> None:
    """Before anything is stored."""
    with pytest.raises(BadInvoice):
        add(accounting, replace(INVOICE, **wrong))  # type: ignore[arg-type]
    with accounting.reading() as session:
        assert records.listed(session, buyer=True) == []
