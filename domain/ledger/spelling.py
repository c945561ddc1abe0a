"""Whether bytes are an entry, told by their spelling alone: many times as fast as reading them.

Verification reads every entry that there is, and nearly all look alike. What is accepted here,
`decode` and `schemas.check` accept too (tests/domain/test_ledger_spelling.py); what is not, is
for them to judge.
"""

from __future__ import annotations

import re
from datetime import date

from domain.ledger.schemas import SCHEMAS, Spelled

_DAY = r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}"
_HASH = re.compile(rb"[0-9a-f]{64}")
_MOST_SEEN = 10_000
# Dates that exist and hashes that are spelled well. They come again and again, so each is looked
# at once; forgotten when there are too many, so that memory does not grow with the log.
_seen: set[bytes] = set()


def _pattern(type: str) -> re.Pattern[bytes] | None:
    """The spelling of every entry of a type: RFC 8785 orders the fields, and none of the values
    that a pattern admits needs an escape."""
    fields = sorted(SCHEMAS[type].items())
    patterns = [(name, holds.pattern) for name, holds in fields if isinstance(holds, Spelled)]
    if len(patterns) < len(fields):
        return None
    data = ",".join(f'"{name}":{pattern}' for name, pattern in patterns)
    text = (
        rf'\{{"at":"{_DAY}T{_CLOCK}Z","data":\{{{data}\}},"id":"([0-9a-f]{{32}})",'
        rf'"tag":"[0-9a-f]{{64}}","type":"{re.escape(type)}","v":1\}}'
    )
    return re.compile(text.encode("ascii"), re.DOTALL)


_MATCHES = {
    type.encode("ascii"): pattern.fullmatch
    for type in SCHEMAS
    if (pattern := _pattern(type)) is not None
}
_TYPE = b'"type":"'


def spelled(content: bytes) -> str | None:
    """The id of the entry, where the bytes are plainly those of one; None where that takes a
    closer look."""
    match = _MATCHES.get(content[content.rfind(_TYPE) + len(_TYPE) : -len('","v":1}')])
    found = match(content) if match else None
    if found is None:
        return None
    *captured, entry_id = found.groups()
    if not _seen.issuperset(captured) and not all(map(_is_right, captured)):
        return None
    return str(entry_id, "ascii")


def _is_right(captured: bytes) -> bool:
    if len(captured) == 64:
        right = _HASH.fullmatch(captured) is not None
    else:
        right = _exists(captured.decode("ascii"))
    if right:
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        _seen.add(captured)
    return right


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True
