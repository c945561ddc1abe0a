"""What can be wrong with an entry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.ledger.checkpoints import Checkpoint


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


class ProofError(LedgerError):
    """The proof does not prove it, or no such proof can be made."""


class Inconsistent(LedgerError):
    """The stored log does not go on from a checkpoint that somebody kept. The message says what
    that means."""


class FormatError(LedgerError):
    """Base of what cannot be read. The message says what is wrong with it."""


class MalformedTile(FormatError):
    """This is no tile's path, or these are not the hashes of one."""


class MalformedKey(FormatError):
    """These are not the letters of a key. The message never quotes them: it may be a secret."""


class MalformedNote(FormatError):
    """These are not the bytes of a signed note."""


class MalformedCheckpoint(FormatError):
    """The note's text is not a checkpoint."""


class MalformedProof(FormatError):
    """These are not the bytes of a proof file."""


class MalformedReceipt(FormatError):
    """These are not the bytes of a receipt."""


class WrongSignature(LedgerError):
    """A key that is known here did not sign this."""

    def __init__(self, name: str):
        super().__init__(f"the signature of {name} is not right")
        self.name = name


class UntrustedCheckpoint(LedgerError):
    """No key that is trusted for this log signed the checkpoint."""

    def __init__(self, origin: str):
        super().__init__(f"no trusted key of {origin} signed this checkpoint")
        self.origin = origin


class MissingNode(LedgerError):
    """The stored tree has a hole, or is smaller than was asked for."""

    def __init__(self, node: tuple[int, int]):
        super().__init__(f"the tree has no node {node[1]} at height {node[0]}")
        self.node = node


class KeyRefused(LedgerError):
    """This key cannot be a key of the log, or must remain one. The message says why."""

    def __init__(self, key: object, reason: str):
        super().__init__(f"{key}: {reason}")
        self.key = str(key)
        self.reason = reason


class NoSigner(LedgerError):
    """This process has no private key of the log, and does not sign."""

    def __init__(self) -> None:
        super().__init__(
            "this process does not sign the log (LOG_KEYS is none): run this where the log's keys"
            " are, beside the worker"
        )


class NotInForce(LedgerError):
    """The log is not signed with this key."""

    def __init__(self, key: object):
        super().__init__(f"{key} is not a key that signs this log now")
        self.key = str(key)


class Damaged(LedgerError):
    """The stored tree is not the one that was signed, or has not the root it is said to have."""

    def __init__(self, size: int):
        super().__init__(
            f"the stored tree is not the one whose root was recorded at {size} entries;"
            " what is wrong with it is told by: flask ledger verify"
        )
        self.size = size


class Overtaken(LedgerError):
    """Another sequencer extended or signed the log meanwhile. Nothing is lost: it did the work."""


class UnknownCheckpoint(LedgerError):
    """No checkpoint of this size is published."""

    def __init__(self, size: int):
        super().__init__(f"no checkpoint of {size} entries is published")
        self.size = size


class NothingPublished(LedgerError):
    """No checkpoint was published yet."""

    def __init__(self) -> None:
        super().__init__("no checkpoint was published yet: flask ledger sequence makes one")


class HighWaterError(LedgerError):
    """Base of what the high-water file finds: the log must not go on before somebody looked."""


class Rewound(HighWaterError):
    """A checkpoint was signed that is no prefix of the stored tree: going on would be a fork."""

    def __init__(self, signed: Checkpoint, size: int):
        found = (
            f"the database has {size} entries in the log"
            if size < signed.size
            else f"the first {signed.size} entries in the database are others"
        )
        super().__init__(
            f"{signed.origin} signed a checkpoint of {signed.size} entries, and {found}: an older"
            " copy or another database was restored. Restore the newest one; where it is lost,"
            " read docs/operations.md, then: flask ledger recover"
        )
        self.signed = signed
        self.size = size


class NoHighWater(HighWaterError):
    """Checkpoints were published, and the file that keeps the newest of them is not there."""

    def __init__(self, path: Path, published: Checkpoint):
        super().__init__(
            f"{path} is missing, and a checkpoint of {published.size} entries was published. Put"
            " the file back; where it is lost, read docs/operations.md, then: flask ledger adopt"
        )
        self.path = path
        self.published = published


