"""python -m bench: measure, and write bench/results.json and bench/results.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bench import crowd, report
from bench.answers import FLOWS, Times, measure
from bench.progress import Progress
from bench.site import BACKENDS, serving

_HERE = Path(__file__).parent


def main() -> None:
    """Measure every form on every database."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--tries", type=int, default=200, help="for each group and form")
    parser.add_argument("--database", choices=BACKENDS, help="only this one")
    parser.add_argument("--form", choices=[flow.path for flow in FLOWS], help="only this one")
    parser.add_argument("--out", type=Path, default=_HERE, help="the directory of the results")
    chosen = parser.parse_args()
    backends = [one for one in BACKENDS if chosen.database in (None, one)]
    flows = [flow for flow in FLOWS if chosen.form in (None, flow.path)]
    progress = Progress(len(backends) * len(flows) * len(crowd.GROUPS) * chosen.tries)
    results: dict[str, dict[str, Times]] = {}
    for backend in backends:
        with serving(backend) as site:
            results[backend] = {
                flow.path: measure(site, flow, chosen.tries, progress.step) for flow in flows
            }
    (chosen.out / "results.json").write_text(json.dumps(results))
    (chosen.out / "results.md").write_text(report.page(results, chosen.tries), "utf-8")
    print((chosen.out / "results.md").read_text("utf-8"))


if __name__ == "__main__":
    main()
