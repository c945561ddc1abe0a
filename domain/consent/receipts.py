"""Receipts out of storage: an entry, what was shown for it, and its proof.

Every entry about a person has one: each decision, the opening of the account, each step of a
request. Entries never change and neither does what was shown, so a receipt may be made at any
time, and made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.consent import presentations
from domain.ledger import proving
from domain.ledger.entry import Entry, decode
from domain.ledger.errors import UnknownEntry, WrongPresentation
from domain.ledger.models import LedgerEntry
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt
from domain.subjects.models import EntryLink


def receipt(session: Session, entry_id: str) -> Receipt:
    """The receipt of one entry, whoever it is about.

    Raises UnknownEntry; NotYet while the entry waits for its place in the log; MissingNode and
    WrongPresentation where what is stored is not whole.
    """
    return _receipt(session, _content(session, entry_id), proving.prove(session, entry_id))


def receipts(session: Session, entry_ids: Iterable[str]) -> Iterator[tuple[Entry, Receipt]]:
    """The receipts that can be made now, in the order they are asked for, all to one checkpoint.
    An entry that still waits for its place is passed over. Raises as `receipt` does."""
    for entry_id, proof in proving.prove_each(session, entry_ids):
        content = _content(session, entry_id)
        yield decode(content), _receipt(session, content, proof)


def own(session: Session, subject_id: UUID, entry_id: str) -> bytes | None:
    """The entry's exact bytes if it is about this person; None if it is not, or there is none:
    a stranger learns nothing from the difference."""
    return session.scalar(
        select(LedgerEntry.bytes)
        .join(EntryLink, EntryLink.entry_id == LedgerEntry.id)
        .where(LedgerEntry.id == entry_id, EntryLink.subject_id == subject_id)
    )


def _content(session: Session, entry_id: str) -> bytes:
    content = session.scalar(select(LedgerEntry.bytes).where(LedgerEntry.id == entry_id))
    if content is None:
        raise UnknownEntry(entry_id)
    return content


def _receipt(session: Session, content: bytes, proof: Proof) -> Receipt:
    digest = decode(content).data.get("presentation")
    shown = presentations.get(session, digest) if digest else None
    if digest and shown is None:
        raise WrongPresentation("what the entry says was shown is not stored")
    return Receipt(content, shown.bytes if shown else None, proof.encode())
