"""A worker in a process of its own that is made to be killed, and the mail server it talks to."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from email import message_from_bytes
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from settings import Settings

_STOP_SECONDS = 30


@dataclass
class Mailbox:
    """Everybody's mailbox: when each newsletter was taken, by whose it is. `pause` is how long the
    server thinks about each."""

    pause: float = 0.0
    newsletters: list[tuple[float, str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Keep it."""
        await asyncio.sleep(self.pause)
        content = envelope.content
        assert isinstance(content, bytes)
        if message_from_bytes(content)["List-Unsubscribe"]:
            (recipient,) = envelope.rcpt_tos
            self.newsletters.append((time.monotonic(), recipient))
        return "250 2.0.0 taken"


@contextmanager
def listening(mailbox: Mailbox) -> Iterator[str]:
    """A real SMTP server for it; the MAIL_URL of the site."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(mailbox, hostname="127.0.0.1", port=port)
    server.start()
    try:
        yield f"smtp://127.0.0.1:{port}?tls=none"
    finally:
        server.stop()


@dataclass
class Worker:
    """`flask worker`. Who is killed is believed to live for two seconds, not for minutes."""

    settings: Settings
    process: BaseProcess | None = None

    def start(self) -> None:
        """Start it."""
        self.process = get_context("spawn").Process(target=_work, args=(self.settings,))
        self.process.start()

    def kill(self) -> None:
        """Kill it at whatever line it is (SIGKILL)."""
        assert self.process is not None
        assert self.process.is_alive(), "it had ended by itself"
        self.process.kill()
        self.process.join()

    def stop(self) -> None:
        """Let it finish the mail in hand (SIGTERM)."""
        if self.process is not None and self.process.is_alive():
            self.process.terminate()
            self.process.join(_STOP_SECONDS)
            self.process.kill()
            self.process.join()


def _work(settings: Settings) -> None:
    from flask.cli import ScriptInfo

    from app import create_app
    from commands.worker import worker
    from domain.ledger import lease
    from domain.marketing import queue

    lease.LENGTH = timedelta(milliseconds=500)
    queue.CLAIM, queue.LEASE = timedelta(seconds=1), timedelta(seconds=2)
    script = ScriptInfo(create_app=lambda: create_app(settings))
    os.environ["FLASK_SKIP_DOTENV"] = "1"
    worker.main(args=[], obj=script, standalone_mode=False)


@contextmanager
def working(settings: Settings, mail_url: str) -> Iterator[Worker]:
    """A worker that sends by this server, until the block ends."""
    worker = Worker(replace(settings, mail_url=mail_url))
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
