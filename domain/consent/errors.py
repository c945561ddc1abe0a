"""What can be wrong with consent and its content."""

from __future__ import annotations

from pathlib import Path


class ConsentError(Exception):
    """Base of the package's errors."""


class ContentError(ConsentError):
    """A file in `content/` does not say what it must. The message is for the operator."""


class ChangedNotice(ConsentError):
    """A published notice differs from what stands on disk."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} was published and has been changed since. What people were shown must not "
            "change: put the file back, and make a new version in a folder with a new date."
        )
        self.path = path


class NoNotice(ConsentError):
    """No notice of this kind is in force: `flask notices publish` has not been run."""

    def __init__(self, kind: str):
        super().__init__(f"no {kind} notice is in force; run: flask notices publish")
        self.kind = kind


class StalePresentation(ConsentError):
    """The form does not show today's words: its token is missing, forged, old or superseded."""


class UnknownPurpose(ConsentError):
    """No consent purpose has this id."""

    def __init__(self, purpose_id: str):
        super().__init__("no such purpose that takes consent")
        self.purpose_id = purpose_id


class UnderAge(ConsentError):
    """The person has not declared the age that this purpose asks for."""

    def __init__(self, purpose_id: str):
        super().__init__(f"{purpose_id} asks for a higher age than was declared")
        self.purpose_id = purpose_id
