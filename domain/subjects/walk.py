"""One reading of everybody's links and entries, a range of subjects at a time.

It only tells whether all is well, as fast as that can be told. What is wrong, and where, is found
by the slower checks in verify.py, which then look at the same range: whatever is found sound here
is sound for them too (tests/domain/test_people_walk.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from domain.keys import SecretError
from domain.ledger import raw
from domain.ledger.invariants import Part
from domain.subjects.models import EntryLink
from domain.subjects.service import unwrap
from domain.subjects.tags import Tagger

# Links that are read at once, some 3 MB with their entries: ids of subjects are random, so ranges
# of equal width have about as many each.
_PART = 1 << 12
TAG = b'"tag":"'

# Asked for each subject (the hex digits of the id) with their entries' bytes, in order.
Judge = Callable[[str, list[bytes]], bool]

# What is read of a range of subjects, in the words of SQLite and of PostgreSQL.
Query = tuple[str, str]


def query(text: str, column: str) -> Query:
    """With the id of the subject in the place of `{}`, as 32 hex digits."""
    digits = f"encode(uuid_send({column}), 'hex')"
    return text.format(column), text.format(digits).replace("?", "%s")


_LINKS = query(
    """
    SELECT {}, k.ordinal, k.entry_id, e.bytes
    FROM entry_link k LEFT JOIN ledger_entry e ON e.id = k.entry_id
    WHERE k.subject_id >= ? AND k.subject_id <= ? ORDER BY k.subject_id, k.ordinal
    """,
    "k.subject_id",
)
_SUBJECTS = query("SELECT {}, wrapped_key, linked FROM subject WHERE id >= ? AND id <= ?", "id")


def parts(session: Session) -> list[Part]:
    """All subjects there are or could be, cut by their ids."""
    links = session.scalar(select(func.count()).select_from(EntryLink)) or 0
    count = links // _PART + 1
    bounds = [2**128 * number // count for number in range(count + 1)]
    shares = [links * number // count for number in range(count + 1)]
    return [Part(bounds[at], bounds[at + 1], shares[at + 1] - shares[at]) for at in range(count)]


def bounds(part: Part) -> tuple[UUID, UUID]:
    """The first id that belongs to a part, and the last."""
    return UUID(int=part.begin), UUID(int=part.end - 1)


def read(session: Session, part: Part, asked: Query) -> list[Any]:
    """What a query finds between the two ids of a part."""
    first, last = bounds(part)
    return raw.rows(session, *asked, (first.hex, last.hex))


def sound(session: Session, part: Part, judge: Judge) -> bool:
    """Whether every link's entry exists and has the tag of the subject, a subject's entries are
    numbered without a gap, and `judge` finds no fault either."""
    known = {row[0]: row[1:] for row in read(session, part, _SUBJECTS)}
    for subject_id, links in groupby(read(session, part, _LINKS), key=itemgetter(0)):
        wrapped_key, linked = known.pop(subject_id, (None, 0))
        if wrapped_key is None:
            return False
        contents = _tagged(session, subject_id, wrapped_key, links)
        if len(contents) != linked or not judge(subject_id, contents):
            return False
    return not any(linked for _, linked in known.values())


def _tagged(
    session: Session, subject_id: str, wrapped_key: bytes, links: Iterable[Any]
) -> list[bytes]:
    """The entries, up to the first that has no right to be there."""
    contents: list[bytes] = []
    try:
        tag = Tagger(unwrap(session, UUID(subject_id), wrapped_key))
    except SecretError:
        return contents
    for expected, (_, ordinal, entry_id, content) in enumerate(links, 1):
        if ordinal != expected or content is None:
            break
        # Entries are canonical (invariant 15): in those, this stands before the tag only.
        begin = content.rfind(TAG) + len(TAG)
        if content[begin : begin + 64] != tag(entry_id).encode("ascii"):
            break
        contents.append(content)
    return contents
