"""The keys that sign the log: which there were, and which sign now.

A key signs checkpoints of a range of sizes, from the one after it was registered to the one at
which it was retired. Verifier keys are kept for ever, so a receipt is verified with the keys of
its day; a key that was retired vouches for nothing larger than the log was then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from domain.ledger import checkpoints, tree
from domain.ledger.announcing import announce
from domain.ledger.checkpoints import Checkpoint, Trusted
from domain.ledger.errors import KeyRefused, MalformedKey, NoSigner, NotInForce
from domain.ledger.log import Log, log
from domain.ledger.models import LedgerKey, LedgerKeyEnd
from domain.ledger.notes import Note, SignerKey, VerifierKey
from domain.ledger.tree import State


@dataclass(frozen=True)
class KnownKey:
    """A key of the log and the sizes of the checkpoints that it signs: more than `from_size`,
    and at most `to_size`, where it was retired."""

    key: VerifierKey
    from_size: int
    to_size: int | None

    def signs(self, size: int) -> bool:
        """Whether a checkpoint of this size is one that this key signs."""
        return self.from_size < size and (self.to_size is None or size <= self.to_size)


def known(session: Session) -> list[KnownKey]:
    """Every key that the log ever had, the oldest first."""
    rows = session.execute(
        select(LedgerKey.verifier_key, LedgerKey.from_size, LedgerKeyEnd.to_size)
        .outerjoin(LedgerKeyEnd, LedgerKeyEnd.verifier_key == LedgerKey.verifier_key)
        .order_by(LedgerKey.from_size, LedgerKey.verifier_key)
    )
    return [KnownKey(_parsed(text), first, last) for text, first, last in rows]


def in_force(session: Session) -> list[VerifierKey]:
    """The keys that sign the log now, the oldest first; none before the first sequencing."""
    return [one.key for one in known(session) if one.to_size is None]


def origin(session: Session) -> str:
    """The log's name: that of the keys in force, or of the key that will be the first. Raises
    NoSigner where the log has no key yet, and this process none that could be the first."""
    names = [key.name for key in in_force(session)]
    return names[0] if names else first_signer(log(session)).name


def first_signer(log: Log) -> SignerKey:
    """The key that the log begins with here. Raises NoSigner for a process that does not sign."""
    if not log.signers:
        raise NoSigner
    return log.signers[0]


def signers(session: Session, size: int) -> list[SignerKey]:
    """The private keys of this process that sign a checkpoint of this size; maybe none.

    By size and not by time: a state that was committed, and not yet signed, just before a key
    was retired is still signed by that key, as it would have been without the interruption.
    """
    signing = {one.key for one in known(session) if one.signs(size)}
    return [signer for signer in log(session).signers if signer.verifier in signing]


def trusted(session: Session, content: bytes) -> Trusted:
    """Read a checkpoint, and verify that a key signed it that signs checkpoints of its size.

    Raises as `checkpoints.trusted` does: MalformedNote, MalformedCheckpoint, WrongSignature,
    UntrustedCheckpoint.
    """
    size = Checkpoint.parse(Note.parse(content).text).size
    keys = [one.key for one in known(session) if one.signs(size)]
    return checkpoints.trusted(content, keys, [one.key for one in log(session).witnesses])


def register_first(session: Session, signers: Sequence[SignerKey]) -> None:
    """Register the first signer, where the log has no key yet.

    In the transaction of the first state: of two processes that begin the log with different
    keys, the fence lets one commit.
    """
    if not known(session):
        register(session, signers[0].verifier, 0)


def _parsed(text: str) -> VerifierKey:
    try:
        return VerifierKey.parse(text)
    except MalformedKey as error:
        raise MalformedKey(f"a row of ledger_key holds no verifier key ({error})") from None


def rotate(session: Session, new: VerifierKey, *, at: datetime) -> State:
    """Let another key sign beside those in force; return the state that says so.

    Raises KeyRefused for a key that the log has or had, and for one of another origin; Overtaken
    where it is to be tried again.
    """
    keys = in_force(session)
    if not keys:
        raise KeyRefused(new, "the log has no key yet: its first entry registers one")
    if new.name != keys[-1].name:
        raise KeyRefused(new, f"the log's origin is {keys[-1].name}")
    if any(one.key == new for one in known(session)):
        raise KeyRefused(new, "the log has or had this key already")
    state = tree.current(session)
    register(session, new, state.size)
    data = {"from": str(keys[-1]), "to": str(new)}
    return announce(session, state, "key.rotated", data, at=at)


def retire(session: Session, key: VerifierKey, *, at: datetime) -> State:
    """Let a key sign nothing larger than the log is now; return the state that says so.

    Raises NotInForce; KeyRefused for the last key in force that this process can sign with, since
    nothing could be published after it; Overtaken where it is to be tried again.
    """
    keys = in_force(session)
    if key not in keys:
        raise NotInForce(key)
    own = {signer.verifier for signer in log(session).signers}
    if not own & {one for one in keys if one != key}:
        raise KeyRefused(key, "no other key in force can be signed with here; rotate first")
    state = tree.current(session)
    end(session, key, state.size)
    return announce(session, state, "key.retired", {"key": str(key)}, at=at)


def register(session: Session, key: VerifierKey, size: int) -> None:
    """Let a key sign what is larger than this."""
    session.execute(insert(LedgerKey).values(verifier_key=str(key), from_size=size))


def end(session: Session, key: VerifierKey, size: int) -> None:
    """Let a key in force sign nothing larger than this."""
    session.execute(insert(LedgerKeyEnd).values(verifier_key=str(key), to_size=size))
