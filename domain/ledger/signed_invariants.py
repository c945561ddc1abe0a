"""What must hold of that which was signed: checkpoints, cosignatures, the keys, and the
high-water file, which no restored copy of the database brings back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from domain.ledger import checkpoints, high_water, log_keys, tree
from domain.ledger.errors import LedgerError, Rewound, UntrustedCheckpoint
from domain.ledger.invariants import Check, Invariant, Part, Tell, Violation, Walk, stream
from domain.ledger.key_invariants import KEYS
from domain.ledger.log import log
from domain.ledger.log_keys import KnownKey
from domain.ledger.models import LedgerCheckpoint, LedgerCosignature, LedgerState
from domain.ledger.notes import KeyType, Note, VerifierKey

SIGNED = Invariant(8, "every checkpoint is a committed state, signed by a key of its day")
_PART = 1000


def _high_water(session: Session) -> Iterator[str]:
    try:
        high_water.check(session)
        note = high_water.read(log(session).high_water)
        if note is not None and not _ahead(session, note):
            log_keys.trusted(session, note)
    except Rewound as rewound:
        yield _rewound(rewound)
    except LedgerError as error:
        yield f"{error}"


def _ahead(session: Session, note: bytes) -> bool:
    """Whether somebody signed a larger checkpoint since this session began to read."""
    size = checkpoints.Checkpoint.parse(Note.parse(note).text).size
    return size > tree.current(session).size


def _rewound(rewound: Rewound) -> str:
    signed = f"checkpoint {rewound.signed.size} of {rewound.signed.origin} was signed"
    if rewound.size < rewound.signed.size:
        return (
            f"{signed}, and the log has {rewound.size} entries: its tail was dropped, or an older"
            " copy of the database was restored"
        )
    return (
        f"{signed} over other entries than the first {rewound.signed.size} that are stored: the"
        " tree was rewritten, or another database was restored"
    )


def _checkpoint_parts(session: Session) -> list[Part]:
    sizes = stream(session, select(LedgerCheckpoint.size).order_by(LedgerCheckpoint.size))
    parts: list[Part] = []
    for number, (size,) in enumerate(sizes):
        if number % _PART == 0:
            parts.append(Part(size, size, 0))
        parts[-1] = Part(parts[-1].begin, size + 1, parts[-1].rows + 1)
    return parts


def _checkpoints(session: Session, part: Part, tell: Tell) -> Iterator[Violation]:
    keys = log_keys.known(session)
    rows = stream(
        session,
        select(
            LedgerCheckpoint.size,
            LedgerCheckpoint.note,
            LedgerState.root,
            LedgerCosignature.verifier_key,
            LedgerCosignature.line,
            LedgerCosignature.seen_at,
        )
        .outerjoin(LedgerState, LedgerState.size == LedgerCheckpoint.size)
        .outerjoin(LedgerCosignature, LedgerCosignature.size == LedgerCheckpoint.size)
        .where(LedgerCheckpoint.size >= part.begin, LedgerCheckpoint.size < part.end)
        .order_by(LedgerCheckpoint.size),
    )
    for size, lines in groupby(rows, key=attrgetter("size")):
        for first, line in enumerate(lines):
            wrong = None if first else _wrong(line, keys)
            wrong = wrong or (None if line.line is None else _wrong_cosignature(line))
            if wrong:
                yield SIGNED.broken(f"checkpoint {size}: {wrong}")
        tell(1)


def _wrong(row: Any, keys: list[KnownKey]) -> str | None:
    """What is wrong with a published checkpoint."""
    try:
        signers = [one.key for one in keys if one.signs(row.size)]
        found = checkpoints.trusted(row.note, signers).checkpoint
    except UntrustedCheckpoint as error:
        names = ", ".join(sorted({one.name for one in Note.parse(row.note).signatures}))
        return f"{error}. It is signed by {names}, with a key that is not the log's at this size"
    except LedgerError as error:
        return f"{error}"
    if found.size != row.size:
        return f"it says {found.size} entries"
    if row.root is None:
        return "there is no such state: the tail was dropped, or it was never committed"
    if found.root != row.root:
        return "the state has another root: the tree was rewritten after this was signed"
    return None


def _wrong_cosignature(row: Any) -> str | None:
    try:
        key = VerifierKey.parse(row.verifier_key)
        text = Note.parse(row.note).text
        signed = Note.parse(text + b"\n" + row.line.encode()).verified([key])
    except LedgerError as error:
        return f"the cosignature of {row.verifier_key}: {error}"
    if key.type is not KeyType.WITNESS or len(signed) != 1:
        return f"the cosignature of {row.verifier_key} is not one of this key"
    if datetime.fromtimestamp(signed[0].seen or 0, UTC) != row.seen_at:
        return f"the cosignature of {row.verifier_key} says another time"
    return None


CHECKS = (
    Walk((SIGNED,), _checkpoint_parts, _checkpoints),
    KEYS,
    Check(7, "the log goes on from the newest checkpoint that was signed", _high_water),
)
