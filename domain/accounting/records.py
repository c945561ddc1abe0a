"""Bookkeeping: the invoice of each purchase, until the law lets go of it (bokføringsloven § 13).

It stands apart from everything else about a person. The application's own role can do nothing
with the table: all of this runs in sessions of a database that was opened as `accounting`. Who
the customer was is a keyed hash of the subject's id, so after an erasure an invoice leads to its
buyer and to nothing that we know of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, LargeBinary, delete, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from database import Database, table_of
from domain.accounting.errors import OtherInvoice
from domain.accounting.invoices import Invoice, check, written
from domain.accounting.models import AccountingRecord
from domain.consent.purposes import purposes
from domain.dates import local_day
from domain.holding import Holding
from domain.keys import Keyring, UnknownEpoch, WrongSeal, keyring
from domain.sealed import FIRST, Batch

RULE = "accounting"
# Whether the tables' owner has let anybody at the books: where nothing is sold, nobody keeps them.
_KEPT = text(
    "SELECT EXISTS (SELECT FROM pg_class c, aclexplode(c.relacl) a WHERE a.grantee <> c.relowner"
    " AND c.relname = 'accounting_record' AND pg_table_is_visible(c.oid))"
)


def add(session: Session, subject_id: UUID, invoice: Invoice, *, at: datetime) -> bool:
    """Keep an invoice of somebody who bought something; False if this very one is kept already.

    Raises BadInvoice, and OtherInvoice where one of the same number says something else.
    """
    check(invoice)
    customer = _customer(keyring(session), subject_id)
    if (kept := _by_number(session, invoice.number)) is None:
        try:
            with session.begin_nested():
                session.execute(
                    insert(table_of(AccountingRecord)), _row(session, customer, invoice)
                )
            return True
        except IntegrityError:  # somebody else entered it at this very moment
            kept = _by_number(session, invoice.number)
    if kept is None or (kept.customer, _read(keyring(session), kept)) != (customer, invoice):
        raise OtherInvoice(invoice.number)
    return False


def of(accounting: Database, ring: Keyring, subject_id: UUID) -> list[dict[str, Any]]:
    """A person's invoices as their copy shows them, the oldest first; none for who never paid."""
    with accounting.reading() as session:
        return [_shown(ring, row) for row in _of(session, ring, subject_id)]


def kept_until(accounting: Database, ring: Keyring, subject_id: UUID) -> date | None:
    """The last day that something of a person stays in the books; None if nothing is there."""
    with accounting.reading() as session:
        return max((row.keep_until for row in _of(session, ring, subject_id)), default=None)


def known(session: Session) -> bool:
    """Whether the application can tell what of a person is in the books: this process reads them,
    or nobody keeps any. Where it is False, another process can."""
    if session.info.get("accounting") is not None or "accounting" not in session.info:
        return True
    if session.get_bind().dialect.name != "postgresql":
        return False
    return not session.scalar(_KEPT)


def listed(
    session: Session,
    *,
    number: str | None = None,
    year: int | None = None,
    of: UUID | None = None,
    buyer: bool = False,
) -> list[dict[str, Any]]:
    """Invoices for the bookkeeper: one, those of a financial year, those `of` a person, or all;
    with the `buyer` only where somebody has said why they look."""
    query = select(AccountingRecord).order_by(
        AccountingRecord.invoice_date, AccountingRecord.invoice_number
    )
    if number is not None:
        query = query.where(AccountingRecord.invoice_number == number)
    if year is not None:
        query = query.where(AccountingRecord.financial_year == year)
    if of is not None:
        query = query.where(AccountingRecord.customer == _customer(keyring(session), of))
    rows = session.scalars(query)
    return [_shown(keyring(session), row) if buyer else _facts(row) for row in rows]


def whose(session: Session, number: str, among: Iterable[UUID]) -> UUID | None:
    """Which of these people an invoice is about; None for one whose buyer is none of them, or has
    been erased. Nothing leads from an invoice to its buyer, so each is tried."""
    row = _by_number(session, number)
    if row is None:
        return None
    ring = keyring(session)
    return next((one for one in among if _customer(ring, one) == row.customer), None)


def due(session: Session, *, at: datetime) -> int:
    """How many need not be kept any more."""
    counted = select(func.count()).select_from(AccountingRecord)
    return session.scalar(counted.where(_past(at))) or 0


def purge(session: Session, *, at: datetime, limit: int = 500) -> int:
    """Delete what need not be kept any more, so many at most; return how many went."""
    oldest = select(AccountingRecord.id).where(_past(at)).order_by(AccountingRecord.keep_until)
    ids = session.scalars(oldest.limit(limit)).all()
    session.execute(delete(AccountingRecord).where(AccountingRecord.id.in_(ids)))
    return len(ids)


