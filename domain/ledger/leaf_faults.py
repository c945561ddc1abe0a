"""What happened to a leaf that is not as it must be: the words for it. Slow, and only then read."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.ledger.entry import decode
from domain.ledger.errors import LedgerError
from domain.ledger.merkle import HASH_BYTES
from domain.ledger.models import LedgerEntry, LedgerLeaf
from domain.ledger.raw import Row


def gap(session: Session, position: int) -> str:
    """A position that nobody has."""
    last = session.scalar(select(func.max(LedgerLeaf.position)))
    if last is None or last < position:
        return f"no entry stands at position {position} or behind it: the tail was dropped"
    return f"no entry stands at position {position}: one was removed"


def changed(session: Session, row: Row, found: bytes) -> str:
    """An entry's bytes have another hash than its leaf."""
    position, entry_id, _, content, _ = row
    place = f"entry {entry_id} at position {position}"
    other = session.scalar(select(LedgerLeaf.position).where(LedgerLeaf.leaf_hash == found))
    if other is not None:
        return f"{place} was hashed at position {other}: entries were swapped"
    try:
        said = decode(content or b"").id
    except LedgerError as error:
        return f"{place}: a byte was changed ({error})"
    hashed = session.scalar(select(LedgerEntry.bytes).where(LedgerEntry.id == said))
    if said != entry_id and hashed is not None:
        return f"{place}: the bytes are those of entry {said}: entries were swapped"
    return f"{place}: a byte was changed, of the entry or of its leaf's hash"


def moved(base: int, found: list[bytes], data: bytes, rows: list[Row]) -> str:
    """A tile has other hashes than the leaves under it."""
    stored = [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
    if len(stored) != len(found):
        return f"it has {len(stored)} hashes"
    wrong = [at for at, (one, other) in enumerate(zip(stored, found, strict=True)) if one != other]
    first, last = wrong[0], wrong[-1]
    place = f"position {base + first}, entry {rows[first][1]}"
    if len(wrong) == 2 and (stored[first], stored[last]) == (found[last], found[first]):
        return f"{place}: the entry was swapped with that at position {base + last}"
    if stored[first + 1 :] == found[first:-1]:
        return f"{place}: an entry was removed that stood here"
    if found[first + 1 :] == stored[first:-1]:
        return f"{place}: the entry was put in later"
    return f"{place}: another entry stood here when the tile was made"
