"""A pytest plugin: print each requirement with the tests that hold it, and run nothing.

python -m pytest --collect-only -p tools.promises
"""

from __future__ import annotations

from collections import defaultdict

import pytest

REQUIREMENTS = 90


def pytest_collection_finish(session: pytest.Session) -> None:
    """Print the table, and how many requirements no test holds yet."""
    held: dict[int, dict[str, None]] = defaultdict(dict)
    for item in session.items:
        for marker in item.iter_markers("requirement"):
            for number in marker.args:
                held[number].setdefault(item.nodeid.partition("[")[0])
    for number in range(1, REQUIREMENTS + 1):
        print(f"{number:>3}  " + "\n     ".join(held.get(number, {"-": None})))
    print(f"\n{len(held)} of {REQUIREMENTS} requirements are held by a test.")
