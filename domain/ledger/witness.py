"""A witness for other people's logs (C2SP tlog-witness): its rules and its memory. No HTTP.

It signs that a log's checkpoint goes on from the one it signed before. So for each log it never
signs two checkpoints that contradict each other, nor an older one after a newer one; which
checkpoint was the last stands in its file before the signature leaves its hands.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

from domain.ledger import checkpoints, files
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import (
    ForgetfulWitness,
    MalformedKey,
    OldAboveNew,
    ProofError,
    UnknownOrigin,
    WitnessConflict,
)
from domain.ledger.merkle import verify_consistency
from domain.ledger.notes import KeyType, Note, SignerKey, VerifierKey
from domain.ledger.submissions import Submission


class Memory:
    """The last checkpoint of each log that was signed here, as the log signed it: {origin: note}
    in JSON. Read and written under a lock that holds among threads and processes."""

    def __init__(self, path: Path):
        self._path = path

    def read(self) -> dict[str, str]:
        """What is remembered, by origin."""
        found: dict[str, str] = json.loads(self._path.read_bytes())
        return found

    def write(self, notes: dict[str, str]) -> None:
        """Remember this instead; on the disk when it returns."""
        files.replace(self._path, json.dumps(notes, ensure_ascii=False, indent=1).encode())

    def begin(self) -> None:
        """Remember nothing yet, unless there is a memory."""
        with files.locked(self._path):
            if not self._path.exists():
                self.write({})

    def last(self, notes: dict[str, str], origin: str) -> Checkpoint | None:
        """The last checkpoint of one log."""
        note = notes.get(origin)
        return Checkpoint.parse(Note.parse(note.encode()).text) if note is not None else None


class Cosigner:
    """A witness: its key, the logs it knows by their keys, and its memory."""

    def __init__(
        self,
        signer: SignerKey,
        logs: Iterable[VerifierKey],
        state: Path,
        clock: Callable[[], datetime],
    ):
        self.key = signer.verifier
        self._signer = signer
        self._logs = tuple(logs)
        self._state = state
        self._memory = Memory(state)
        self._clock = clock

    def add_checkpoint(self, body: bytes) -> str:
        """Check a submission, remember its checkpoint, and return the signature line.

        The checks stand in the order of the specification, and each is a status of its own.
        Raises FormatError, UnknownOrigin, UntrustedCheckpoint or WrongSignature, OldAboveNew,
        WitnessConflict, ProofError.
        """
        submission = Submission.parse(body)
        new = Checkpoint.parse(Note.parse(submission.note).text)
        if new.origin not in {key.name for key in self._logs}:
            raise UnknownOrigin(new.origin)
        checkpoints.trusted(submission.note, self._logs)
        if submission.old > new.size:
            raise OldAboveNew(submission.old, new.size)
        with files.locked(self._state):
            # Checked and remembered as one: otherwise a slower, older submission would come
            # after a newer one and take the memory back.
            notes = self._memory.read()
            last = self._memory.last(notes, new.origin)
            _check_follows(submission, last, new)
            if new != last:
                # What is remembered already is not written anew: anybody may show it again, as
                # often as they like and with any lines of their own below it.
                self._memory.write({**notes, new.origin: submission.note.decode()})
            # A crash here leaves a checkpoint remembered that nobody has a signature of: the
            # log is told its size when it comes again, and then gets one.
            return self._signer.sign(new.text, seen=int(self._clock().timestamp()))


def _check_follows(submission: Submission, last: Checkpoint | None, new: Checkpoint) -> None:
    """Raise unless the new checkpoint goes on from the last."""
    size = last.size if last else 0
    if submission.old != size:
        raise WitnessConflict(size, f"the last checkpoint signed here is of size {size}")
    if last is not None and new.size == size and new.root != last.root:
        raise WitnessConflict(size, f"another root was signed here for size {size}")
    if size in (0, new.size):
        # Everything goes on from nothing, and a tree from itself: there is nothing to prove.
        if submission.proof:
            raise ProofError("the proof is too long")
    elif last is not None:
        verify_consistency(size, last.root, new.size, new.root, submission.proof)


def open_key(key_file: Path, state_file: Path, name: str | None) -> SignerKey:
    """The witness's key; at the first run a new one of this name, and an empty memory.

    Raises ForgetfulWitness where the key is there and the memory is not; MalformedKey for what
    is no witness's key, or can be read by others, or where a new one has no name.
    """
    with files.locked(key_file):
        if not key_file.exists():
            if name is None:
                raise MalformedKey("a new witness takes a name, as witness.example.com")
            signer = SignerKey.make(name, KeyType.WITNESS)
            # Before the key: a key without a memory is then always one that lost it.
            Memory(state_file).begin()
            files.replace(key_file, f"{signer.encode()}\n".encode())
            return signer
    if not state_file.exists():
        raise ForgetfulWitness(
            f"{key_file} is there and {state_file} is not: without its memory this witness could"
            " sign the opposite of what it signed. Bring the file back as it was last, or take"
            " the key away and begin as a new witness."
        )
    if key_file.stat().st_mode & 0o077:
        raise MalformedKey(f"{key_file} can be read by others; run: chmod 600 {key_file}")
    signer = SignerKey.parse(key_file.read_text("utf-8").strip())
    if signer.type is not KeyType.WITNESS:
        raise MalformedKey(f"{key_file} holds the key of a log, not of a witness")
    return signer
