"""python -m bench: measure, and write bench/results.json and bench/results.md.

What is not measured this time stays in both as it was.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import report
from bench.items import ITEMS, Sizes
from bench.site import BACKENDS
from commands.progress import Progress

_HERE = Path(__file__).parent


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, on every database."""
    chosen = _chosen(arguments)
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    sizes = Sizes(chosen.rounds, chosen.tries, chosen.requests, chosen.subjects, chosen.entries)
    results = _kept(chosen.out / "results.json")
    for name in chosen.only:
        item = ITEMS[name]
        said = report.made(**item.sizes(sizes))
        progress = Progress(len(backends) * item.steps(sizes), f"of {name}")
        for backend in backends:
            # On both in one run, or the page would compare two days.
            found = results.setdefault(name, {})
            found[backend] = item.measure(backend, sizes, progress.step)
            found["made"] = said
            _write(chosen.out, results)
    _write(chosen.out, results)
    print((chosen.out / "results.md").read_text("utf-8"))


def _chosen(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", type=_items, default=list(ITEMS), help=", ".join(ITEMS))
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    parser.add_argument("--rounds", type=int, default=5, help="of each item")
    parser.add_argument("--tries", type=int, default=100, help="answers: for each group and form")
    parser.add_argument("--requests", type=int, help="capture, check, sequencing: in a round")
    parser.add_argument("--subjects", type=int, help="audience, retention, campaign: people")
    parser.add_argument("--entries", type=int, help="audience and verification: in the log")
    parser.add_argument("--out", type=Path, default=_HERE, help="the directory of the results")
    return parser.parse_args(arguments)


def _items(text: str) -> list[str]:
    names = [name for name in text.replace(",", " ").split() if name]
    for name in names:
        if name not in ITEMS:
            raise argparse.ArgumentTypeError(f"there is no {name}: {', '.join(ITEMS)}")
    return names


def _kept(path: Path) -> dict[str, Any]:
    """What was measured before, as far as it is of the kind that is written now."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {name: found[name] for name in ITEMS if "made" in found.get(name, {})}


def _write(out: Path, results: dict[str, Any]) -> None:
    results = {name: results[name] for name in ITEMS if name in results}
    notes = _HERE / "notes.md"
    (out / "results.json").write_text(json.dumps(results), "utf-8")
    page = report.page(results, notes.read_text("utf-8") if notes.exists() else "")
    (out / "results.md").write_text(page, "utf-8")


if __name__ == "__main__":
    main()
