"""Signing and publishing: only what is committed is signed, and a row is the publication."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from domain.ledger.checkpoints import Checkpoint
from domain.ledger.errors import UnknownCheckpoint
from domain.ledger.log import Witness
from domain.ledger.models import LedgerCheckpoint, LedgerCosignature
from domain.ledger.notes import Signed, SignerKey, VerifierKey
from domain.ledger.tree import State


def sign(state: State, signers: Sequence[SignerKey]) -> bytes:
    """A checkpoint of a committed state, as a note. Signed again, it is the same, byte for byte.

    The caller has compared the state with the stored tree and with what was signed before.
    """
    return Checkpoint(signers[0].name, state.size, state.root).signed(signers)


def publish(
    session: Session, size: int, note: bytes, cosignatures: Iterable[Signed], *, at: datetime
) -> None:
    """Publish a checkpoint: from the commit on anybody may see it. Raises IntegrityError where
    it is published already."""
    row = {"size": size, "note": note, "signed_at": at}
    session.execute(insert(LedgerCheckpoint).values(row))
    rows = [_cosignature(size, one) for one in cosignatures]
    if rows:
        session.execute(insert(LedgerCosignature), rows)


def note(session: Session, size: int) -> bytes:
    """The published checkpoint of this size, with the cosignatures of its witnesses. Raises
    UnknownCheckpoint."""
    signed = session.scalar(select(LedgerCheckpoint.note).where(LedgerCheckpoint.size == size))
    if signed is None:
        raise UnknownCheckpoint(size)
    lines = session.scalars(
        select(LedgerCosignature.line)
        .where(LedgerCosignature.size == size)
        .order_by(LedgerCosignature.verifier_key)
    )
    return signed + "".join(lines).encode()


def last_seen(session: Session, witnesses: Iterable[Witness]) -> Mapping[VerifierKey, int]:
    """The size of the newest checkpoint that each witness cosigned here, where there is one."""
    found = {}
    for witness in witnesses:
        size = session.scalar(
            select(func.max(LedgerCosignature.size)).where(
                LedgerCosignature.verifier_key == str(witness.key)
            )
        )
        if size is not None:
            found[witness.key] = size
    return found


def _cosignature(size: int, one: Signed) -> dict[str, object]:
    seen = datetime.fromtimestamp(one.seen or 0, UTC)
    return {"size": size, "verifier_key": str(one.key), "line": one.line, "seen_at": seen}
