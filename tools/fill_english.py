"""Fill the English catalogue with its own msgids: the words in the code are English."""

from __future__ import annotations

import sys
from pathlib import Path

from babel.messages.pofile import read_po, write_po


def fill(path: Path) -> None:
    """Give every message of the catalogue itself as its translation."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale="en")
    for message in catalogue:
        if message.id:
            message.string = message.id
    with path.open("wb") as file:
        write_po(file, catalogue, width=100, sort_output=True, ignore_obsolete=True)


if __name__ == "__main__":
    fill(Path(sys.argv[1]))
