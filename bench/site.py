"""The site as it runs in production, in a process of its own, on a fresh database."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO

from database import Database
from domain.consent import notices, purposes
from domain.ledger.notes import SignerKey
from letters import mail_domain
from settings import ROOT, Settings
from tests.support import cluster
from tests.support.databases import PostgresTemplate, SqliteTemplate, Template, Urls

BACKENDS = ("sqlite", "postgresql")
_START_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """A site that is being served, its database as the site may use it, and the environment that
    another process of the site starts with."""

    port: int
    settings: Settings
    database: Database
    environment: Mapping[str, str]


@contextmanager
def serving(backend: str, *, durable: bool = False) -> Iterator[Site]:
    """Serve the site until the block ends. No worker runs beside it: what it does is not part
    of any answer. With `durable` PostgreSQL waits for its disk, as SQLite always does."""
    with tempfile.TemporaryDirectory(prefix="samtykke-bench-") as directory:
        with databases(backend, Path(directory), durable=durable) as urls:
            with _served(_environment(urls, Path(directory))) as site:
                yield site


@contextmanager
def databases(backend: str, directory: Path, *, durable: bool) -> Iterator[Urls]:
    """A fresh, migrated database, brought up for the block alone."""
    run = cluster.new_run(durable=True)
    try:
        template = _template(backend, run, durable=durable)
        urls = template.copy(directory)
        yield urls
        template.drop(urls)
        template.close()
    finally:
        cluster.end_run(run)


def _template(backend: str, run: Path, *, durable: bool) -> Template:
    if backend == "sqlite":
        directory = run / "template"
        directory.mkdir()
        return SqliteTemplate(directory)
    return PostgresTemplate(cluster.admin_url(run, durable=durable))


def _environment(urls: Urls, directory: Path) -> dict[str, str]:
    """Production's settings, password hashing at full strength among them; one proxy is
    believed, so that each try can come from a place of its own."""
    port = free_port()
    return {
        "SAMTYKKE_ENV": "production",
        "BASE_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "DATABASE_URL": urls.application,
        "DATABASE_OWNER_URL": urls.owner,
        "MAIL_URL": f"folder:{directory / 'mail'}",
        "MAIL_FROM": "Lillemini <hei@lillemini.example>",
        "INSTANCE_PATH": str(directory),
        "TRUSTED_PROXIES": "1",
        "SIGNING_KEY": secrets.token_urlsafe(),
        "LOOKUP_KEY": _key(),
        "KEY_ENCRYPTION_KEYS": f"1:{_key()}",
        "LOG_KEYS": SignerKey.make("bench.example/consent").encode(),
    }


@contextmanager
def _served(environment: Mapping[str, str]) -> Iterator[Site]:
    settings = Settings.from_environment(environment)
    info = {
        "keyring": settings.keys,
        "log": settings.log,
        "purposes": purposes.load(settings.content, marketing_age=settings.marketing_age),
        "mail_domain": mail_domain(settings),
    }
    database = Database(settings.database_url, info=info)
    with database.transaction() as session:
        notices.publish(session, settings.content, at=datetime.now(UTC))
    port = int(environment["PORT"])
    logged = Path(environment["INSTANCE_PATH"], "log")
    with logged.open("wb") as log:
        server = started(environment, "serve", "--no-worker", logged=log)
    try:
        wait(server, port)
        yield Site(port, settings, database, environment)
    except OSError as error:
        said = logged.read_text("utf-8")[-2000:]
        raise SystemExit(f"the site hung up (exit status {server.poll()}): {said}") from error
    finally:
        server.terminate()
        server.wait()
        database.close()


def started(
    environment: Mapping[str, str], *command: str, logged: IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """`flask <command>` in a process of its own; what it logs goes to `logged`."""
    return subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=logged,
    )


def wait(server: subprocess.Popen[bytes], port: int) -> None:
    """Until the site is ready on this port. Raises ConnectionError."""
    until = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.02)
    raise ConnectionError("the site did not start")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
