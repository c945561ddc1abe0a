"""The table of bookkeeping. The application's own role can do nothing with it."""

from __future__ import annotations

from datetime import date
from uuid import UUID

from sqlalchemy import BigInteger, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from database import Base


class AccountingRecord(Base):
    """What a sales document must show (bokføringsforskriften § 5-1-1), and nothing else.

    `customer` is a keyed hash of the subject's id; `buyer` (name, address) is sealed by the
    keyring, since the subject's own key goes with the person. Amounts are in the smallest unit
    of the currency (øre). `keep_until` is the last day it must be kept (bokføringsloven § 13).
    """

    __tablename__ = "accounting_record"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    customer: Mapped[bytes] = mapped_column(LargeBinary(32), index=True)
    invoice_number: Mapped[str] = mapped_column(String(40), unique=True)
    invoice_date: Mapped[date]
    financial_year: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    amount: Mapped[int] = mapped_column(BigInteger)
    vat: Mapped[int] = mapped_column(BigInteger)
    item: Mapped[str] = mapped_column(String(200))
    buyer: Mapped[bytes] = mapped_column(LargeBinary)
    keep_until: Mapped[date] = mapped_column(index=True)
