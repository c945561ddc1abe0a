"""One request to one witness (C2SP tlog-witness, the client's side), over HTTP or HTTPS.

The other end is somebody else's machine, so nothing of it is believed or waited for without a
bound: not its time, not its length, not its redirects, and its signature only when verified.
"""

from __future__ import annotations

import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from domain.ledger.errors import WitnessConflict, WitnessFailed
from domain.ledger.log import Witness
from domain.ledger.notes import Note, Signed
from domain.ledger.submissions import Submission

MAX_ANSWER = 64 * 1024
# A clock may be wrong, but a time that no calendar has must not come as far as the database.
_AHEAD = timedelta(days=1)
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,18})\n?")


def submit(
    witness: Witness, submission: Submission, *, deadline: float, clock: Callable[[], datetime]
) -> Signed:
    """Send a checkpoint; return the witness's verified signature.

    Raises WitnessConflict with the size that the witness signed last, and WitnessFailed, or an
    error of the network, of TLS or of a format, for anything else that is no signature.
    `deadline` is a time of `time.monotonic`.
    """
    status, body = _post(witness.url, submission.encode(), deadline)
    if status == http.client.CONFLICT:
        size = _SIZE.fullmatch(body)
        if size is None:
            raise WitnessFailed("a conflict without a size")
        raise WitnessConflict(int(size[1]), f"it signed a checkpoint of size {int(size[1])} last")
    if status != http.client.OK:
        # A redirect too: whoever is to see our checkpoints, the operator named.
        raise WitnessFailed(f"status {status}")
    text = Note.parse(submission.note).text
    signed = Note.parse(text + b"\n" + body).verified([witness.key])
    if not signed:
        raise WitnessFailed("no signature by its key")
    seen = signed[0].seen
    if seen is None or seen > (clock() + _AHEAD).timestamp():
        raise WitnessFailed("a time that is still to come")
    return signed[0]


def _post(url: str, body: bytes, deadline: float) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = _connection(parts.scheme, parts.hostname or "", parts.port, _left(deadline))
    try:
        headers = {"Content-Type": "text/plain; charset=utf-8", "User-Agent": "samtykke"}
        connection.request("POST", f"{parts.path}/add-checkpoint", body, headers)
        # The bound on the answer is ours and not http.client's, whose timeout begins anew with
        # every byte: who sends one each half second would never be given up.
        bounded: Any = _Bounded(connection.sock, deadline)
        with http.client.HTTPResponse(bounded, method="POST") as response:
            response.begin()
            return response.status, response.read(MAX_ANSWER)
    finally:
        connection.close()


def _connection(
    scheme: str, host: str, port: int | None, timeout: float
) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()  # verifies the chain and the name
        return http.client.HTTPSConnection(host, port or 443, timeout=timeout, context=context)
    return http.client.HTTPConnection(host, port or 80, timeout=timeout)


class _Bounded(io.RawIOBase):
    """A socket, read until a deadline and no longer, and up to a length and no further."""

    def __init__(self, sock: socket.socket, deadline: float):
        self._sock = sock
        self._deadline = deadline
        self._room = 2 * MAX_ANSWER

    def makefile(self, mode: str) -> io.BufferedReader:
        """What http.client asks a socket for."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """It can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what there is. Raises TimeoutError, WitnessFailed."""
        self._sock.settimeout(_left(self._deadline))
        count = self._sock.recv_into(buffer)
        self._room -= count
        if self._room < 0:
            raise WitnessFailed("an answer without an end")
        return count


def _left(deadline: float) -> float:
    """How long there is until the deadline. Raises TimeoutError when it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no answer in time")
    return left
