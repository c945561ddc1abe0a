"""How a mail leaves: by SMTP, or into a folder on a developer's machine."""

from __future__ import annotations

import email
import ipaddress
import os
import smtplib
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit
from uuid import uuid4

from domain.delivery.connections import Connection, FolderConnection, SmtpConnection
from domain.delivery.errors import Away, BadMailUrl, Refused, TransportError, TryLater
from domain.delivery.outbox import LAST_MAILS

# For each exchange with the server; the dozen exchanges of a mail fit in a lease.
TIMEOUT = 20.0
# What stdlib folds at 78 columns breaks long addresses in headers (RFC 5322 allows 998).
POLICY = SMTP.clone(max_line_length=998)
_TLS = ("required", "optional", "none")
_FORMS = (
    "folder:<path>, smtp://[user:password@]host[:port][?tls=required|optional|none] or smtps://…"
)


class Transport(Protocol):
    """Takes one mail, or raises."""

    def send(self, mail: EmailMessage, *, kind: str) -> None:
        """Give the mail away. Raises Refused, TryLater, or whatever else went wrong."""


class Connects(Protocol):
    """Gives a connection for one mail after the other."""

    def connect(self) -> Connection:
        """A new one, or Away is raised."""


@dataclass(frozen=True)
class FolderTransport:
    """Writes each mail to a file, for development: the folder plays everybody's mailbox."""

    path: Path

    def send(self, mail: EmailMessage, *, kind: str) -> None:
        """Write the mail whole or not at all, readable by nobody else."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if kind in LAST_MAILS:
            self._remove_all_to(recipients(mail))
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-{uuid4().hex}.eml"
        draft = self.path / f".{name}"
        with open(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(mail.as_bytes(policy=POLICY))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.path / name)

    def connect(self) -> Connection:
        """Nothing to connect to."""
        return FolderConnection(self.path)

    def _remove_all_to(self, addresses: list[str]) -> None:
        gone = {address.casefold() for address in addresses}
        # Drafts too: they are what a kill between writing and renaming left.
        for file in (*self.path.glob("*.eml"), *self.path.glob(".*.eml")):
            with suppress(FileNotFoundError):
                mail = email.message_from_bytes(file.read_bytes(), policy=POLICY)
                if gone & {address.casefold() for address in recipients(mail)}:
                    file.unlink()


@dataclass(frozen=True)
class SmtpTransport:
    """Sends by a mail server, one connection for each mail. Certificates are verified.

    `tls` is `implicit` (smtps), `required` or `optional` (STARTTLS), or `none`. A password
    never goes over an open connection to another machine, unless `tls` is `none`.
    """

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: str = "required"
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def send(self, mail: EmailMessage, *, kind: str) -> None:
        """Send it. Refused if the server refuses the recipient or the mail for good."""
        try:
            with self._connected() as server:
                # The envelope is given, not left to smtplib, which parses the header as text.
                server.send_message(mail, recipients(mail, "from")[0], recipients(mail))
        except smtplib.SMTPRecipientsRefused as error:
            raise _answer(*(code for code, _ in error.recipients.values())) from None
        except smtplib.SMTPSenderRefused as error:
            raise TryLater(f"sender refused: SMTP {error.smtp_code}") from None
        except smtplib.SMTPAuthenticationError as error:
            raise TryLater(f"login refused: SMTP {error.smtp_code}") from None
        except smtplib.SMTPDataError as error:
            raise _answer(error.smtp_code) from None
        except smtplib.SMTPResponseException as error:
            raise TryLater(f"SMTP {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise TryLater(type(error).__name__) from None

    def connect(self) -> Connection:
        """A connection that is kept open."""
        try:
            return SmtpConnection(self._connected().server)
        except smtplib.SMTPResponseException as error:
            raise Away(f"SMTP {error.smtp_code}") from None
        except (smtplib.SMTPException, OSError) as error:
            raise Away(type(error).__name__) from None

    def _connected(self) -> _Connection:
        server: smtplib.SMTP
        if self.tls == "implicit":
            server = smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=self.context)
        else:
            server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        try:
            self._secure(server)
            if self.user:
                server.login(self.user, self.password)
        except BaseException:
            server.close()
            raise
        return _Connection(server)

    def _secure(self, server: smtplib.SMTP) -> None:
        if self.tls in ("implicit", "none"):
            return
        server.ehlo_or_helo_if_needed()
        secret_at_risk = bool(self.user) and not is_loopback(self.host)
        if self.tls == "required" or secret_at_risk or server.has_extn("starttls"):
            server.starttls(context=self.context)


@dataclass(frozen=True)
class _Connection:
    """A connection whose end cannot make a failure of a mail that was taken.

    smtplib's own context manager raises when the server answers QUIT with an error.
    """

    server: smtplib.SMTP

    def __enter__(self) -> smtplib.SMTP:
        return self.server

    def __exit__(self, *_: object) -> None:
        with suppress(smtplib.SMTPException, OSError):
            self.server.quit()
        self.server.close()


def _answer(*codes: int) -> TransportError:
    """What the server's answer means: 5xx is for good (RFC 5321 4.2.1), all else for now."""
    code = max(codes, default=0)
    return (Refused if code >= 500 else TryLater)(f"SMTP {code}")


