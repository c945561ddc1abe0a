"""What a module keeps about people: the unit of access, erasure and retention.

Every module that keeps something about people offers a `Holding`. The inventory of rights is
the list of them; nothing else knows which tables there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

Export = Callable[[Session, UUID], list[dict[str, Any]]]
Walk = Callable[[Session, UUID], Iterator[dict[str, Any]]]
Erase = Callable[[Session, UUID, datetime], None]
# Who the data come from (GDPR art. 14(2)(f), 15(1)(g)): the person, what they do here, support,
# the person and whoever answers them.
Source = Literal["person", "use", "support", "both"]


@dataclass(frozen=True)
class Holding:
    """One kind of thing kept about a data subject.

    `name` is a stable identifier that templates translate (`account`, `decisions`, …);
    `purposes` are ids in purposes.toml, which say the basis and the recipients, and `retention`
    are ids of its retention rules. `columns` are the tables that it answers for, each with its
    columns; `places` are files and queues outside the tables that may hold a part of it.
    `export` gives every record as JSON-ready values, and `walk` the same one by one where there
    may be very many; `erase` removes or detaches all of them.
    `stays` is true where something without a person in it remains after erasure (an entry in
    the ledger, a closed request): the erasure page says what and why by `name`.
    `holdable` is whether a legal hold may keep it back.
    """

    name: str
    purposes: tuple[str, ...]
    source: Source
    retention: tuple[str, ...]
    columns: Mapping[str, tuple[str, ...]]
    export: Export
    erase: Erase
    walk: Walk | None = None
    places: tuple[str, ...] = ()
    stays: bool = False
    holdable: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that it answers for."""
        return tuple(self.columns)
