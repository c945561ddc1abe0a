"""What must be reached, and what else a reader wants to know, taken out of the results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A number of one item's result, and how it is written."""

    item: str
    what: str
    of: Callable[[Result], float]
    written: str = "{:.2f}"


@dataclass(frozen=True)
class Target:
    """A figure that must reach something: at least `least`, at most `most`, or less than
    `below`. With `only` it is promised for one database."""

    figure: Figure
    least: float | None = None
    most: float | None = None
    below: float | None = None
    only: str | None = None

    @property
    def must(self) -> str:
        """What it must reach, in words."""
        if self.least is not None:
            return f"at least {self.figure.written.format(self.least)}"
        if self.most is not None:
            return f"at most {self.figure.written.format(self.most)}"
        return f"below {self.figure.written.format(self.below)}"

    def reached(self, value: float) -> bool:
        """Whether it does."""
        if self.least is not None:
            return value >= self.least
        if self.most is not None:
            return value <= self.most
        return self.below is not None and value < self.below


def _capture(clients: int, name: str) -> Callable[[Result], float]:
    return lambda result: float(result[str(clients)][name])


def _capture_targets(clients: int) -> list[Target]:
    who = f"capture, {clients} clients"
    rate = Figure(
        "capture", f"{who}: rate against a bare durable insert's", _capture(clients, "rate_ratio")
    )
    slow = Figure("capture", f"{who}: p99 against its p99", _capture(clients, "p99_ratio"))
    return [Target(rate, least=0.5), Target(slow, most=3.0)]


TARGETS = (
    *_capture_targets(4),
    *_capture_targets(16),
    Target(
        Figure(
            "capture",
            "capture, 16 clients: p99",
            lambda it: it["16"]["p99_median"] * 1000,
            "{:.0f} ms",
        ),
        below=150,
        only="sqlite",
    ),
    Target(
        Figure(
            "capture",
            "capture: rate with 16 clients against that with 4",
            lambda it: it["16"]["rate_median"] / it["4"]["rate_median"],
        ),
        least=1,
        only="postgresql",
    ),
    *(
        Target(
            Figure(
                "check",
                f"check over HTTP, {count} clients: rate against a bare select's",
                lambda it, count=count: it["http"][count]["rate_ratio"],  # type: ignore[misc]
            ),
            least=0.8,
        )
        for count in ("4", "16")
    ),
    Target(
        Figure(
            "check",
            "check in process: time against a bare select's",
            lambda it: it["in_process"]["ratio"],
        ),
        most=1.5,
    ),
    Target(
        Figure(
            "audience",
            "audience: rows a second against COPY, or a bare cursor",
            lambda it: it["rate_ratio"],
        ),
        least=0.5,
    ),
    Target(
        Figure("audience", "audience: memory beyond idle", lambda it: it["megabytes"], "{:.0f} MB"),
        below=100,
    ),
    Target(
        Figure(
            "sequencing",
            "sequencer: leaves a second against captures a second",
            lambda it: it["ratio"],
            "{:.0f}",
        ),
        least=5,
    ),
    Target(
        Figure(
            "verification",
            "verify, one process: rate against bare hashing's",
            lambda it: it["ratio"],
        ),
        least=0.3,
    ),
    Target(
        Figure("verification", "verify: two processes against one", lambda it: it["speedup"]),
        least=1.7,
    ),
    Target(
        Figure(
            "retention",
            "retention run: how much longer than usual the slowest sign-up beside it takes",
            lambda it: it["waited"] * 1000,
            "{:.0f} ms",
        ),
        most=250,
        only="postgresql",
    ),
    Target(
        Figure(
            "retention",
            "retention run: memory at the end against that at a tenth",
            lambda it: it["growth"],
        ),
        most=1.1,
    ),
    Target(
        Figure(
            "campaign",
            "newsletter: mails a second against a bare loop's",
            lambda it: it["rate_ratio"],
        ),
        least=0.5,
    ),
    Target(
        Figure(
            "campaign",
            "newsletter: the gate's share of the time",
            lambda it: it["gate_share"],
        ),
        below=0.2,
    ),
    Target(
        Figure(
            "campaign",
            "newsletter: memory at the end against that at a tenth",
            lambda it: it["growth"],
        ),
        most=1.1,
    ),
    Target(
        Figure(
            "events",
            "the section that asks visitors: bytes on the way",
            lambda it: it["section_bytes"],
            "{:.0f}",
        ),
        most=2048,
    ),
    Target(
        Figure("resources", "web process at rest", lambda it: median(it["web_rest"]), "{:.0f} MB"),
        below=130,
    ),
    Target(
        Figure("resources", "worker at rest", lambda it: median(it["worker_rest"]), "{:.0f} MB"),
        below=130,
    ),
)


