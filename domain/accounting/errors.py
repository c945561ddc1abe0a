"""What can be wrong with bookkeeping."""

from __future__ import annotations


class AccountingError(Exception):
    """Base of the package's errors."""


class BadInvoice(AccountingError):
    """A field of an invoice cannot be kept as it is. The message is for the operator."""


class OtherInvoice(AccountingError):
    """There is an invoice of this number already, and it says something else."""

    def __init__(self, number: str):
        super().__init__(f"there is an invoice {number} already, and it says something else")
        self.number = number
