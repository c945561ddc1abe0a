"""A connection to a mail server that is kept open from mail to mail.

A mail is given in two steps, for whoever must know how far it came: `offer` gives all of it but its
end, and until then the server must forget it (RFC 5321 4.1.1.4); `end` makes it the server's. Only
between `end` and the server's answer does nobody know whether it took it.
"""

from __future__ import annotations

import os
import re
import select
import smtplib
import socket
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from domain.delivery.errors import (
    Away,
    NoMailbox,
    Refused,
    TransportError,
    TryLater,
    Unanswered,
)

# The server may take its time to store a mail (RFC 5321 4.5.3.2.6 asks for ten minutes), but not
# longer than whoever hands it over is believed to live.
END_TIMEOUT = 120.0
_DOT = re.compile(rb"^\.", re.MULTILINE)
_STATUS = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")
# RFC 3463 3.2 and 3.3: it does not exist, or is disabled.
_NO_MAILBOX = re.compile(r"5\.(1\.([1-3]|6|10)|2\.1)$")
_GOOD, _GO_ON, _CLOSING, _FOR_GOOD = range(200, 300), 354, 421, 500


class Connection(Protocol):
    """Takes one mail after the other."""

    def offer(self, sender: str, recipient: str, content: bytes) -> None:
        """Give a mail away but for its end. Raises Refused, TryLater or Away; then the server has
        none of it."""

    def end(self) -> None:
        """Give the end of what was offered. Raises Refused, TryLater or Away, where the server
        did not take it, and Unanswered."""

    def drop(self) -> None:
        """Take back what was offered; the connection is closed."""

    def close(self) -> None:
        """No more mails."""


class SmtpConnection:
    """By SMTP. `server` is connected and logged in."""

    def __init__(self, server: smtplib.SMTP):
        self._server = server
        self._patience = server.timeout
        if server.sock is not None:
            # The end of a mail comes in a packet of its own, which must not wait for an answer
            # to the one before (RFC 896 and RFC 1122 4.2.3.2 together take 40 ms).
            server.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def offer(self, sender: str, recipient: str, content: bytes) -> None:
        """Sender, recipient, and the mail without its last line."""
        server = self._server
        try:
            server.ehlo_or_helo_if_needed()
            code, said = server.mail(sender, self._options(sender, recipient, content))
            if code not in _GOOD:
                raise Away(f"sender refused: SMTP {code}")
            code, said = server.rcpt(recipient)
            if code not in _GOOD:
                raise _no_mailbox(code, said) or self._refused(code, said)
            code, said = server.docmd("DATA")
            if code != _GO_ON:
                raise self._refused(code, said)
            server.send(_stuffed(content))
        except (smtplib.SMTPException, OSError) as error:
            self.drop()
            raise Away(type(error).__name__) from None
        except TransportError as error:
            if isinstance(error, Away) or not self._forgotten():
                self.drop()
            raise

    def end(self) -> None:
        """The last line, and the answer to it."""
        server = self._server
        try:
            if server.sock is None or _has_something(server.sock):
                raise smtplib.SMTPServerDisconnected  # it speaks out of turn, or hung up
            server.send(b".\r\n")
        except (smtplib.SMTPException, OSError) as error:
            self.drop()
            raise Away(type(error).__name__) from None
        try:
            server.sock.settimeout(END_TIMEOUT)
            code, said = server.getreply()
            server.sock.settimeout(self._patience)
        except (smtplib.SMTPException, OSError) as error:
            self.drop()
            raise Unanswered(type(error).__name__) from None
        if code not in _GOOD:
            refused = _answer(code, said)
            if code == _CLOSING:
                self.drop()
            raise refused

    def drop(self) -> None:
        """Without the last line, the server forgets what it has of it."""
        self._server.close()

    def close(self) -> None:
        """Say goodbye."""
        with suppress(smtplib.SMTPException, OSError):
            self._server.quit()
        self._server.close()

    def _options(self, sender: str, recipient: str, content: bytes) -> tuple[str, ...]:
        if f"{sender}{recipient}".isascii() and content.isascii():
            return ()
        # As smtplib asks for them, which then writes addresses as UTF-8 (RFC 6531).
        wanted = ("SMTPUTF8", "BODY=8BITMIME")
        if not self._server.has_extn("smtputf8"):
            raise Refused("SMTPUTF8")
        return wanted

    def _refused(self, code: int, said: bytes) -> TransportError:
        return Away(f"SMTP {code}") if code == _CLOSING else _answer(code, said)

    def _forgotten(self) -> bool:
        with suppress(smtplib.SMTPException, OSError):
            return self._server.rset()[0] in _GOOD
        return False


def _stuffed(content: bytes) -> bytes:
    """As it stands between DATA and the last line: that begins a line of its own, and no other
    line is a single dot (RFC 5321 4.5.2)."""
    whole = content if content.endswith(b"\r\n") else content + b"\r\n"
    return _DOT.sub(b"..", whole) if b"\n." in whole or whole.startswith(b".") else whole


def _has_something(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _answer(code: int, said: bytes) -> TransportError:
    """5xx is for good (RFC 5321 4.2.1), all else for now. The status (RFC 3463) says more."""
    kind = Refused if code >= _FOR_GOOD else TryLater
    return kind(f"SMTP {code}", _status(said))


def _no_mailbox(code: int, said: bytes) -> NoMailbox | None:
    """Whether it is the address that is refused, as the status says (RFC 3463): a server that is
    not content with us, or with the mail, refuses with the same code, and many without one."""
    status = _status(said)
    told = status is not None and _NO_MAILBOX.match(status)
    return NoMailbox(f"SMTP {code}", status) if told else None


def _status(said: bytes) -> str | None:
    found = _STATUS.match(said)
    return found[0].decode() if found else None


@dataclass
class FolderConnection:
    """Into a folder, for development: a mail without its end is a draft."""

    path: Path
    _draft: Path | None = field(default=None, init=False)

    def offer(self, sender: str, recipient: str, content: bytes) -> None:
        """Write the draft, readable by nobody else."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f".{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{uuid4().hex}.eml"
        self._draft = self.path / name
        with open(os.open(self._draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)

    def end(self) -> None:
        """Give it its name."""
        if self._draft is not None:
            self._draft.rename(self._draft.with_name(self._draft.name.removeprefix(".")))
            self._draft = None

    def drop(self) -> None:
        """Delete the draft."""
        if self._draft is not None:
            self._draft.unlink(missing_ok=True)
            self._draft = None

    close = drop
