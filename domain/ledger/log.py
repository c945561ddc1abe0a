"""What a log has outside the database: its keys, its high-water file, its witnesses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from domain.ledger.notes import SignerKey, VerifierKey

if TYPE_CHECKING:  # the offline verifier comes here for is_origin, and has no database
    from sqlalchemy.orm import Session

# An address without its scheme. A path is asked for, so that no name and no number of a person
# has the form of an origin; 200 characters, so that the verifier key fits its column.
_ORIGIN = re.compile(r"(?=.{1,200}\Z)[a-z0-9.-]+(:[0-9]{1,5})?(/[a-z0-9._-]+)+")


def is_origin(name: str) -> bool:
    """Whether a log may have this name: as `lillemini.com/consent`."""
    return _ORIGIN.fullmatch(name) is not None


@dataclass(frozen=True)
class Witness:
    """Somebody else who remembers our checkpoints: where to send them, and their key."""

    url: str
    key: VerifierKey


@dataclass(frozen=True)
class Log:
    """`signers` are the private keys this process may sign with, none where it only reads; which
    of them are in force, the database tells. `high_water` holds the newest checkpoint that was
    signed for publishing, where a restored database cannot take it back."""

    signers: tuple[SignerKey, ...] = field(repr=False)
    high_water: Path
    witnesses: tuple[Witness, ...] = ()


def log(session: Session) -> Log:
    """The log that this session's database belongs to."""
    found: Log = session.info["log"]
    return found
