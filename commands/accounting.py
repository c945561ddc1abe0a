"""`flask accounting`: the books, for whoever keeps them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast
from uuid import UUID

import click
from flask.cli import AppGroup

from commands.progress import Progress
from commands.requests import VIEWING
from database import Database
from domain.accounting import records
from domain.accounting.errors import AccountingError, BadInvoice
from domain.accounting.invoices import CURRENCIES, Invoice, hundredths
from domain.identity import accounts
from domain.identity.accounts import Person
from domain.subjects import service as subjects
from domain.subjects.errors import UnknownSubject
from extensions import database, now, reading, transaction

group = AppGroup("accounting", help="Bookkeeping: sales documents, under a role of their own.")

_AT_ONCE = 500
_HOLDING = records.HOLDINGS[0].name


@group.command("add")
@click.option("--number", required=True, help="The invoice's number.")
@click.option("--date", "day", required=True, type=click.DateTime(["%Y-%m-%d"]))
@click.option("--amount", required=True, help="What is paid, VAT included, as 1249,00.")
@click.option("--vat", required=True, help="The part of it that is VAT, as 249,80.")
@click.option("--item", required=True, help="What was bought.")
@click.option("--currency", type=click.Choice(CURRENCIES), default="NOK", show_default=True)
def add(number: str, day: datetime, amount: str, vat: str, item: str, currency: str) -> None:
    """Keep the invoice of a customer, whose e-mail address is asked for or read from standard
    input: what stands in a command line, others can read.

    Name and postal address are taken from the account. Entered again, it is the same invoice.
    """
    books = _books()
    subject_id, person = _customer(click.prompt("E-mail", err=True).strip())
    try:
        invoice = Invoice(
            number=number,
            day=day.date(),
            currency=currency,
            amount=_amount("--amount", amount),
            vat=_amount("--vat", vat),
            item=item,
            buyer_name=person.name,
            buyer_address=_written(person),
        )
        with books.transaction() as session:
            new = records.add(session, subject_id, invoice, at=now())
    except AccountingError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"invoice {number}: {'kept' if new else 'kept already'}")


@group.command("list")
@click.option("--number", help="One invoice.")
@click.option("--year", type=int, help="A financial year.")
@click.option("--email", is_flag=True, help="Those of one person, with the buyer on them.")
@click.option(
    "--purpose",
    type=click.Choice(VIEWING),
    help="Why you look at a person's. It is entered in the ledger, and the person can see it.",
)
def show(number: str | None, year: int | None, email: bool, purpose: str | None) -> None:
    """Print invoices, one, those of a year, or all: a line of fields with tabs between.

    Who bought is shown only with a purpose, for one customer, whose e-mail address is asked for or
    read from standard input, or for one invoice. That somebody looked is entered before.
    """
    books, person = _books(), None
    if email and purpose is None:
        raise click.UsageError("--email takes a --purpose")
    if purpose is not None:
        if email:
            person, _ = _customer(click.prompt("E-mail", err=True).strip())
        elif number is not None:
            person = _buyer(books, number)
        else:
            raise click.UsageError("--purpose takes --email or --number")
        if person is not None:
            _enter(person, purpose)
    with books.reading() as session:
        buyer = purpose is not None
        found = records.listed(session, number=number, year=year, of=person, buyer=buyer)
    for row in found:
        click.echo("\t".join(_cell(value) for value in row.values()))


@group.command("purge")
def purge() -> None:
    """Delete what the law lets go of: after 31 December of the fifth year after the financial
    year. The worker does it daily; running it again does no harm."""
    books, gone = _books(), 0
    with books.reading() as session:
        progress = Progress(records.due(session, at=now()), "invoices")
    while True:
        with books.transaction() as session:
            count = records.purge(session, at=now(), limit=_AT_ONCE)
        gone += count
        progress.step(count)
        if count < _AT_ONCE:
            break
    books.scrub()
    click.echo(f"{gone} invoices deleted")


def _books() -> Database:
    """The database as the bookkeeper's role."""
    books = database().info.get("accounting")
    if books is None:
        raise click.ClickException("ACCOUNTING_DATABASE_URL is not set: nobody keeps the books")
    return cast(Database, books)


def _buyer(books: Database, number: str) -> UUID | None:
    """Whom an invoice is about, if they are still here."""
    with reading() as session:
        known = subjects.ids(session)
    with books.reading() as session:
        return records.whose(session, number, known)


def _enter(person: UUID, purpose: str) -> None:
    """Enter that somebody looks, in the person's own entries (requirement 81)."""
    viewed = {"holdings": [_HOLDING], "purpose": purpose}
    try:
        with transaction() as session:
            subjects.record(session, person, "staff.viewed", viewed, at=now())
    except UnknownSubject:
        raise click.ClickException("the person has been erased meanwhile; run it again") from None


def _customer(email: str) -> tuple[UUID, Person]:
    with reading() as session:
        account = accounts.find(session, email)
        if account is None:
            raise click.ClickException("nobody has an account with this address")
        return account.subject_id, accounts.person(session, account)


def _written(person: Person) -> str:
    """The postal address on one line; empty where the person gave none."""
    place = " ".join(part for part in (person.postal_code, person.city) if part)
    return ", ".join(part for part in (person.address, place) if part)


def _amount(option: str, text: str) -> int:
    try:
        return hundredths(text)
    except BadInvoice as error:
        raise click.BadParameter(str(error), param_hint=option) from error


def _cell(value: Any) -> str:
    # A tab or a line of somebody's name would become another field or invoice.
    return " ".join(str(value).split())
