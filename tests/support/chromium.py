"""Find the browser for the browser tests; run as a program, get it first if that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests.support.absence import Absent, strict

FLAGS = (
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
_PLACES = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")


def find() -> str:
    """The path of a Chromium; raise Absent where there is none."""
    chosen = os.environ.get("CHROMIUM")
    if chosen:
        if os.access(chosen, os.X_OK):
            return chosen
        raise Absent(f"CHROMIUM is {chosen}, and that is no program")
    for place in _PLACES:
        if os.access(place, os.X_OK):
            return place
    raise Absent("there is no Chromium: install it, or set CHROMIUM to its path")


def install() -> None:
    """Get Chromium from the distribution; raise Absent where that is not for us to do."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Absent("there is no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        command = ["apt-get", "-qq", *arguments]
        if subprocess.run(command, env=environment, check=False).returncode:
            raise Absent(f"there is no Chromium, and `{' '.join(command)}` failed")


def main() -> int:
    """Make sure that there is a browser; say loudly when browser tests will be skipped."""
    try:
        find()
    except Absent as absent:
        reason = absent
    else:
        return 0
    try:
        if not os.environ.get("CHROMIUM"):
            install()
            find()
            return 0
    except Absent as absent:
        reason = absent
    sys.stderr.write(f"\n*** NO BROWSER TESTS: {reason} ***\n\n")
    return 1 if strict() else 0


if __name__ == "__main__":
    raise SystemExit(main())
