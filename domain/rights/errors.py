"""What can be wrong with a data subject request."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from uuid import UUID


class RightsError(Exception):
    """Base of the package's errors."""


class NotVerified(RightsError):
    """The request was not shown to come from the person it is about."""

    def __init__(self, reference: str):
        super().__init__(f"request {reference} is not verified")
        self.reference = reference


class NotOpen(RightsError):
    """The request was closed before, or is not of a kind or in a state that allows this."""

    def __init__(self, reference: str, state: str):
        super().__init__(f"request {reference} is {state}")
        self.reference = reference
        self.state = state


class TooLate(RightsError):
    """The first month is over, or the time was extended once: it cannot be extended (GDPR art.
    12(3))."""

    def __init__(self, reference: str, due_on: date):
        super().__init__(f"request {reference} cannot be extended; it is due on {due_on}")
        self.reference = reference
        self.due_on = due_on


class NoReason(RightsError):
    """An extension or a refusal needs a reason of those there are, and words for the person."""

    def __init__(self, known: Iterable[str]):
        super().__init__(f"give the person the reason in words, and one of: {', '.join(known)}")


class NoAnswer(RightsError):
    """An answer has words."""

    def __init__(self, reference: str):
        super().__init__(f"nothing was written to answer request {reference} with")
        self.reference = reference


class WrongKind(RightsError):
    """A request of this kind is not answered in words: what it asks for has to be done."""

    def __init__(self, reference: str, kind: str):
        super().__init__(f"request {reference} is about {kind}, which words do not answer")
        self.reference = reference
        self.kind = kind


class NoExport(RightsError):
    """There is no copy to fetch: it is not made yet, was fetched, or its time is over."""


class JournalDamaged(RightsError):
    """The erasure journal is not as it was written."""

    def __init__(self, path: Path, line: int):
        super().__init__(
            f"{path}: line {line} of the erasure journal is damaged. Put back a whole copy of the"
            " file, with the lines that came after it (see docs/operations.md)"
        )
        self.path = path
        self.line = line


class BadHold(RightsError):
    """A legal hold needs a ground, a reason, holdings that can be held, and a day in the future
    on which somebody looks at it again."""


class UnknownHold(RightsError):
    """No such hold runs."""

    def __init__(self, hold: UUID):
        super().__init__(f"no hold {hold} runs")
        self.hold = hold


class Stopped(RightsError):
    """A copy is not to be made any more, or not by this worker."""


class BadImport(RightsError):
    """A file from another controller cannot be taken over. The message quotes nothing of it."""
