"""What `make bench` can measure, and what each item does with the sizes that were asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench import (
    answers,
    audience,
    campaign,
    capture,
    check,
    crowd,
    events,
    resources,
    retention,
    sequencing,
    verification,
)
from bench.site import serving

Step = Callable[[], None]
_EACH = 10


@dataclass(frozen=True)
class Sizes:
    """What was asked for; None where the item decides."""

    rounds: int = 5
    tries: int = 100
    requests: int | None = None
    subjects: int | None = None
    entries: int | None = None

    def audience(self) -> tuple[int, int]:
        """People, and entries about them."""
        subjects = self.subjects or (self.entries or 500_000) // _EACH
        return subjects, self.entries or subjects * _EACH

    def people(self) -> int:
        """Customers of a site that retention runs on."""
        return self.subjects or 2000

    def mailed(self) -> int:
        """People whom a newsletter goes to."""
        return self.subjects or 5000

    def load(self, default: int) -> int:
        """Requests in a round."""
        return self.requests or default

    def log(self, default: int) -> int:
        """Entries in a log."""
        return self.entries or default


@dataclass(frozen=True)
class Item:
    """`steps` is how often `measure` calls its step for one database; `sizes` is what the page
    says of a run."""

    measure: Callable[[str, Sizes, Step], dict[str, Any]]
    steps: Callable[[Sizes], int]
    sizes: Callable[[Sizes], Mapping[str, object]] = lambda sizes: {"rounds": sizes.rounds}


def _answers(backend: str, sizes: Sizes, step: Step) -> dict[str, Any]:
    with serving(backend) as site:
        return {flow.path: answers.measure(site, flow, sizes.tries, step) for flow in answers.FLOWS}


def _audience(backend: str, sizes: Sizes, step: Step) -> dict[str, Any]:
    subjects, entries = sizes.audience()
    return audience.measure(
        backend, subjects=subjects, entries=entries, rounds=sizes.rounds, step=step
    )


_LOG = 200_000
_STORED = 50_000

ITEMS: Mapping[str, Item] = {
    "capture": Item(
        lambda backend, sizes, step: capture.measure(
            backend, rounds=sizes.rounds, requests=sizes.load(600), step=step
        ),
        lambda sizes: sizes.rounds * len(capture.CLIENTS),
    ),
    "check": Item(
        lambda backend, sizes, step: check.measure(
            backend, rounds=sizes.rounds, requests=sizes.load(1000), step=step
        ),
        lambda sizes: sizes.rounds * (1 + len(check.CLIENTS)),
    ),
    "audience": Item(
        _audience,
        lambda sizes: sizes.rounds,
        lambda sizes: (
            dict(zip(("subjects", "entries"), sizes.audience(), strict=True))
            | {"rounds": sizes.rounds}
        ),
    ),
    "sequencing": Item(
        lambda backend, sizes, step: sequencing.measure(
            backend, rounds=sizes.rounds, requests=sizes.load(600), step=step
        ),
        lambda sizes: sequencing.steps(sizes.rounds),
    ),
    "verification": Item(
        lambda backend, sizes, step: verification.measure(
            backend, rounds=sizes.rounds, entries=sizes.log(_LOG), step=step
        ),
        lambda sizes: verification.steps(sizes.log(_LOG), sizes.rounds),
        lambda sizes: {"entries": sizes.log(_LOG), "rounds": sizes.rounds},
    ),
    "resources": Item(
        lambda backend, sizes, step: resources.measure(
            backend, rounds=sizes.rounds, entries=min(sizes.log(_STORED), _STORED), step=step
        ),
        lambda sizes: resources.steps(min(sizes.log(_STORED), _STORED), sizes.rounds),
        lambda sizes: {"entries": min(sizes.log(_STORED), _STORED), "rounds": sizes.rounds},
    ),
    "retention": Item(
        lambda backend, sizes, step: retention.measure(backend, people=sizes.people(), step=step),
        lambda sizes: retention.steps(sizes.people()),
        lambda sizes: {"people": sizes.people(), "due": sizes.people() // retention.ONE_IN},
    ),
    "events": Item(
        lambda backend, sizes, step: events.measure(
            backend, rounds=sizes.rounds, requests=sizes.load(600), step=step
        ),
        lambda sizes: events.steps(sizes.rounds),
    ),
    "campaign": Item(
        lambda backend, sizes, step: campaign.measure(backend, people=sizes.mailed(), step=step),
        lambda sizes: campaign.steps(sizes.mailed()),
        lambda sizes: {"people": sizes.mailed()},
    ),
    "answers": Item(
        _answers,
        lambda sizes: len(answers.FLOWS) * len(crowd.GROUPS) * sizes.tries,
        lambda sizes: {"tries": sizes.tries},
    ),
}
