"""What a log sends to a witness (C2SP tlog-witness, add-checkpoint). No storage, no HTTP."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Self

from domain.ledger.errors import MalformedSubmission
from domain.ledger.merkle import HASH_BYTES, MAX_PROOF
from domain.ledger.notes import decode_base64

# A witness must take 16 signatures of 5 kB; what is longer, nobody needs.
MAX_BYTES = 256 * 1024
_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True)
class Submission:
    """A checkpoint, and the proof that it goes on from the one of size `old`."""

    old: int
    proof: tuple[bytes, ...]
    note: bytes

    def encode(self) -> bytes:
        """The body of the request."""
        lines = [f"old {self.old}", *(base64.b64encode(one).decode() for one in self.proof)]
        return "\n".join([*lines, "", ""]).encode() + self.note

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Read a body. The checkpoint is not looked into. Raises MalformedSubmission."""
        if len(content) > MAX_BYTES:
            raise MalformedSubmission("longer than any submission")
        head, separator, note = content.partition(b"\n\n")
        try:
            first, *lines = head.decode("ascii").split("\n")
        except UnicodeDecodeError as error:
            raise MalformedSubmission("not ASCII above the checkpoint") from error
        old = _OLD.fullmatch(first)
        if not separator or old is None:
            raise MalformedSubmission("not an old size, a proof and an empty line")
        if len(lines) > MAX_PROOF:
            raise MalformedSubmission("the proof is too long")
        proof = tuple(decode_base64(line) or b"" for line in lines)
        if any(len(one) != HASH_BYTES for one in proof):
            raise MalformedSubmission(f"a hash is {HASH_BYTES} bytes in base64")
        return cls(int(old[1]), proof, note)