class UnreadableHighWater(HighWaterError):
    """The high-water file holds no checkpoint."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} holds no checkpoint. Put the file back; where it is lost, read"
            " docs/operations.md, then: flask ledger adopt"
        )
        self.path = path


class MalformedSubmission(FormatError):
    """These are not the bytes that a log sends to a witness."""


class UnknownOrigin(LedgerError):
    """The witness does not know this log."""

    def __init__(self, origin: str):
        super().__init__(f"no log {origin} is known here")
        self.origin = origin


class OldAboveNew(LedgerError):
    """The submission goes back: its old size is larger than that of its checkpoint."""

    def __init__(self, old: int, size: int):
        super().__init__(f"from {old} to {size} is backwards")


class WitnessConflict(LedgerError):
    """The witness signed another checkpoint last: one of `size`, maybe the same."""

    def __init__(self, size: int, reason: str):
        super().__init__(reason)
        self.size = size


class ForgetfulWitness(LedgerError):
    """A witness has its key and not its memory: it could sign what contradicts what it signed."""


class WrongPresentation(LedgerError):
    """What is said to have been shown is not what the entry names. The message says why."""


class NotProved(ProofError):
    """The proof does not lead from the entry to the checkpoint: one of the three is not what
    it was. Which one, nobody can tell who has only them."""

    def __init__(self, reason: str):
        super().__init__(
            f"the proof does not lead from this entry to this checkpoint ({reason}): "
            "the entry or the proof was changed, or they belong to different receipts"
        )
        self.reason = reason


class UnknownEntry(LedgerError):
    """There is no such entry."""

    def __init__(self, entry_id: str):
        super().__init__(f"there is no entry {entry_id}")
        self.entry_id = entry_id


class NotYet(LedgerError):
    """The entry has no position yet under a published checkpoint: it will have in a moment."""

    def __init__(self, entry_id: str):
        super().__init__(f"entry {entry_id} is not in a published checkpoint yet")
        self.entry_id = entry_id


class WitnessFailed(LedgerError):
    """A witness answered something else than a signature."""


class NoNewKey(LedgerError):
    """The settings have no key of this origin that the log does not know yet."""

    def __init__(self, origin: str):
        super().__init__(
            f"LOG_KEYS has no new key of {origin}, and nothing can be added to the environment."
            f" Make one with: python -m commands.log_key {origin}; add it to LOG_KEYS beside the"
            " others, and run this again"
        )
        self.origin = origin


class NothingToRecover(LedgerError):
    """The database has everything that was signed."""

    def __init__(self) -> None:
        super().__init__("the log goes on from what was signed: there is nothing to recover")


class NothingToAdopt(LedgerError):
    """The high-water file is as it should be. The message says why."""


class NotConsistent(LedgerError):
    """A checkpoint is not one of this log as it is stored."""

    def __init__(self, checkpoint: Checkpoint, size: int, path: Path):
        super().__init__(
            f"the log has {size} entries and does not contain this checkpoint of"
            f" {checkpoint.size}: an older copy of the database was restored. If it cannot be"
            f" undone, put the checkpoint into {path}, and run: flask ledger recover"
        )
        self.checkpoint = checkpoint


class Diverged(LedgerError):
    """The published log does not begin with the entries of a checkpoint that it signed."""

    def __init__(self, checkpoint: Checkpoint):
        super().__init__(
            f"the log does not begin any more with the {checkpoint.size} entries that"
            f" {checkpoint.origin} signed"
        )
        self.checkpoint = checkpoint


class Lost(LedgerError):
    """The log signed this checkpoint, and lost it: an older copy of the database had to be
    restored, and the log says so itself."""

    def __init__(self, checkpoint: Checkpoint):
        super().__init__(
            f"{checkpoint.origin} signed this checkpoint of {checkpoint.size} entries, and lost"
            " it when an older copy of the database was restored; the log says so (log.recovered)"
        )
        self.checkpoint = checkpoint
