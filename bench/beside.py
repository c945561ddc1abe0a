"""Servers that are measured beside the site: each in a process of its own, on its database."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from settings import ROOT

_START_SECONDS = 60


@contextmanager
def served(module: str, environment: Mapping[str, str]) -> Iterator[int]:
    """Run `python -m <module> <port>` until the block ends; its port."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = int(listening.getsockname()[1])
    server = subprocess.Popen(
        [sys.executable, "-m", module, str(port)], cwd=ROOT, env={**os.environ, **environment}
    )
    try:
        _wait(server, port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise SystemExit("a server to compare with did not start")