def _stored(*tables: str) -> Callable[[Result], float]:
    return lambda result: float(sum(result["stored"][table] for table in tables))


FIGURES = (
    Figure(
        "sequencing",
        "captures a second with the worker beside, against without",
        lambda it: it["beside_ratio"],
    ),
    Figure(
        "sequencing",
        "entries that wait when a burst ends",
        lambda it: median(it["backlog"]),
        "{:.0f}",
    ),
    Figure(
        "sequencing",
        "until they are published",
        lambda it: median(it["published_after"]),
        "{:.2f} s",
    ),
    Figure("verification", "entries in the log", lambda it: it["entries"], "{:,.0f}"),
    Figure(
        "verification",
        "verify, one process: memory beyond idle",
        lambda it: it["memory"]["1"],
        "{:.0f} MB",
    ),
    Figure(
        "verification",
        "verify, two processes: all memory beyond idle",
        lambda it: it["memory"]["2"],
        "{:.0f} MB",
    ),
    Figure(
        "verification",
        "offline verifier: rate against hashing the receipts' files",
        lambda it: it["receipts_ratio"],
    ),
    Figure("verification", "offline verifier: memory", lambda it: it["receipts_peak"], "{:.0f} MB"),
    Figure(
        "audience", "subjects and entries", lambda it: it["subjects"] + it["entries"], "{:,.0f}"
    ),
    Figure(
        "retention", "retention run: people, one in ten due", lambda it: it["people"], "{:,.0f}"
    ),
    Figure(
        "retention",
        "retention run: people erased a second",
        lambda it: it["due"] / it["seconds"],
        "{:.0f}",
    ),
    Figure(
        "retention",
        "slowest sign-up beside it",
        lambda it: it["longest_beside"] * 1000,
        "{:.0f} ms",
    ),
    Figure(
        "retention",
        "slowest sign-up beside it against the slowest alone",
        lambda it: it["longest_beside"] / it["longest_alone"],
    ),
    Figure("campaign", "newsletter: mails a second", lambda it: it["rate"], "{:.0f}"),
    Figure(
        "campaign",
        "newsletter: from the click to the first mail",
        lambda it: it["click"] * 1000,
        "{:.0f} ms",
    ),
    Figure(
        "events",
        "a tip's page with the section, against without: time of the middle answer",
        lambda it: it["asked_ratio"],
    ),
    Figure(
        "events",
        "a tip's page that is counted, against one that is not: time of the middle answer",
        lambda it: it["counted_ratio"],
    ),
    Figure(
        "events",
        "pages a second that are counted, 4 clients",
        lambda it: median(it["counted"]["rate"]),
        "{:.0f}",
    ),
    Figure(
        "events",
        "an event recorded in process, against a bare durable insert",
        lambda it: it["event_ratio"],
    ),
    Figure(
        "resources",
        "web: time to start, against Python with the same libraries",
        lambda it: it["web_ratio"],
    ),
    Figure("resources", "worker: time to start, against the same", lambda it: it["worker_ratio"]),
    Figure("resources", "storage: the entry alone", _stored("ledger_entry"), "{:.0f} bytes"),
    Figure(
        "resources",
        "storage: its leaf and its part of the tiles",
        _stored("ledger_leaf", "ledger_tile"),
        "{:.0f} bytes",
    ),
    Figure(
        "resources",
        "storage: its link, and a tenth of its subject",
        _stored("entry_link", "subject"),
        "{:.0f} bytes",
    ),
)
