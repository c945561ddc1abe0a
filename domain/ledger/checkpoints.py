"""Checkpoints (C2SP tlog-checkpoint): a log's signed statement of its size and root. No storage."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from domain.ledger.errors import MalformedCheckpoint, UntrustedCheckpoint
from domain.ledger.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from domain.ledger.notes import (
    KeyType,
    Note,
    Signed,
    SignerKey,
    VerifierKey,
    decode_base64,
    is_name,
    sign,
)

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True)
class Checkpoint:
    """Which log, how many entries, and the root over them. Raises MalformedCheckpoint."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        if not is_name(self.origin):
            raise MalformedCheckpoint("no origin")
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedCheckpoint("not a size")
        if len(self.root) != HASH_BYTES:
            raise MalformedCheckpoint("not a root hash")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedCheckpoint("another root than that of the empty tree")

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @property
    def text(self) -> bytes:
        """The three lines that are signed."""
        return str(self).encode()

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Read the text of a note. Raises MalformedCheckpoint; extension lines are refused."""
        try:
            origin, size, root, rest = text.decode("utf-8").split("\n", 4)
        except ValueError as error:
            raise MalformedCheckpoint("not three lines") from error
        decoded = decode_base64(root)
        if rest:
            raise MalformedCheckpoint("not three lines")
        if not _SIZE.fullmatch(size):
            raise MalformedCheckpoint("not a size")
        if decoded is None:
            raise MalformedCheckpoint("not a root hash")
        return cls(origin, int(size), decoded)

    def signed(self, signers: Iterable[SignerKey]) -> bytes:
        """The checkpoint as a note. Whoever calls this vouches that the state is committed.

        Raises ValueError for a key that is not of this log: nobody would believe it, and a log
        signs under its own name only. Raises MalformedNote where nobody signs.
        """
        keys = list(signers)
        if any(key.type is not KeyType.LOG or key.name != self.origin for key in keys):
            raise ValueError("a checkpoint is signed with keys that are named after the log")
        return sign(self.text, keys)


@dataclass(frozen=True)
class Trusted:
    """A checkpoint whose signature by the log was verified, and the witnesses who saw it."""

    checkpoint: Checkpoint
    by: tuple[Signed, ...]
    witnesses: tuple[Signed, ...]


def trusted(
    content: bytes, log_keys: Iterable[VerifierKey], witnesses: Iterable[VerifierKey] = ()
) -> Trusted:
    """Read a checkpoint and verify that the log signed it.

    A witness's signature never stands in for the log's: it says that the log showed this, and
    anybody could show it something under the log's name. Raises MalformedNote,
    MalformedCheckpoint, WrongSignature, and UntrustedCheckpoint unless one of `log_keys`, whose
    name is the origin, signed.
    """
    note = Note.parse(content)
    checkpoint = Checkpoint.parse(note.text)
    own = {key for key in log_keys if key.type is KeyType.LOG and key.name == checkpoint.origin}
    others = {key for key in witnesses if key.type is KeyType.WITNESS}
    signed = note.verified([*own, *others])
    by = tuple(one for one in signed if one.key in own)
    if not by:
        raise UntrustedCheckpoint(checkpoint.origin)
    return Trusted(checkpoint, by, tuple(one for one in signed if one.key in others))
