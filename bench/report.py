"""The results as a page: ratios only, since seconds belong to one machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from bench import crowd
from bench.answers import Times
from bench.statistics import RESAMPLES, Difference, difference

LIMIT = 0.05
_HEADINGS = (
    "Database",
    "Form",
    "Known against unknown",
    "Never confirmed against unknown",
    "Control: known against known",
)
_ABOUT = """# Measurements

Made by `make bench`; the single times of a run are in `results.json`, which is not kept.
Every number is a ratio of times from one run on one machine.

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


def page(results: Mapping[str, Mapping[str, Times]], tries: int) -> str:
    """The page in Markdown; `results` by database, form and group."""
    about = _ABOUT.format(resamples=RESAMPLES, limit=LIMIT, tries=tries)
    return about + "\n".join([_row(_HEADINGS), _row(["---"] * 5), *_rows(results), "", _where()])


def _rows(results: Mapping[str, Mapping[str, Times]]) -> Iterator[str]:
    for backend, forms in results.items():
        for path, times in forms.items():
            known = difference(times[crowd.KNOWN], times[crowd.UNKNOWN])
            unconfirmed = difference(times[crowd.UNCONFIRMED], times[crowd.UNKNOWN])
            control = difference(times[crowd.AGAIN], times[crowd.KNOWN])
            cells = (_cell(known), _cell(unconfirmed), _cell(control))
            yield _row([backend, f"`POST {path}`", *cells])


def _cell(found: Difference) -> str:
    """The number, bold where it breaks the promise."""
    value = f"{found.value:+.1%}"
    marked = f"**{value}**" if abs(found.value) >= LIMIT else value
    return f"{marked} ({found.low:+.1%} to {found.high:+.1%})"


def _row(cells: tuple[str, ...] | list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _where() -> str:
    load = os.getloadavg()[0]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} processors, load {load:.1f}, Python {platform.python_version()}.\n"
    )
