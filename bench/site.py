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

from database import Database
from domain.consent import notices, purposes
from letters import mail_domain
from settings import ROOT, Settings
from tests.support import cluster
from tests.support.databases import PostgresTemplate, SqliteTemplate, Template

BACKENDS = ("sqlite", "postgresql")
_START_SECONDS = 60


@dataclass(frozen=True)
class Site:
    """A site that is being served, and its database as the site may use it."""

    port: int
    settings: Settings
    database: Database


@contextmanager
def serving(backend: str) -> Iterator[Site]:
    """Serve the site until the block ends. No worker runs beside it: what it does is not part
    of any answer."""
    run = cluster.new_run()
    try:
        template = _template(backend, run)
        with tempfile.TemporaryDirectory(prefix="samtykke-bench-") as directory:
            urls = template.copy(Path(directory))
            with _served(_environment(urls.application, Path(directory))) as site:
                yield site
            template.drop(urls)
        template.close()
    finally:
        cluster.end_run(run)


def _template(backend: str, run: Path) -> Template:
    if backend == "sqlite":
        directory = run / "template"
        directory.mkdir()
        return SqliteTemplate(directory)
    return PostgresTemplate(cluster.admin_url(run))


def _environment(database_url: str, directory: Path) -> dict[str, str]:
    """Production's settings, password hashing at full strength among them; one proxy is
    believed, so that each try can come from a place of its own."""
    port = _free_port()
    return {
        "SAMTYKKE_ENV": "production",
        "BASE_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "DATABASE_URL": database_url,
        "MAIL_URL": f"folder:{directory / 'mail'}",
        "MAIL_FROM": "Lillemini <hei@lillemini.example>",
        "INSTANCE_PATH": str(directory),
        "TRUSTED_PROXIES": "1",
        "SIGNING_KEY": secrets.token_urlsafe(),
        "LOOKUP_KEY": _key(),
        "KEY_ENCRYPTION_KEYS": f"1:{_key()}",
    }


@contextmanager
def _served(environment: Mapping[str, str]) -> Iterator[Site]:
    settings = Settings.from_environment(environment)
    info = {
        "keyring": settings.keys,
        "purposes": purposes.load(settings.content, marketing_age=settings.marketing_age),
        "mail_domain": mail_domain(settings),
    }
    database = Database(settings.database_url, info=info)
    with database.transaction() as session:
        notices.publish(session, settings.content, at=datetime.now(UTC))
    port = int(environment["PORT"])
    server = subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "serve", "--no-worker"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait(server, port)
        yield Site(port, settings, database)
    except OSError as error:
        raise SystemExit(f"the site hung up (exit status {server.poll()})") from error
    finally:
        server.terminate()
        server.wait()
        database.close()


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while server.poll() is None and time.monotonic() < until:
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("the site did not start")


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
