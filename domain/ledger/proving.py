"""Proofs out of storage: that an entry stands in the log, under the newest published checkpoint.

The newest, whatever the entry's age: it says the most, since it holds every checkpoint before
it to the same tree, and it is the one that witnesses and mailboxes have seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import publishing, tree
from domain.ledger.errors import NotYet, UnknownEntry
from domain.ledger.models import LedgerEntry, LedgerLeaf
from domain.ledger.proofs import Proof

# As many entries as one statement looks up.
_BATCH = 500


def prove(session: Session, entry_id: str) -> Proof:
    """The proof of one entry. Raises UnknownEntry; NotYet while the entry has no position below
    the newest published checkpoint; MissingNode where the stored tree has a hole."""
    for _, proof in prove_each(session, [entry_id]):
        return proof
    if session.scalar(select(LedgerEntry.id).where(LedgerEntry.id == entry_id)) is None:
        raise UnknownEntry(entry_id)
    raise NotYet(entry_id)


def prove_each(session: Session, entry_ids: Iterable[str]) -> Iterator[tuple[str, Proof]]:
    """The entries that can be proved now, each with its proof, in the order they are asked for;
    the others are passed over. All are proved to one checkpoint. Raises MissingNode."""
    newest = tree.published(session)
    if newest is None:
        return
    note = publishing.note(session, newest.size)
    wanted = list(entry_ids)
    for begin in range(0, len(wanted), _BATCH):
        batch = wanted[begin : begin + _BATCH]
        places = _positions(session, batch)
        for one in batch:
            position = places.get(one)
            if position is not None and position < newest.size:
                hashes = tree.inclusion(session, position, newest.size)
                yield one, Proof(position, tuple(hashes), note)


def _positions(session: Session, entry_ids: list[str]) -> dict[str, int]:
    rows = session.execute(
        select(LedgerLeaf.entry_id, LedgerLeaf.position).where(LedgerLeaf.entry_id.in_(entry_ids))
    )
    return {entry_id: position for entry_id, position in rows}
