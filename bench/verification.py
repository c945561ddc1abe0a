"""How fast a log is verified, against reading and hashing the same bytes and nothing else.

`flask ledger verify` checks every invariant of a log about people: links, keys and projection
as well as the tree. The offline verifier is given receipts, and hashing them means their files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from sqlalchemy import func, select

from bench import whole_log
from bench.apart import Took, took
from bench.site import Site, serving
from domain.consent import receipts
from domain.ledger import log_keys
from domain.ledger.models import LedgerEntry, LedgerLeaf

PROCESSES = (1, 2)
_RECEIPTS = 500


def steps(entries: int, rounds: int) -> int:
    """How often `measure` calls `step`."""
    return whole_log.cohorts(entries) + rounds


def measure(
    backend: str, *, rounds: int = 5, entries: int = 200_000, step: Callable[[], None]
) -> dict[str, Any]:
    """Entries a second, ratios to hashing alone, and megabytes above rest, of each round."""
    with serving(backend, durable=True) as site, TemporaryDirectory() as folder:
        whole_log.grow(site.database, entries, step=step)
        key = _download(site, Path(folder))
        found: dict[str, list[Took]] = {}
        for number in range(rounds):
            jobs = [
                ("hash", ("hash-entries",)),
                *((f"verify {one}", ("verify", str(one))) for one in PROCESSES),
                ("hash receipts", ("hash-files", folder)),
                ("verify receipts", ("verify-receipts", folder, key)),
            ]
            for name, job in jobs if number % 2 else jobs[::-1]:
                found.setdefault(name, []).append(took(site.environment, *job))
            step()
        with site.database.reading() as session:
            total = session.scalar(select(func.count()).select_from(LedgerEntry)) or 0
    return _summary(found, total)


def _download(site: Site, folder: Path) -> str:
    """Put receipts there, from the whole length of the log; the key they are verified with."""
    with site.database.reading() as session:
        size = session.scalar(select(func.count()).select_from(LedgerLeaf)) or 0
        wanted = {size * number // _RECEIPTS for number in range(_RECEIPTS)}
        ids = session.scalars(select(LedgerLeaf.entry_id).where(LedgerLeaf.position.in_(wanted)))
        for entry_id in ids:
            receipt = receipts.receipt(session, entry_id)
            (folder / f"{entry_id}.json").write_bytes(receipt.encode())
        return str(log_keys.in_force(session)[0])


def _summary(found: dict[str, list[Took]], entries: int) -> dict[str, Any]:
    def rate(name: str, count: int) -> list[float]:
        return [count / one.seconds for one in found[name]]

    def ratio(one: str, other: str) -> float:
        pairs = zip(found[one], found[other], strict=True)
        return median(below.seconds / above.seconds for above, below in pairs)

    return {
        "entries": entries,
        "hash_rate": rate("hash", entries),
        "verify_rate": {str(one): rate(f"verify {one}", entries) for one in PROCESSES},
        "ratio": ratio("verify 1", "hash"),
        "speedup": ratio("verify 2", "verify 1"),
        "memory": {
            str(one): median(took.most - took.idle for took in found[f"verify {one}"])
            for one in PROCESSES
        },
        "peak": {str(one): max(took.most for took in found[f"verify {one}"]) for one in PROCESSES},
        "receipts_rate": rate("verify receipts", _RECEIPTS),
        "receipts_ratio": ratio("verify receipts", "hash receipts"),
        "receipts_peak": max(took.most for took in found["verify receipts"]),
    }


def main() -> None:
    """Measure alone: `python -m bench.verification`."""
    print(json.dumps(measure("sqlite", rounds=1, entries=20_000, step=lambda: None), indent=1))


if __name__ == "__main__":
    main()
