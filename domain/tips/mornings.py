"""When each thing of the morning has to begin, counted back from the door: the tool `morning`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum

MOST_MINUTES = 90


class Step(StrEnum):
    """What a morning is made of, in the order of most homes."""

    WAKE = "wake"
    BREAKFAST = "breakfast"
    WASH = "wash"
    DRESS = "dress"
    PACK = "pack"
    OUTDOORS = "outdoors"
    SPARE = "spare"


# What it takes with small children, and what the form begins with.
USUAL: Mapping[Step, int] = {
    Step.WAKE: 15,
    Step.BREAKFAST: 20,
    Step.WASH: 10,
    Step.DRESS: 15,
    Step.PACK: 5,
    Step.OUTDOORS: 15,
    Step.SPARE: 10,
}


@dataclass(frozen=True)
class Line:
    """A step, and when it begins."""

    at: time
    step: Step
    minutes: int


def plan(leave: time, minutes: Mapping[Step, int]) -> list[Line]:
    """The morning that ends with the door closing at `leave`; a step of no minutes is left out."""
    # The day does not matter: clocks are changed at night, before anybody has to be anywhere.
    ends = datetime.combine(date(2000, 1, 2), leave)
    lines = []
    for step in reversed(Step):
        takes = minutes.get(step, 0)
        if takes > 0:
            ends -= timedelta(minutes=takes)
            lines.append(Line(ends.time(), step, takes))
    return lines[::-1]
