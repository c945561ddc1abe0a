"""The site on a real port, for a real browser."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from werkzeug.serving import WSGIRequestHandler, make_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing: addresses with tokens in them belong in no log."""


def free_port() -> socket.socket:
    """A loopback port that is ours already, so that the address is known before the site is."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(64)
    return listening


@contextmanager
def served(app: WSGIApplication, listening: socket.socket) -> Iterator[None]:
    """Serve `app` on the port until the block ends."""
    host, port = listening.getsockname()
    server = make_server(
        host, port, app, threaded=True, request_handler=_Silent, fd=listening.fileno()
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="site")
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
