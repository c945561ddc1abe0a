"""What can be wrong with a subject."""

from __future__ import annotations

from uuid import UUID


class SubjectError(Exception):
    """Base of this package's errors."""


class UnknownSubject(SubjectError):
    """There is no such subject: never was, or was erased."""

    def __init__(self, subject_id: UUID):
        super().__init__("no such subject")
        self.subject_id = subject_id


class CannotRotate(SubjectError):
    """There can be no new epoch as things are. The message is for the operator."""


class CannotRetire(SubjectError):
    """The epoch may not be destroyed as things are. The message is for the operator."""
