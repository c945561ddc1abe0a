"""What a module keeps about people: the unit of access, erasure and retention.

Every module that keeps something about people offers a `Holding`. The inventory of rights is
the list of them; nothing else knows which tables there are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

Export = Callable[[Session, UUID], list[dict[str, Any]]]
Erase = Callable[[Session, UUID, datetime], None]


@dataclass(frozen=True)
class Holding:
    """One kind of thing kept about a data subject.

    `name` is a stable identifier that templates translate (`account`, `decisions`, …);
    `purposes` are ids in purposes.toml; `tables` the tables it answers for.
    `export` gives every record as JSON-ready values; `erase` removes or detaches all of them.
    `stays` is true where something without a person in it remains after erasure (an entry in
    the ledger, a closed request): the erasure page says what and why by `name`.
    """

    name: str
    purposes: tuple[str, ...]
    tables: tuple[str, ...]
    export: Export
    erase: Erase
    stays: bool = False
