"""A log in memory and witnesses on loopback ports: real ones, and such as answer anything."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path

from commands.witness import application
from domain.ledger import log as logs
from domain.ledger import merkle
from domain.ledger.checkpoints import Checkpoint
from domain.ledger.notes import KeyType, SignerKey, VerifierKey
from domain.ledger.submissions import Submission
from domain.ledger.witness import Cosigner, open_key
from tests.support import NOON
from tests.support.live import free_port, served

LOG = SignerKey("samtykke.test/consent", KeyType.LOG, bytes(range(64, 96)))
WITNESS = SignerKey("witness.test/w", KeyType.WITNESS, bytes(range(96, 128)))


@dataclass
class Growing:
    """A log's tree, which grows by a word at a time; `signers` sign it."""

    word: str = "entry"
    size: int = 130
    signers: Sequence[SignerKey] = (LOG,)
    leaves: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leaves = [merkle.leaf_hash(f"{self.word} {n}".encode()) for n in range(self.size)]

    def nodes(self, wanted: Sequence[merkle.Node]) -> list[bytes]:
        """Its nodes, from the definition."""
        return [self._node(height, number) for height, number in wanted]

    def _node(self, height: int, number: int) -> bytes:
        if not height:
            return self.leaves[number]
        return merkle.node_hash(
            self._node(height - 1, 2 * number), self._node(height - 1, 2 * number + 1)
        )

    def root(self, size: int) -> bytes:
        """The root of the first `size` leaves."""
        return merkle.root(self.nodes, size)

    def note(self, size: int) -> bytes:
        """The signed checkpoint of this size."""
        return Checkpoint(LOG.name, size, self.root(size)).signed(self.signers)

    def proof(self, old: int, new: int) -> list[bytes]:
        """That the tree of `new` begins with that of `old`."""
        return merkle.consistency_proof(self.nodes, old, new) if 0 < old < new else []

    def submission(self, old: int, new: int) -> Submission:
        """What is sent to a witness that saw `old` last."""
        return Submission(old, tuple(self.proof(old, new)), self.note(new))


@contextmanager
def witness(
    directory: Path,
    keys: Sequence[VerifierKey] = (LOG.verifier,),
    clock: Callable[[], datetime] = lambda: NOON,
) -> Iterator[logs.Witness]:
    """A witness on a port, with its files in the directory, until the block ends."""
    if not (directory / "key").exists():
        directory.mkdir(exist_ok=True)
        (directory / "state").write_text("{}")
        (directory / "key").write_text(WITNESS.encode())
        (directory / "key").chmod(0o600)
    signer = open_key(directory / "key", directory / "state", None)
    app = application(Cosigner(signer, keys, directory / "state", clock))
    with free_port() as listening:
        port = listening.getsockname()[1]
        with served(app, listening):
            yield logs.Witness(f"http://127.0.0.1:{port}", signer.verifier)


@contextmanager
def answering(
    answer: bytes, *, pause: float = 0.0, keep_open: bool = False
) -> Iterator[tuple[logs.Witness, list[bytes]]]:
    """Something on a port that takes a request and answers these bytes, whatever was asked: at
    once, or one after the other with a pause between. With it, the requests it had."""
    requests: list[bytes] = []
    ended = threading.Event()

    def answer_one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            requests.append(_request(connection))
            pieces = [answer[n : n + 1] for n in range(len(answer))] if pause else [answer]
            try:
                for piece in pieces:
                    connection.sendall(piece)
                    if ended.wait(pause):
                        return
                while keep_open and not ended.wait(0.05):
                    pass
            except OSError:
                pass  # they had enough

    def answer_all() -> None:
        while not ended.is_set():
            try:
                connection, _ = listening.accept()
            except OSError:
                continue
            answer_one(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        thread = threading.Thread(target=answer_all, name="answering")
        thread.start()
        try:
            port = listening.getsockname()[1]
            yield logs.Witness(f"http://127.0.0.1:{port}", WITNESS.verifier), requests
        finally:
            ended.set()
            thread.join(10)


def _request(connection: socket.socket) -> bytes:
    """All of a request that names its length."""
    read = b""
    while True:
        head, separator, body = read.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if separator and len(body) >= int(length or 0):
            return read
        piece = connection.recv(65536)
        if not piece:
            return read
        read += piece


def post(
    witness: logs.Witness, body: bytes, path: str = "/add-checkpoint", method: str = "POST"
) -> tuple[int, str, bytes]:
    """Ask a witness over HTTP: status, content type, body."""
    connection = HTTPConnection(witness.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body)
        response = connection.getresponse()
        return response.status, response.headers["Content-Type"], response.read()
    finally:
        connection.close()


def until(condition: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for something that another thread does."""
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return condition()
