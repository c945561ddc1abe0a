"""How far a long run has come, on standard error."""

from __future__ import annotations

import sys
import time

_WIDTH = 32


class Progress:
    """A bar that fills up: redrawn on a terminal, a line for each tenth elsewhere."""

    def __init__(self, total: int, what: str = ""):
        self._what = f"{what:13}" if what else ""
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._redrawn = sys.stderr.isatty()
        self._drawn = 0

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        parts = 1000 if self._redrawn else 10
        reached = self._done * parts // self._total
        if reached != self._drawn:
            self._drawn = reached
            self._draw()

    def _draw(self) -> None:
        filled = self._done * _WIDTH // self._total
        left = (time.monotonic() - self._began) * (self._total / self._done - 1)
        bar = (
            f"{self._what}{'#' * filled:.<{_WIDTH}} {self._done}/{self._total}, {left:.0f} s left "
        )
        began, ended = ("\r", "") if self._redrawn else ("", "\n")
        if self._done == self._total:
            ended = "\n"
        print(f"{began}{bar}", end=ended, file=sys.stderr, flush=True)
