"""Make the virtual environment and install one requirements file into it.

Called by the Makefile with the system's python3, so it needs the standard library only. A lock
lets `make run` and `make test` be started at once in a fresh clone.
"""

from __future__ import annotations

import fcntl
import importlib.util
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 11)
# Nothing is built here, but what is offered as source only: dkimpy, which is plain Python.
_BUILT = "dkimpy"
_PIP = (
    *("--quiet", "--disable-pip-version-check", "--require-hashes"),
    *("--only-binary", ":all:", "--no-binary", _BUILT),
)


def main(requirements: Path, stamp: Path) -> None:
    """Bring `stamp`'s environment to what `requirements` says, then touch the stamp."""
    if sys.version_info < OLDEST:
        sys.exit("Samtykke needs Python 3.11 or later; say which one with: make PYTHON=python3.11")
    environment = stamp.parent
    environment.mkdir(exist_ok=True)
    with (environment / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_bytes() == requirements.read_bytes():
            stamp.touch()  # somebody else was quicker
            return
        python = environment / "bin" / "python"
        if not (environment / ".made").exists():
            _make(environment)
        print(f"Installing {requirements} into {environment}/", flush=True)
        _run(python, "-m", "pip", "install", *_PIP, "--requirement", requirements)
        stamp.write_bytes(requirements.read_bytes())


def _make(environment: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit("This Python cannot make virtual environments: apt-get install python3-venv")
    _run(sys.executable, "-m", "venv", environment)
    (environment / ".made").touch()


def _run(*command: str | Path) -> None:
    code = subprocess.run(command, check=False).returncode
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
