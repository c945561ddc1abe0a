"""What can be wrong with a data subject request."""

from __future__ import annotations


class RightsError(Exception):
    """Base of the package's errors."""


class NotVerified(RightsError):
    """The request was not shown to come from the person it is about."""

    def __init__(self, reference: str):
        super().__init__(f"request {reference} is not verified")
        self.reference = reference