def reseal(session: Session, *, after: UUID = FIRST, limit: int = 500) -> Batch | None:
    """Seal the next buyers again, so many at most, that are not under the newest key-encryption
    key; None if there are none. Nobody may change a row, so each is written anew in the
    transaction that deletes it; one that does not open is left. Raises KeyServiceError."""
    ring = keyring(session)
    newest = max(ring.epochs).to_bytes(2, "big")
    epoch = func.substr(AccountingRecord.buyer, 1, 2, type_=LargeBinary)
    old = select(AccountingRecord).where(epoch != newest, AccountingRecord.id > after)
    rows = session.scalars(old.order_by(AccountingRecord.id).limit(limit)).all()
    shut = []
    for row in rows:
        values = {column.key: getattr(row, column.key) for column in row.__table__.columns}
        try:
            values["buyer"] = ring.seal(ring.unseal(row.buyer, _context(row.id)), _context(row.id))
        except (WrongSeal, UnknownEpoch):
            shut.append(row.id)
            continue
        session.expunge(row)
        session.execute(delete(AccountingRecord).where(AccountingRecord.id == row.id))
        session.execute(insert(table_of(AccountingRecord)), values)
    return Batch(rows[-1].id, len(rows), shut) if rows else None


def _past(at: datetime) -> ColumnElement[bool]:
    return AccountingRecord.keep_until < local_day(at)


def _row(session: Session, customer: bytes, invoice: Invoice) -> dict[str, Any]:
    record = uuid4()
    buyer = {"name": invoice.buyer_name, "address": invoice.buyer_address}
    sealed = keyring(session).seal(json.dumps(buyer, ensure_ascii=False).encode(), _context(record))
    return {
        "id": record,
        "customer": customer,
        "invoice_number": invoice.number,
        "invoice_date": invoice.day,
        "financial_year": invoice.year,
        "currency": invoice.currency,
        "amount": invoice.amount,
        "vat": invoice.vat,
        "item": invoice.item,
        "buyer": sealed,
        "keep_until": _keep_until(session, invoice.year),
    }


def _keep_until(session: Session, year: int) -> date:
    """31 December of the fifth year after the financial year, as the register says."""
    return purposes(session).retention[RULE].end(date(year, 12, 31))


def _by_number(session: Session, number: str) -> AccountingRecord | None:
    return session.scalar(select(AccountingRecord).where(AccountingRecord.invoice_number == number))


def _of(session: Session, ring: Keyring, subject_id: UUID) -> list[AccountingRecord]:
    query = select(AccountingRecord).where(AccountingRecord.customer == _customer(ring, subject_id))
    newest_last = (AccountingRecord.invoice_date, AccountingRecord.invoice_number)
    return list(session.scalars(query.order_by(*newest_last)))


def _customer(ring: Keyring, subject_id: UUID) -> bytes:
    return ring.lookup("accounting.customer", subject_id.hex)


def _context(record: UUID) -> bytes:
    return b"accounting:" + record.bytes


def _buyer(ring: Keyring, row: AccountingRecord) -> Mapping[str, str]:
    buyer: dict[str, str] = json.loads(ring.unseal(row.buyer, _context(row.id)))
    return buyer


def _read(ring: Keyring, row: AccountingRecord) -> Invoice:
    buyer = _buyer(ring, row)
    return Invoice(
        number=row.invoice_number,
        day=row.invoice_date,
        currency=row.currency,
        amount=row.amount,
        vat=row.vat,
        item=row.item,
        buyer_name=buyer["name"],
        buyer_address=buyer["address"],
    )


def _shown(ring: Keyring, row: AccountingRecord) -> dict[str, Any]:
    buyer = _buyer(ring, row)
    return {**_facts(row), "buyer_name": buyer["name"], "buyer_address": buyer["address"]}


def _facts(row: AccountingRecord) -> dict[str, Any]:
    """What stands on an invoice beside the buyer."""
    return {
        "invoice_number": row.invoice_number,
        "invoice_date": row.invoice_date.isoformat(),
        "financial_year": row.financial_year,
        "item": row.item,
        "currency": row.currency,
        "amount": written(row.amount),
        "vat": written(row.vat),
        "keep_until": row.keep_until.isoformat(),
    }


def _export(session: Session, subject_id: UUID) -> list[dict[str, Any]]:
    accounting: Database | None = session.info.get("accounting")
    return [] if accounting is None else of(accounting, keyring(session), subject_id)


def _erase(session: Session, subject_id: UUID, at: datetime) -> None:
    """Nothing: the law keeps it, and the application could not. `purge` takes it in time."""


# Not holdable: a hold cannot shorten what the law says, and nobody's request ends it sooner.
HOLDINGS = (
    Holding(
        name="accounting",
        purposes=("bookkeeping",),
        source="use",
        retention=(RULE,),
        columns={
            "accounting_record": (
                "id",
                "customer",
                "invoice_number",
                "invoice_date",
                "financial_year",
                "currency",
                "amount",
                "vat",
                "item",
                "buyer",
                "keep_until",
            )
        },
        export=_export,
        erase=_erase,
        stays=True,
    ),
)
