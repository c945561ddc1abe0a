"""What is due by rules whose rows their own package lets go, because more happens then than that
they are deleted: the words that `after` takes beside those of due.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from domain.analytics import lapsing, usage
from domain.marketing import holdings as newsletters
from domain.rights.due import Ids, Scope


@dataclass(frozen=True)
class Elsewhere:
    """What a rule does with the rows of `table`, or with what hangs on them: `due` finds what is to
    go, and `go` lets so much of it go, and says how much went."""

    table: str
    due: Callable[[Scope], Ids]
    go: Callable[[Session, Scope, int], int]


def rows(after: str, tables: Collection[str]) -> tuple[Elsewhere, ...]:
    """What a rule does with these tables."""
    return tuple(one for one in _ROWS.get(after, ()) if one.table in tables)


USED, CAMPAIGN_OVER = "used", "campaign_over"
_ROWS: Mapping[str, tuple[Elsewhere, ...]] = {
    USED: (
        Elsewhere(
            "usage_event",
            lambda scope: lapsing.due(scope.day),
            lambda session, scope, limit: lapsing.lapse(session, scope.day, limit),
        ),
        # Then the keys that their pseudonyms were made with.
        Elsewhere(
            "usage_event",
            lambda scope: lapsing.months_due(scope.day),
            lambda session, scope, limit: lapsing.lapse_months(session, scope.day),
        ),
    ),
    # The time is counted when the answer is given, as the cookie has it.
    "visitor_answered": (
        Elsewhere(
            "usage_key",
            lambda scope: usage.due(scope.at),
            lambda session, scope, limit: usage.end_due(session, at=scope.at, limit=limit),
        ),
    ),
    CAMPAIGN_OVER: (
        Elsewhere(
            "campaign_delivery",
            lambda scope: newsletters.due(scope.moment),
            lambda session, scope, limit: newsletters.let_go(session, scope.moment, limit),
        ),
    ),
}
WORDS = frozenset(_ROWS)
