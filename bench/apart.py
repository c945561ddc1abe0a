"""Work that is measured in a process of its own: how long it takes, and the most memory it needs.

The clock starts when everything is imported and made, and memory counts from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from database import Database
from settings import ROOT

_STAT = Path("/proc")
_AT_ONCE = 2000
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Took:
    """Seconds; megabytes at the start, and at the most, of the process with all its children."""

    seconds: float
    idle: float
    most: float


def took(environment: Mapping[str, str], *arguments: str) -> Took:
    """Do one of `JOBS` in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.apart", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{arguments[0]}: {done.stderr.decode()[-2000:]}")
    return Took(**json.loads(done.stdout.splitlines()[-1]))


def resident(pid: int) -> float:
    """Megabytes that a process and all its children hold in memory now."""
    total = 0.0
    for one in _family(pid):
        with suppress(OSError, IndexError):
            pages = int((_STAT / str(one) / "statm").read_text().split()[1])
            total += pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return total


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for task in (_STAT / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


class _Watch:
    """Looks at the memory all the time."""

    def __init__(self) -> None:
        self.idle = self.most = resident(os.getpid())
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.most = max(self.most, resident(os.getpid()))


def _hash_entries() -> Callable[[], object]:
    """Read the bytes of every entry, as fast as the driver gives them, and hash them."""
    database = Database(os.environ["DATABASE_URL"])

    def read() -> None:
        with database.reading() as session:
            driver: Any = session.connection().connection.driver_connection
            for content in _contents(driver, session.get_bind().dialect.name):
                hashlib.sha256(b"\x00" + content).digest()

    return read


def _contents(driver: Any, dialect: str) -> Iterator[bytes]:
    if dialect == "sqlite":
        cursor = driver.execute("SELECT bytes FROM ledger_entry")
        while rows := cursor.fetchmany(_AT_ONCE):
            yield from (row[0] for row in rows)
        return
    with driver.cursor() as cursor:
        query = "COPY (SELECT bytes FROM ledger_entry) TO STDOUT (FORMAT BINARY)"
        with cursor.copy(query) as copy:
            copy.set_types(["bytea"])
            yield from (row[0] for row in copy.rows())


def _verify(processes: str) -> Callable[[], object]:
    """`flask ledger verify`."""
    from app import create_app

    runner = create_app().test_cli_runner()

    def verify() -> None:
        done = runner.invoke(args=["ledger", "verify", "--processes", processes])
        if done.exit_code:
            raise SystemExit(done.output)

    return verify


def _verify_receipts(folder: str, key: str) -> Callable[[], object]:
    """`python -m domain.ledger.verify` for all receipts of a folder."""
    from domain.ledger import verify

    def receipts() -> None:
        if verify.main([folder, "--key", key]):
            raise SystemExit("a receipt was not verified")

    return receipts


def _hash_files(folder: str) -> Callable[[], object]:
    """Read and hash the same files."""

    def files() -> None:
        for path in sorted(Path(folder).iterdir()):
            hashlib.sha256(path.read_bytes()).digest()

    return files


JOBS: Mapping[str, Callable[..., Callable[[], object]]] = {
    "hash-entries": _hash_entries,
    "verify": _verify,
    "hash-files": _hash_files,
    "verify-receipts": _verify_receipts,
}


def main(arguments: Sequence[str]) -> None:
    """Do the job that is named, and print how long it took and what it needed."""
    job = JOBS[arguments[0]](*arguments[1:])
    output = os.dup(1)
    with open(os.devnull, "w") as nowhere:  # what it prints is not what is read here
        os.dup2(nowhere.fileno(), 1)
    watch = _Watch()
    began = time.perf_counter()
    try:
        job()
    finally:
        seconds = time.perf_counter() - began
        watch.stop()
    os.write(output, json.dumps(asdict(Took(seconds, watch.idle, watch.most))).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])
