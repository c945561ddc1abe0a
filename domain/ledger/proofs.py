"""Proof files (C2SP tlog-proof): one entry's place in a checkpointed tree. No storage."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Self

from domain.ledger.errors import MalformedProof
from domain.ledger.merkle import HASH_BYTES, MAX_PROOF, MAX_SIZE
from domain.ledger.notes import MAX_NOTE_BYTES, decode_base64

_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")
_MAX_BYTES = 2 * MAX_NOTE_BYTES


@dataclass(frozen=True)
class Proof:
    """That an entry stands at `index`: hashes from the leaf's sibling to the root's child, and
    the checkpoint, as bytes, not looked into. `extra` is vouched for by nobody; where there is
    none it is None, never empty. Raises MalformedProof."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_SIZE:
            raise MalformedProof("no index")
        if len(self.hashes) > MAX_PROOF:
            raise MalformedProof("the proof is too long")
        if any(len(one) != HASH_BYTES for one in self.hashes):
            raise MalformedProof(f"a hash has {HASH_BYTES} bytes")
        if self.extra == b"":
            raise MalformedProof("extra data without any")

    def encode(self) -> bytes:
        """The file, named `….tlog-proof`."""
        lines = [_FIRST]
        if self.extra is not None:
            lines.append(f"extra {base64.b64encode(self.extra).decode()}")
        lines.append(f"index {self.index}")
        lines += [base64.b64encode(one).decode() for one in self.hashes]
        return "\n".join([*lines, "", ""]).encode() + self.checkpoint

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a file. The checkpoint is not looked into. Raises MalformedProof."""
        if len(content) > _MAX_BYTES:
            raise MalformedProof("longer than any proof")
        head, separator, checkpoint = content.partition(b"\n\n")
        try:
            lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedProof("not ASCII above the checkpoint") from error
        if not separator or lines.pop(0) != _FIRST or not lines:
            raise MalformedProof(f"not a file that begins with {_FIRST}")
        extra: bytes | None = None
        if lines[0].startswith("extra "):
            extra = _bytes(lines.pop(0).removeprefix("extra "))
        index = _INDEX.fullmatch(lines.pop(0)) if lines else None
        if index is None:
            raise MalformedProof("no index")
        if len(lines) > MAX_PROOF:
            raise MalformedProof("the proof is too long")
        return cls(int(index[1]), tuple(_bytes(line) for line in lines), checkpoint, extra)


def _bytes(text: str) -> bytes:
    decoded = decode_base64(text)
    if decoded is None:
        raise MalformedProof("not base64")
    return decoded
