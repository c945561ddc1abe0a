"""Whether the time of an answer tells that an address is known (requirement 64)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench import crowd
from bench.site import Site
from bench.visitor import Visitor

WARM_UP = 8
_PASSWORD = "graut med smør og kanel"  # noqa: S105 - opens nothing


@dataclass(frozen=True)
class Flow:
    """A form that takes an address, how it is filled in beside it, and its right answer."""

    path: str
    filled: dict[str, str]
    status: int


REGISTRATION = {
    "name": "Ingrid Haugland-Testesen",
    "password": _PASSWORD,
    "age": "15",
    "terms": "y",
    "consent-marketing": "y",
}
FLOWS = (
    Flow("/register", REGISTRATION, 303),
    Flow("/login", {"password": _PASSWORD}, 422),
    Flow("/password/forgotten", {}, 303),
    Flow("/requests/new", {"kind": "access"}, 303),
)
Times = dict[str, list[float]]


def measure(site: Site, flow: Flow, tries: int, step: Callable[[], None]) -> Times:
    """The seconds of `tries` answers to each group, first come first. `step` is called after
    each answer that counts."""
    people = crowd.gather(site, tries + WARM_UP)
    visitor = Visitor(site.port)

    def one(group: str, number: int) -> float:
        return visitor.timed(
            flow.path, {**flow.filled, "email": people[group][number]}, flow.status
        )

    try:
        for number in range(tries, tries + WARM_UP):
            for group in crowd.GROUPS:
                one(group, number)
        times: Times = {group: [] for group in crowd.GROUPS}
        for number, group in _order(tries):
            times[group].append(one(group, number))
            step()
    finally:
        visitor.close()
    return times


def _order(tries: int) -> Iterator[tuple[int, str]]:
    """Every group once a round, in a new order each other round and mirrored in between
    (ABBA): what drifts during the run meets all groups alike."""
    chance = random.Random(1)
    groups = list(crowd.GROUPS)
    for number in range(tries):
        if number % 2:
            groups.reverse()
        else:
            chance.shuffle(groups)
        yield from ((number, group) for group in groups)
