"""A connection to a real mail server, kept open: what it took, and what nobody knows of."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from domain.delivery.connections import Connection
from domain.delivery.errors import Away, NoMailbox, Refused, TransportError, TryLater, Unanswered
from domain.delivery.transports import FolderTransport, SmtpTransport
from tests.support.live import free_port

FROM, KARI = "nytt@lillemini.example", "kari@kunde.example"
MAIL = b"To: kari@kunde.example\r\nSubject: Hei\r\n\r\nHei\r\n.\r\n..to\r\n"


@dataclass
class Taking:
    """Answers as told, and keeps what it took."""

    answers: dict[str, str] = field(default_factory=dict)
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    sessions: set[int] = field(default_factory=set)

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.answers:
            return self.answers.pop("RCPT")
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        if "DATA" in self.answers:
            return self.answers.pop("DATA")
        self.sessions.add(id(session))
        self.taken.append((envelope.rcpt_tos[0], envelope.content))
        return "250 ok"


@pytest.fixture
def taking() -> Taking:
    return Taking()


@pytest.fixture
def line(transport: SmtpTransport) -> Iterator[Connection]:
    """A connection to it."""
    line = transport.connect()
    yield line
    line.close()


@pytest.fixture
def transport(taking: Taking) -> Iterator[SmtpTransport]:
    with free_port() as listening:
        port = listening.getsockname()[1]
    server = Controller(taking, hostname="127.0.0.1", port=port)
    server.start()
    yield SmtpTransport("127.0.0.1", port, tls="none")
    server.stop()


def test_mails_go_over_one_connection_as_they_are(line: Connection, taking: Taking) -> None:
    """Lines that begin with a dot among them; one that was dropped was never there."""
    for _ in range(3):
        line.offer(FROM, KARI, MAIL)
        line.end()
    for odd in (b".\r\n.Hei\r\n", b"Hei"):
        line.offer(FROM, KARI, odd)
        line.end()
    line.offer(FROM, KARI, MAIL)
    line.drop()
    assert taking.taken[:3] == [(KARI, MAIL)] * 3
    assert taking.taken[3:] == [(KARI, b".\r\n.Hei\r\n"), (KARI, b"Hei\r\n")]
    assert len(taking.sessions) == 1
    with pytest.raises(Away):
        line.offer(FROM, KARI, MAIL)


@pytest.mark.parametrize(
    ("step", "answer", "error", "status"),
    [
        ("RCPT", "550 5.1.1 no such user", NoMailbox, "5.1.1"),
        ("RCPT", "550 blocked by a list", Refused, None),
        ("RCPT", "550 5.7.1 relaying denied", Refused, "5.7.1"),
        ("RCPT", "554 no", Refused, None),
        ("RCPT", "451 4.3.0 later", TryLater, "4.3.0"),
        ("RCPT", "421 closing", Away, None),
        ("DATA", "554 5.7.1 looks like spam", Refused, "5.7.1"),
        ("DATA", "452 4.3.1 full", TryLater, "4.3.1"),
    ],
)
def test_a_refusal_says_whether_it_is_the_address(
    line: Connection,
    taking: Taking,
    step: str,
    answer: str,
    error: type[TransportError],
    status: str | None,
) -> None:
    """A server that does not like us, or the mail, has nothing against the address. Unless it hung
    up, the next mail goes over the same connection."""
    taking.answers[step] = answer
    with pytest.raises(error) as raised:
        line.offer(FROM, KARI, MAIL)
        line.end()
    assert (type(raised.value), raised.value.status) == (error, status)
    if error is Away:
        return
    line.offer(FROM, "ola@kunde.example", MAIL)
    line.end()
    assert [recipient for recipient, _ in taking.taken] == ["ola@kunde.example"]


def _hanging_up(at: bytes, *, answer: bytes | None = None) -> Callable[[socket.socket], None]:
    """A server that reads until `at`, says so much, and is gone."""

    def talk(one: socket.socket) -> None:
        one.sendall(b"220 here\r\n")
        heard = b""
        while at not in heard:
            heard += one.recv(4096)
            if at in heard:
                break
            if heard.endswith(b"DATA\r\n") or heard.endswith(b"data\r\n"):
                one.sendall(b"354 go on\r\n")
            elif heard.endswith(b"\r\n") and b"Subject" not in heard:
                one.sendall(b"250 ok\r\n")
        if answer:
            one.sendall(answer)
        one.shutdown(socket.SHUT_RDWR)
        one.close()

    return talk


@contextmanager
def _server(talk: Callable[[socket.socket], None]) -> Iterator[SmtpTransport]:
    with free_port() as listening:

        def serve() -> None:
            one, _ = listening.accept()
            talk(one)

        thread = threading.Thread(target=serve)
        thread.start()
        yield SmtpTransport("127.0.0.1", listening.getsockname()[1], tls="none")
        thread.join(30)


@pytest.mark.parametrize(
    ("at", "answer", "error"),
    [
        (b"MAIL", None, Away),
        (b"RCPT", None, Away),
        (b"DATA", None, Away),
        (b"Hei\r\n..", None, Away),
        (b"...to\r\n", b"421 closing\r\n", Away),
        (b"...to\r\n.\r\n", None, Unanswered),
    ],
)
def test_a_server_that_dies_has_not_taken_a_mail_without_its_end(
    at: bytes, answer: bytes | None, error: type[TransportError]
) -> None:
    """Only after the end was given and before it was answered does nobody know."""
    with _server(
        _hanging_up(at.replace(b"MAIL", b"mail").replace(b"RCPT", b"rcpt"), answer=answer)
    ) as post:
        line = post.connect()
        with pytest.raises(TransportError) as raised:
            line.offer(FROM, KARI, MAIL)
            if error is Away:
                threading.Event().wait(0.2)  # until it has gone
            line.end()
        assert type(raised.value) is error
        with pytest.raises(Away):
            line.offer(FROM, KARI, MAIL)


def test_nobody_there(tmp_path: Path) -> None:
    with free_port() as listening:
        port = listening.getsockname()[1]
    with pytest.raises(Away):
        SmtpTransport("127.0.0.1", port, tls="none").connect()


def test_in_a_folder_a_mail_without_its_end_is_none(tmp_path: Path) -> None:
    """It plays the mail server of a developer."""
    line = FolderTransport(tmp_path).connect()
    line.offer(FROM, KARI, MAIL)
    line.end()
    line.offer(FROM, KARI, MAIL)
    line.drop()
    (file,) = tmp_path.iterdir()
    assert (file.suffix, file.read_bytes()) == (".eml", MAIL)
    assert not file.name.startswith(".")
    assert file.stat().st_mode & 0o777 == 0o600
