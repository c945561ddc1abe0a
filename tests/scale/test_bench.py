"""What `make bench` is made of still works; what it measures is read, not asserted."""

from __future__ import annotations

import json
from pathlib import Path

from flask import Flask

from bench import report, whole_log
from bench.__main__ import main
from bench.apart import took
from bench.targets import TARGETS
from database import Database
from tests.support.databases import Urls


def test_a_log_that_is_filled_at_once_is_one_that_nothing_is_amiss_with(
    app: Flask, database: Database, urls: Urls
) -> None:
    """Otherwise what is measured on it would be measured on something else."""
    steps: list[None] = []
    whole_log.grow(database, 2600, each=13, step=lambda: steps.append(None))
    assert len(steps) == whole_log.cohorts(2600, each=13)
    whole_log.queue(database, 3)
    verified = app.test_cli_runner().invoke(args=["ledger", "verify"])
    assert verified.exit_code == 0, verified.output
    assert " 3 pending, 2600 links" in verified.output
    hashed = took({"DATABASE_URL": urls.application}, "hash-entries")
    assert 0 < hashed.idle <= hashed.most


def test_a_run_measures_what_it_is_asked_for_and_keeps_the_rest(tmp_path: Path) -> None:
    kept = {"check": {"made": {"where": "elsewhere", "sizes": ""}}}
    (tmp_path / "results.json").write_text(json.dumps(kept))
    sizes = ["--database", "sqlite", "--rounds", "1", "--subjects", "20", "--entries", "40"]
    main(["--only", "audience", *sizes, "--out", str(tmp_path)])
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["check"] == kept["check"]
    assert found["audience"]["sqlite"]["rate_ratio"] > 0
    assert "subjects 20, entries 40, rounds 1 |" in (tmp_path / "results.md").read_text()


def test_the_page_shows_what_was_missed_in_bold() -> None:
    stored = {"ledger_entry": 600, "ledger_leaf": 120, "ledger_tile": 30}
    result = {
        **{name: [131.0] for name in ("web_rest", "worker_rest")},
        **{"web_ratio": 3, "worker_ratio": 3},
        "stored": {**stored, "entry_link": 160, "subject": 20},
    }
    made = {"where": "here", "sizes": ""}
    page = report.page({"resources": {"sqlite": result, "made": made}}, "")
    assert "| web process at rest | below 130 MB | **131 MB** | not measured |" in page
    assert len(TARGETS) < page.count("not measured")
