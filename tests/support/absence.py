"""What to do when a machine lacks something that tests need."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


class Absent(Exception):
    """Something outside the tests is not here. The message says what and how to get it."""


def strict() -> bool:
    """Whether a missing browser or database fails the run: there must be nothing unsaid in CI."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def do_without(reason: object) -> NoReturn:
    """Skip the test, loudly; fail it where nothing may be missing."""
    if strict():
        pytest.fail(f"CI=true and {reason}", pytrace=False)
    pytest.skip(str(reason))
