"""One reading of everybody's entries: that they are tagged and numbered as their subject's, and
that the projection of current decisions says what a replay of them says.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy.orm import Session

from domain.consent import projection
from domain.ledger.invariants import Invariant, Part, Tell, Violation, Walk
from domain.ledger.spelling import spelled
from domain.subjects import verify as subjects
from domain.subjects import walk

PROJECTED = Invariant(10, "the projection of current decisions equals a replay")

_TYPE, _CONSENT, _PURPOSE = b'"type":"', b"consent.", b'"purpose":"'
# Of one decision all that the projection says, but for the subject; times as the site's tables
# have them, `2026-11-22T12:00:00.000000`.
_Said = tuple[str, str, str, str, int, str | None, str | None]

_FIELDS = """
    SELECT {{}}, purpose_id, state, entry_id, {at}, purpose_version, presentation, {expires_at}
    FROM current_decision WHERE subject_id >= ? AND subject_id <= ?
"""
_ISO = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')"
_COLUMNS = ("at", "expires_at")
_STORED = (
    walk.query(
        _FIELDS.format(**{one: f"replace({one}, ' ', 'T')" for one in _COLUMNS}), "subject_id"
    )[0],
    walk.query(_FIELDS.format(**{one: _ISO.format(one) for one in _COLUMNS}), "subject_id")[1],
)


class _Projection:
    """The rows of a range of subjects, taken away as they are found to be right."""

    def __init__(self, session: Session, part: Part):
        self._left: dict[str, dict[str, _Said]] = {}
        for subject_id, *said in walk.read(session, part, _STORED):
            self._left.setdefault(subject_id, {})[said[0]] = tuple(said)

    def agrees(self, subject_id: str, contents: list[bytes]) -> bool:
        """Whether the rows of a subject are what these entries come to."""
        newest = {purpose_of(content): content for content in contents if is_decision(content)}
        stored = self._left.pop(subject_id, {})
        return len(stored) == len(newest) and all(
            stored.get(purpose.decode()) == _said(content) for purpose, content in newest.items()
        )

    @property
    def empty(self) -> bool:
        """Whether nothing is left that belongs to nobody."""
        return not self._left


def is_decision(content: bytes) -> bool:
    """Whether these canonical bytes are a `consent.*` entry's: behind `data`, in which the same
    words may stand, there is no field before the type that could hold them."""
    return content.startswith(_CONSENT, content.rfind(_TYPE) + len(_TYPE))


def purpose_of(content: bytes) -> bytes:
    """The purpose of a `consent.*` entry."""
    begin = content.index(_PURPOSE) + len(_PURPOSE)
    return content[begin : content.index(b'"', begin)]


def _said(content: bytes) -> _Said | None:
    """What the projection must say after this entry. None where that takes a closer look."""
    if spelled(content) is None:
        return None
    entry: dict[str, Any] = json.loads(content)
    data = entry["data"]
    expires_at = data.get("expires_at")
    return (
        data["purpose"],
        entry["type"].removeprefix("consent."),
        entry["id"],
        _microseconds(entry["at"]),
        data["purpose_version"],
        data.get("presentation"),
        expires_at and _microseconds(expires_at),
    )


def _microseconds(time: str) -> str:
    return time.removesuffix("Z") + "000"


def sound(session: Session, part: Part) -> bool:
    """Whether all is well with these people, as far as that can be told quickly."""
    stored = _Projection(session, part)
    return walk.sound(session, part, stored.agrees) and stored.empty


def faults(session: Session, part: Part) -> Iterator[Violation]:
    """What is wrong with these people, and where. Slow."""
    yield from subjects.faults(session, part)
    for where in projection.differences(session, walk.bounds(part)):
        yield PROJECTED.broken(where)


def _run(session: Session, part: Part, tell: Tell) -> Iterator[Violation]:
    if not sound(session, part):
        yield from faults(session, part)
    tell(part.rows)


WALK = Walk((subjects.LINKED, subjects.NUMBERED, PROJECTED), walk.parts, _run)
