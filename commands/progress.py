"""How far a long run has come, on standard error."""

from __future__ import annotations

import sys
import time

import click

_WIDTH = 32


class Progress:
    """A bar that fills up: redrawn on a terminal, a line for each tenth elsewhere."""

    def __init__(self, total: int, what: str):
        self._total = max(total, 1)
        self._what = what
        self._done = 0
        self._began = time.monotonic()
        self._redrawn = sys.stderr.isatty()
        self._drawn = 0

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        # The total was counted at the beginning; what comes in meanwhile is not drawn.
        self._done = min(self._done + count, self._total)
        parts = 200 if self._redrawn else 10
        reached = self._done * parts // self._total
        if reached != self._drawn:
            self._drawn = reached
            self._draw()

    def _draw(self) -> None:
        filled = self._done * _WIDTH // self._total
        left = (time.monotonic() - self._began) * (self._total / self._done - 1)
        bar = f"{'#' * filled:.<{_WIDTH}} {self._done} of {self._total} {self._what}"
        began, ended = ("\r", "") if self._redrawn else ("", "\n")
        if self._done == self._total:
            left, ended = 0, "\n"
        click.echo(f"{began}{bar}, {left:.0f} s left {ended}", err=True, nl=False)
