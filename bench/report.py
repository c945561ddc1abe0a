"""The results as a page: ratios wherever there can be one, since seconds belong to one machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bench import crowd
from bench.answers import Times
from bench.site import BACKENDS
from bench.statistics import RESAMPLES, Difference, difference
from bench.targets import FIGURES, TARGETS, Figure

# By item, and then by database; `made` says when and how.
Results = Mapping[str, Mapping[str, Any]]

LIMIT = 0.05
_ABOUT = """# Measurements

Made by `make bench`; the single numbers of a run are in `results.json`, which is not kept in git.
What is compared was measured in one run, in turns, on one machine; every number is a median over
the rounds. Seconds and megabytes are of that machine.

## What must be reached

Bold where it is missed. Capture is the whole POST of the preferences page; what it is measured
against is a view of Flask and SQLAlchemy that inserts one row, on the same server and the same
database, which waits for its disk. How each item is measured stands in `bench/<item>.py`.

"""
_BESIDES = """
## What else was measured

"""
_ANSWERS = """
## Does the time of an answer tell that an address is known?

How far the median time of an answer for a known address is from that for an unknown one, as a
part of the latter, with the 95 % interval of a bootstrap ({resamples} resamples). The promise is
less than {limit:.0%} either way. *Never confirmed* is an account whose address nobody has
confirmed. The control compares two groups of known addresses: its distance from 0 is noise.

{tries} tries for each group and form, over HTTP on one open connection, the groups taking turns
in mirrored order (ABBA), each try with its own address, network and freshly fetched form. The
site runs as in production (`flask serve`, Argon2id at full strength) in a process of its own;
PostgreSQL does not wait for its disk here, so that nothing hides a difference.

"""
_COLUMNS = (
    "Database",
    "Form",
    "Known against unknown",
    "Never confirmed against unknown",
    "Control: known against known",
)


def page(results: Results, notes: str) -> str:
    """The page in Markdown. `notes` are written by hand: why something is as it is."""
    parts = [_ABOUT, _table(("Item", "Must reach", *BACKENDS), _targets(results))]
    if notes:
        parts += ["\n", notes]
    parts += [_BESIDES, _table(("Item", *BACKENDS), _figures(results))]
    if "answers" in results:
        parts += [_answers(results["answers"])]
    return "".join([*parts, "\n## When\n\n", _table(("Item", "Run"), _runs(results))])


def made(**sizes: object) -> dict[str, str]:
    """When and where a run is made, and how large it is."""
    load = os.getloadavg()[0]
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors, load {load:.1f} before, "
        f"Python {platform.python_version()}"
    )
    chosen = ", ".join(f"{name} {value}" for name, value in sizes.items() if value is not None)
    return {"where": where, "sizes": chosen}


def _targets(results: Results) -> Iterator[Sequence[str]]:
    for target in TARGETS:
        cells = []
        for backend in BACKENDS:
            value = _value(results, target.figure, backend)
            if value is None or target.only not in (None, backend):
                cells.append("" if target.only not in (None, backend) else "not measured")
                continue
            text = target.figure.written.format(value)
            cells.append(text if target.reached(value) else f"**{text}**")
        yield (target.figure.what, target.must, *cells)


def _figures(results: Results) -> Iterator[Sequence[str]]:
    for figure in FIGURES:
        values = [_value(results, figure, backend) for backend in BACKENDS]
        yield (
            figure.what,
            *("not measured" if one is None else figure.written.format(one) for one in values),
        )


def _value(results: Results, figure: Figure, backend: str) -> float | None:
    found = results.get(figure.item, {}).get(backend)
    return None if found is None else figure.of(found)


def _runs(results: Results) -> Iterator[Sequence[str]]:
    for item, found in results.items():
        said = found["made"]
        yield (item, f"{said['where']}; {said['sizes']}" if said["sizes"] else said["where"])


def _answers(found: Mapping[str, Any]) -> str:
    measured: dict[str, Mapping[str, Times]] = {
        backend: found[backend] for backend in BACKENDS if backend in found
    }
    tries = max(
        (len(times[crowd.KNOWN]) for forms in measured.values() for times in forms.values()),
        default=0,
    )
    about = _ANSWERS.format(resamples=RESAMPLES, limit=LIMIT, tries=tries)
    return about + _table(_COLUMNS, _forms(measured))


def _forms(results: Mapping[str, Mapping[str, Times]]) -> Iterator[Sequence[str]]:
    for backend, forms in results.items():
        for path, times in forms.items():
            known = difference(times[crowd.KNOWN], times[crowd.UNKNOWN])
            unconfirmed = difference(times[crowd.UNCONFIRMED], times[crowd.UNKNOWN])
            control = difference(times[crowd.AGAIN], times[crowd.KNOWN])
            yield (backend, f"`POST {path}`", *map(_cell, (known, unconfirmed, control)))


def _cell(found: Difference) -> str:
    """The number, bold where it breaks the promise."""
    value = f"{found.value:+.1%}"
    marked = f"**{value}**" if abs(found.value) >= LIMIT else value
    return f"{marked} ({found.low:+.1%} to {found.high:+.1%})"


def _table(headings: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
