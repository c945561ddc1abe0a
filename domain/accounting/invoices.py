"""An invoice, as it is to be kept: checked before anything is stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from domain.accounting.errors import BadInvoice

# Those that we sell in. All of them have hundredths, so an amount is a whole number of these.
CURRENCIES = ("NOK", "SEK", "DKK", "EUR", "GBP", "USD")
_NUMBER = re.compile(r"[A-Za-z0-9][A-Za-z0-9/_.-]{0,39}")
_AMOUNT = re.compile(r"(-?)([0-9]{1,12})(?:[.,]([0-9]{2}))?")
_FIRST_YEAR = 1990


@dataclass(frozen=True, repr=False)
class Invoice:
    """What a sales document says (bokføringsforskriften § 5-1-1). `amount` is what is paid and
    `vat` the part of it that is tax, both in hundredths; those of a credit note are negative.
    Its repr shows nothing."""

    number: str
    day: date
    currency: str
    amount: int
    vat: int
    item: str
    buyer_name: str
    buyer_address: str = ""

    @property
    def year(self) -> int:
        """The financial year: the calendar year."""
        return self.day.year


def check(invoice: Invoice) -> None:
    """Raise BadInvoice unless it can be kept and found again."""
    if not _NUMBER.fullmatch(invoice.number):
        raise BadInvoice("a number takes 1 to 40 letters, digits and / _ . -")
    if invoice.year < _FIRST_YEAR:
        raise BadInvoice(f"an invoice of the year {invoice.year}: is the date right?")
    if invoice.currency not in CURRENCIES:
        raise BadInvoice(f"a currency is one of {', '.join(CURRENCIES)}")
    if invoice.vat * invoice.amount < 0 or not abs(invoice.vat) < abs(invoice.amount):
        raise BadInvoice("the amount is what is paid, and VAT a part of it")
    if not 0 < len(invoice.item.strip()) <= 200:
        raise BadInvoice("what was bought takes 1 to 200 characters")
    if not invoice.buyer_name.strip():
        raise BadInvoice("a buyer has a name")


def hundredths(text: str) -> int:
    """An amount as people write it, `1249,00` or `1249.00` or `1249`, exactly. Raises
    BadInvoice: what is read wrongly here is wrong for five years."""
    found = _AMOUNT.fullmatch(text.strip())
    if found is None:
        raise BadInvoice("an amount is written like 1249,00, without blanks")
    sign, whole, part = found.groups()
    value = int(whole) * 100 + int(part or 0)
    return -value if sign else value


def written(amount: int) -> str:
    """The same as text: `1249,00`."""
    whole, part = divmod(abs(amount), 100)
    return f"{'-' if amount < 0 else ''}{whole},{part:02}"
