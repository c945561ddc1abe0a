"""How far apart two groups of times are, and how sure that is."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

RESAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """The difference of two medians as a part of the second, with its 95 % interval."""

    value: float
    low: float
    high: float


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """Compare `one` with `other`; the interval is the bootstrap's, by percentiles.

    The same times give the same interval: the resampling has a fixed seed.
    """
    chance = random.Random(1)
    resampled = sorted(
        _apart(chance.choices(one, k=len(one)), chance.choices(other, k=len(other)))
        for _ in range(RESAMPLES)
    )
    edge = RESAMPLES // 40
    return Difference(_apart(one, other), resampled[edge], resampled[-edge - 1])


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return median(one) / median(other) - 1
