"""Processes of the site that are made to be killed: web servers on one port, and workers.

One process imports everything, and forks a server or a worker on demand: a hundred times as
fast as starting one. It holds the port's socket, so that whoever connects while no server is
there waits for the next one. Servers are forked from an application that has answered already,
or they would die before their first answer; all its connections are closed before, so nothing
that a database is reached through crosses a fork. A worker makes its own application: in one
process it is one sequencer.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from flask import Flask
from flask.cli import ScriptInfo
from jinja2 import FileSystemBytecodeCache
from waitress.server import create_server

from app import create_app
from commands import starting
from commands.worker import worker
from domain.ledger import lease
from domain.rights import choosing
from settings import Settings
from tests.support.chaos import Form

WEB, WORKER = "web", "worker"
# A worker that was killed keeps the lease for as long. With the real ten seconds, hardly any
# would sequence before it is killed in turn.
LEASE = timedelta(milliseconds=500)
_THREADS = 8
_HATCH_SECONDS = 60


class Hatchery:
    """What the other process is told. It is only ever told one thing at a time."""

    def __init__(self, orders: Connection):
        self._orders = orders

    def hatch(self, kind: str) -> int:
        """Start a `web` server or a `worker`; its process id."""
        return self._told((kind, 0))

    def kill(self, pid: int) -> None:
        """Kill it at whatever line it is (SIGKILL). Fails where it had ended by itself."""
        status = self._told(("kill", pid))
        assert os.WIFSIGNALED(status), f"a child had ended by itself: {status}"
        assert os.WTERMSIG(status) == signal.SIGKILL, f"a child had ended by itself: {status}"

    def _told(self, order: tuple[str, int]) -> int:
        self._orders.send(order)
        assert self._orders.poll(_HATCH_SECONDS), f"no answer to {order}"
        answer: int = self._orders.recv()
        return answer


@dataclass(frozen=True)
class Eggs:
    """What children are made of: the site's settings, its port, the cookie of somebody whose
    requests come before all others, and the file for what they write to standard error."""

    settings: Settings
    listening: socket.socket
    cookie: str
    logged: Path


@contextmanager
def hatchery(eggs: Eggs) -> Iterator[Hatchery]:
    """The process, until the block ends; then all its children are dead."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(eggs, theirs))
    process.start()
    theirs.close()
    try:
        yield Hatchery(ours)
    finally:
        ours.close()  # the other end reads the end of it
        process.join(_HATCH_SECONDS)
        process.kill()
        process.join()


def _live(eggs: Eggs, orders: Connection) -> None:
    lease.LENGTH = LEASE
    choosing.MOST = sys.maxsize  # nobody changes their mind so often
    app = _make(eggs.settings)
    _warm(app, eggs.cookie)
    gc.freeze()
    alive: set[int] = set()
    try:
        while True:
            kind, pid = orders.recv()
            if kind == "kill":
                os.kill(pid, signal.SIGKILL)
                alive.remove(pid)
                orders.send(os.waitpid(pid, 0)[1])
            else:
                pid = os.fork()
                if not pid:
                    _child(kind, eggs, app)
                alive.add(pid)
                orders.send(pid)
    except EOFError:
        pass
    finally:
        for pid in alive:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _child(kind: str, eggs: Eggs, app: Flask) -> None:
    """Never returns: what stands above it on the stack is its parent's."""
    try:
        log = os.open(eggs.logged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        if kind == WORKER:
            script = ScriptInfo(create_app=lambda: _make(eggs.settings))
            worker.main(args=[], obj=script, standalone_mode=False)
        else:
            starting.check(app)
            create_server(app, sockets=[eggs.listening], threads=_THREADS, ident=None).run()
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(1)


def _make(settings: Settings) -> Flask:
    app = create_app(settings)
    compiled = settings.instance / "templates"
    compiled.mkdir(exist_ok=True)
    app.jinja_env.bytecode_cache = FileSystemBytecodeCache(str(compiled))
    return app


def _warm(app: Flask, cookie: str) -> None:
    """Let it answer what it will be asked, and close its connections."""
    client, headers = app.test_client(use_cookies=False), {"Cookie": cookie}
    for _ in range(4):
        form = Form.on(client.get("/preferences", headers=headers).text)
        answer = client.post("/preferences", data=form.filled(yes=not form.ticked), headers=headers)
        assert answer.status_code == 303
    app.extensions["database"].close()
