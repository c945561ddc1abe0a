"""Clients over HTTP: processes of their own, each with threads that keep their connection."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context

PROCESSES = 2
_START_SECONDS = 0.3


@dataclass(frozen=True)
class Sent:
    """One request as a client sends it, and the status that must come back."""

    method: str
    path: str
    expected: int
    body: bytes | None = None
    cookie: str = ""


@dataclass(frozen=True)
class Load:
    """What came of a load: how long all of it took, and each answer's seconds."""

    seconds: float
    latencies: list[float]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """The seconds that this share of the answers did not take longer than."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class Clients:
    """Client processes that live for a whole run."""

    def __init__(self, pool: ProcessPoolExecutor):
        self._pool = pool

    def send(self, port: int, queues: Sequence[Sequence[Sent]]) -> Load:
        """Let each client send its queue, all of them at once. Raises RuntimeError for another
        answer than the expected one, which would be a measurement of something else."""
        begin = time.monotonic() + _START_SECONDS
        shares = [queues[number::PROCESSES] for number in range(PROCESSES)]
        done = [self._pool.submit(_send_all, port, one, begin) for one in shares if one]
        found = [one.result() for one in done]
        ended = max(end for end, _ in found)
        return Load(ended - begin, [took for _, times in found for took in times])


@contextmanager
def clients() -> Iterator[Clients]:
    """The processes, until the block ends. Fresh ones: they hold nothing of this one."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        yield Clients(pool)


def _send_all(
    port: int, queues: Sequence[Sequence[Sent]], begin: float
) -> tuple[float, list[float]]:
    """In a client process: a thread for each queue. The moment the last ended, and all times."""
    times: list[list[float]] = [[] for _ in queues]
    failures: list[BaseException] = []

    def one(queue: Sequence[Sent], into: list[float]) -> None:
        try:
            _send(port, queue, begin, into)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=pair) for pair in zip(queues, times, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise RuntimeError(str(failures[0]))
    return time.monotonic(), [took for each in times for took in each]


def _send(port: int, queue: Sequence[Sent], begin: float, into: list[float]) -> None:
    # Written out beforehand and sent as it is: clients and server share the machine, and what
    # one side's client spends on a form would be counted against it.
    requests = [_written(sent, port) for sent in queue]
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        time.sleep(max(0.0, begin - time.monotonic()))
        for sent, request in zip(queue, requests, strict=True):
            started = time.perf_counter()
            connection.sendall(request)
            status = _status(connection)
            into.append(time.perf_counter() - started)
            if status != sent.expected:
                raise RuntimeError(
                    f"{sent.method} {sent.path} answered {status}, not {sent.expected}"
                )


def _written(sent: Sent, port: int) -> bytes:
    lines = [
        f"{sent.method} {sent.path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Cookie: {sent.cookie}",
        "Accept-Language: nb",
        "Accept-Encoding: gzip",
    ]
    if sent.body is not None:
        lines.append("Content-Type: application/x-www-form-urlencoded")
        lines.append(f"Content-Length: {len(sent.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (sent.body or b"")


def _status(connection: socket.socket) -> int:
    """Read one whole answer, which says how long it is; its status."""
    answer = b""
    while (end := answer.find(b"\r\n\r\n")) < 0:
        answer += _more(connection)
    length = _LENGTH.search(answer, 0, end + 2)
    if length is None:
        raise RuntimeError(f"an answer without a length: {answer[:end]!r}")
    missing = end + 4 + int(length[1]) - len(answer)
    while missing > 0:
        missing -= len(_more(connection))
    return int(answer[9:12])


def _more(connection: socket.socket) -> bytes:
    read = connection.recv(65536)
    if not read:
        raise RuntimeError("the server hung up")
    return read


_LENGTH = re.compile(rb"\r\ncontent-length: ([0-9]+)\r\n", re.IGNORECASE)
