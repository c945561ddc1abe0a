"""The worker as a child of `flask serve`: python -m commands.beside."""

from __future__ import annotations

import os
import signal
import sys
import threading

from flask.cli import cli


def _end_with_the_server() -> None:
    """The server holds the other end of this pipe, so it closes however the server ends."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_server, name="lifeline", daemon=True).start()
    cli.main(args=["--app", "app", "worker"], prog_name="flask")
