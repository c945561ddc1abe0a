"""`flask serve`: the site and the worker that delivers for it, started and ended together."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import click
from flask import Flask, current_app
from flask.cli import with_appcontext
from waitress.server import create_server

from commands import starting
from domain.consent.errors import ConsentError
from extensions import settings

LARGEST_REQUEST = 512 * 1024
_THREADS = 8
_GRACE_SECONDS = 10


@click.command("serve")
@click.option("--host", default="127.0.0.1", help="The address to listen on.")
@click.option("--port", default=5000, envvar="PORT", help="The port; also PORT.")
@click.option("--worker/--no-worker", "beside", default=True, help="Run the worker beside it.")
@with_appcontext
def serve(host: str, port: int, beside: bool) -> None:
    """Serve the site and run the worker. Ctrl-C ends both; so does the end of either."""
    # It would write a line for each request that waits for a thread, which is what they do.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    if beside:
        starting.check_signs(settings(), "serve without it (--no-worker), and run")
    try:
        starting.check(app)
    except (starting.NotReady, ConsentError) as error:
        raise click.ClickException(str(error)) from error
    try:
        server = create_server(
            app,
            host=host,
            port=port,
            threads=_THREADS,
            ident=None,
            # What a visitor sends is kept until it is all there, before the application can
            # refuse it: twice what the largest form may be (forms with a file: 256 KiB).
            max_request_body_size=LARGEST_REQUEST,
            # The application itself believes as many proxies as it was told to.
            clear_untrusted_proxy_headers=settings().trusted_proxies == 0,
        )
    except OSError as error:
        raise click.ClickException(
            f"cannot listen on {host}:{port} ({error.strerror}); choose another with PORT=8080"
        ) from error
    click.echo(f"The site:  {settings().base_url}/")
    if settings().development:
        click.echo(f"Its mail:  {settings().base_url}/dev/mail")
        click.echo("Stop both with Ctrl-C.")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    if beside:
        with _worker() as worker:
            server.run()
        if worker.ended:
            raise click.ClickException("the worker ended, so the site ended with it")
    else:
        server.run()


class _Worker:
    """The child process that delivers. `ended` when it did so of itself."""

    def __init__(self) -> None:
        # A session of its own: Ctrl-C reaches the server, which then stops the worker.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "commands.beside"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        self._stopping = False
        self.ended = False
        threading.Thread(target=self._watch, name="worker-watch", daemon=True).start()

    def stop(self) -> None:
        """Let it finish what it is delivering, but not for ever."""
        self._stopping = True
        self._process.terminate()
        try:
            self._process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def _watch(self) -> None:
        self._process.wait()
        if not self._stopping:
            self.ended = True
            os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _worker() -> Iterator[_Worker]:
    worker = _Worker()
    try:
        yield worker
    finally:
        worker.stop()


def _stop(signal_number: int, frame: object) -> None:
    raise SystemExit(0)  # waitress ends its threads on this, and `serve` its worker