def recipients(mail: EmailMessage, header: str = "to") -> list[str]:
    """The bare addresses of a header."""
    found = mail[header]
    return [address.addr_spec for address in found.addresses] if found is not None else []


def is_loopback(host: str) -> bool:
    """Whether the host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def transport(mail_url: str) -> FolderTransport | SmtpTransport:
    """The transport that MAIL_URL names. Raises BadMailUrl, without the password."""
    scheme, _, rest = mail_url.partition(":")
    if scheme == "folder" and rest:
        return FolderTransport(Path(rest.removeprefix("//")).absolute())
    if scheme in ("smtp", "smtps"):
        return _SmtpUrl.read(mail_url).transport()
    raise BadMailUrl(f"MAIL_URL takes {_FORMS}")


@dataclass(frozen=True)
class _SmtpUrl:
    """The parts of an smtp:// or smtps:// address."""

    parts: SplitResult
    host: str
    port: int | None
    tls: str | None

    @classmethod
    def read(cls, mail_url: str) -> Self:
        try:
            parts = urlsplit(mail_url)
            host, port = parts.hostname, parts.port
            query = parse_qs(parts.query, strict_parsing=True) if parts.query else {}
        except ValueError:  # whose text may quote the password
            raise BadMailUrl(
                f"MAIL_URL cannot be read; it takes {_FORMS}. Write : / ? # @ in a user name or"
                " password as %3A %2F %3F %23 %40"
            ) from None
        shown = f"MAIL_URL ({parts.scheme}://{'…@' if '@' in parts.netloc else ''}{host or ''})"
        if not host:
            raise BadMailUrl(f"{shown} names no host; it takes {_FORMS}")
        tls = query.pop("tls", None)
        if query or parts.path.strip("/") or parts.fragment:
            raise BadMailUrl(f"{shown} has more in it than it takes: {_FORMS}")
        if tls is not None and (parts.scheme == "smtps" or tls[-1] not in _TLS):
            raise BadMailUrl(f"{shown}: tls is required, optional or none, and smtps takes none")
        return cls(parts, host, port, tls[-1] if tls else None)

    def transport(self) -> SmtpTransport:
        user, password = unquote(self.parts.username or ""), unquote(self.parts.password or "")
        if self.parts.scheme == "smtps":
            return SmtpTransport(self.host, self.port or 465, user, password, "implicit")
        tls = self.tls or ("optional" if is_loopback(self.host) else "required")
        # 587 is where mail is handed in (RFC 6409); a relay on this machine listens on 25.
        port = self.port or (25 if is_loopback(self.host) else 587)
        return SmtpTransport(self.host, port, user, password, tls)
