"""What can be wrong with an entry."""

from __future__ import annotations


class LedgerError(Exception):
    """Base of the ledger's errors."""


class EntryTooLarge(LedgerError):
    """An entry has at most 65,535 bytes."""

    def __init__(self, size: int):
        super().__init__(f"the entry has {size} bytes")
        self.size = size


class MalformedEntry(LedgerError):
    """These are not the bytes, or not the fields, of an entry."""


class SchemaError(LedgerError):
    """The type is unknown, or its schema has no place for this data.

    The message names the type and the field, never the value: it may be about a person.
    """

    def __init__(self, type: str, field: str | None = None):
        where = f"{type}: {field}" if field else f"{type}: the fields"
        super().__init__(f"{where} not as the schema has it")
        self.type = type
        self.field = field
