"""How mail leaves: into a folder, or to a real server on this machine."""

from __future__ import annotations

import email
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from email.headerregistry import Address
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from domain.delivery.errors import BadMailUrl, Refused, TransportError, TryLater
from domain.delivery.transports import POLICY, FolderTransport, SmtpTransport, recipients, transport

LINK = "https://samtykke.example/confirm/" + "x" * 140 + "?lang=nb"


def letter(to: str = "kari@example.no") -> EmailMessage:
    mail = EmailMessage(policy=POLICY)
    local, _, domain = to.rpartition("@")
    mail["From"] = "Lillemini <hei@lillemini.example>"
    mail["To"] = Address(username=local, domain=domain)
    mail["Subject"] = "Hei på deg"
    mail["Message-ID"] = "<1@lillemini.example>"
    mail["List-Unsubscribe"] = f"<{LINK}>"
    mail.set_content(f"Følg lenka: {LINK}\n", cte="quoted-printable")
    return mail


def read(path: Path) -> EmailMessage:
    return email.message_from_bytes(path.read_bytes(), policy=POLICY)


# --- The folder -------------------------------------------------------------------------------


def test_the_folder_holds_whole_mails_that_only_we_can_read(tmp_path: Path) -> None:
    """Words and long links come back as they were; no draft is left beside them."""
    folder = tmp_path / "instance" / "mail"
    FolderTransport(folder).send(letter(), kind="mail.confirm")
    (file,) = folder.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o077 == 0
    mail = read(file)
    assert mail["Subject"] == "Hei på deg"
    assert mail.get_content().splitlines() == [f"Følg lenka: {LINK}"]


def test_names_sort_by_time(tmp_path: Path) -> None:
    """Listing the folder gives the mails in order."""
    for number in range(3):
        mail = letter()
        mail.replace_header("Subject", str(number))
        FolderTransport(tmp_path).send(mail, kind="mail.confirm")
    assert [read(file)["Subject"] for file in sorted(tmp_path.iterdir())] == ["0", "1", "2"]


@pytest.mark.requirement(59)
@pytest.mark.parametrize("to", ["kari@example.no", "kåre@example.no"])
def test_the_last_mail_takes_the_earlier_ones_with_it(tmp_path: Path, to: str) -> None:
    """The folder plays the person's mailbox, which would not be on our disk."""
    folder = FolderTransport(tmp_path)
    folder.send(letter(to), kind="mail.confirm")
    folder.send(letter(to.upper()), kind="mail.reset")
    folder.send(letter("ola@example.no"), kind="mail.confirm")
    (tmp_path / ".half.eml").write_bytes(letter(to).as_bytes(policy=POLICY))
    folder.send(letter(to), kind="mail.erasure_done")
    left = sorted(recipients(read(file))[0] for file in tmp_path.iterdir())
    assert left == sorted([to, "ola@example.no"])


# --- SMTP -------------------------------------------------------------------------------------


class Inbox(Message):
    """A server's handler: keeps mails, and answers as told."""

    def __init__(self) -> None:
        super().__init__(message_class=EmailMessage)
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.logins: list[tuple[bytes, bytes]] = []
        self.secure: list[bool] = []
        self.answers: dict[str, str] = {}

    def handle_message(self, message: Any) -> None:
        self.mails.append(message)

    def prepare_message(self, session: Any, envelope: Any) -> Any:
        self.secure.append(session.ssl is not None)
        self.recipients.extend(envelope.rcpt_tos)
        return email.message_from_bytes(envelope.content, policy=POLICY)

    async def handle_MAIL(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if "MAIL" in self.answers:
            return self.answers["MAIL"]
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if "RCPT" in self.answers:
            return self.answers["RCPT"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        return str(await super().handle_DATA(server, session, envelope))

    async def handle_QUIT(self, server: Any, session: Any, envelope: Any) -> str:
        return self.answers.get("QUIT", "221 Bye")


class Server(Controller):
    """A server on any free port: aiosmtpd's own would ask after itself on port 0."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        with socket.create_connection((self.hostname, self.port)) as plain, ExitStack() as stack:
            if self.ssl_context:
                unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
                plain = stack.enter_context(unverified.wrap_socket(plain))
            plain.recv(1024)


@contextmanager
def served(inbox: Inbox, **options: Any) -> Iterator[int]:
    server = Server(inbox, hostname="127.0.0.1", port=0, **options)
    server.start()
    try:
        yield server.port
    finally:
        server.stop()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of our own for 127.0.0.1, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(made - timedelta(days=1))
        .not_valid_after(made + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("certificate") / "server.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + built.public_bytes(serialization.Encoding.PEM)
    )
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def test_a_mail_arrives_as_it_was_written(inbox: Inbox) -> None:
    """Long addresses in headers stay in one piece, or one-click unsubscribing breaks."""
    with served(inbox) as port:
        transport(f"smtp://127.0.0.1:{port}").send(letter(), kind="mail.confirm")
    (mail,) = inbox.mails
    assert mail["List-Unsubscribe"] == f"<{LINK}>"
    assert mail["Message-ID"] == "<1@lillemini.example>"
    assert mail.get_content().splitlines() == [f"Følg lenka: {LINK}"]


def test_an_address_outside_ascii_is_sent_where_the_server_can(inbox: Inbox) -> None:
    """SMTPUTF8 (RFC 6531) is used for such an address."""
    with served(inbox, enable_SMTPUTF8=True) as port:
        transport(f"smtp://127.0.0.1:{port}").send(letter("kåre@example.no"), kind="mail.confirm")
    assert inbox.recipients == ["kåre@example.no"]


def authenticator(inbox: Inbox) -> Callable[..., AuthResult]:
    def check(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        inbox.logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"s3:cret@", handled=False)

    return check


def test_starttls_and_login(
    inbox: Inbox, server_context: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    """The server takes a login over TLS only, and gets one."""
    with served(
        inbox,
        tls_context=server_context,
        require_starttls=True,
        authenticator=authenticator(inbox),
        auth_required=True,
    ) as port:
        smtp = transport(f"smtp://user:s3%3Acret%40@127.0.0.1:{port}?tls=required")
        assert isinstance(smtp, SmtpTransport)
        SmtpTransport(smtp.host, smtp.port, smtp.user, smtp.password, smtp.tls, trusting).send(
            letter(), kind="mail.confirm"
        )
        wrong = SmtpTransport(smtp.host, smtp.port, smtp.user, "wrong", smtp.tls, trusting)
        with pytest.raises(TryLater, match="login refused: SMTP 535"):
            wrong.send(letter(), kind="mail.confirm")
    assert inbox.logins[0] == (b"user", b"s3:cret@")
    assert inbox.secure == [True]


def test_smtps(inbox: Inbox, server_context: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """TLS from the first byte."""
    with served(inbox, ssl_context=server_context) as port:
        SmtpTransport("127.0.0.1", port, tls="implicit", context=trusting).send(
            letter(), kind="mail.confirm"
        )
    assert len(inbox.mails) == 1


@pytest.mark.parametrize("tls", ["required", "optional"])
def test_a_certificate_that_nobody_vouches_for_stops_the_mail(
    inbox: Inbox, server_context: ssl.SSLContext, tls: str
) -> None:
    """Where TLS is spoken it is verified: a mail carries a link that is as good as a key."""
    with (
        served(inbox, tls_context=server_context) as port,
        pytest.raises(TryLater, match="SSLCertVerificationError"),
    ):
        transport(f"smtp://127.0.0.1:{port}?tls={tls}").send(letter(), kind="mail.confirm")
    assert inbox.mails == []


def test_required_tls_is_not_done_without(inbox: Inbox) -> None:
    """A server, or someone between, that offers no STARTTLS gets no mail."""
    with served(inbox) as port, pytest.raises(TryLater, match="SMTPNotSupportedError"):
        transport(f"smtp://127.0.0.1:{port}?tls=required").send(letter(), kind="mail.confirm")
    assert inbox.mails == []


ANSWERS = [
    ("RCPT", "550 5.1.1 <kari@example.no> unknown", Refused, "SMTP 550"),
    ("RCPT", "450 4.2.1 <kari@example.no> try later", TryLater, "SMTP 450"),
    ("DATA", "554 5.7.1 no", Refused, "SMTP 554"),
    ("DATA", "451 4.3.0 later", TryLater, "SMTP 451"),
    ("MAIL", "550 5.7.1 who are you", TryLater, "sender refused: SMTP 550"),
]


@pytest.mark.parametrize(("verb", "answer", "error", "failure"), ANSWERS)
def test_what_a_refusal_means(
    inbox: Inbox, verb: str, answer: str, error: type[TransportError], failure: str
) -> None:
    """For good or for now; what the server said, which may hold the address, is not repeated."""
    inbox.answers[verb] = answer
    with served(inbox) as port, pytest.raises(error) as caught:
        transport(f"smtp://127.0.0.1:{port}").send(letter(), kind="mail.confirm")
    assert caught.value.failure == str(caught.value) == failure
    assert inbox.mails == []


def test_a_mail_that_was_taken_did_not_fail(inbox: Inbox) -> None:
    """Whatever the server says at parting: failing here would send the mail twice."""
    inbox.answers["QUIT"] = "451 4.3.0 no, stay"
    with served(inbox) as port:
        transport(f"smtp://127.0.0.1:{port}").send(letter(), kind="mail.confirm")
    assert len(inbox.mails) == 1


def test_a_server_that_is_away_is_tried_later(inbox: Inbox) -> None:
    """The failure is the error's class."""
    with served(inbox) as port:
        pass
    with pytest.raises(TryLater, match="ConnectionRefusedError"):
        transport(f"smtp://127.0.0.1:{port}").send(letter(), kind="mail.confirm")


# --- MAIL_URL ---------------------------------------------------------------------------------

URLS = [
    ("smtp://mail.example.no", ("mail.example.no", 587, "", "", "required")),
    ("smtp://u:p%40ss@mail.example.no:2525", ("mail.example.no", 2525, "u", "p@ss", "required")),
    ("smtp://mail.example.no?tls=none", ("mail.example.no", 587, "", "", "none")),
    ("smtp://localhost", ("localhost", 25, "", "", "optional")),
    ("smtp://[::1]:2525", ("::1", 2525, "", "", "optional")),
    ("smtp://127.0.0.1?tls=required", ("127.0.0.1", 25, "", "", "required")),
    ("smtps://u:p@mail.example.no/", ("mail.example.no", 465, "u", "p", "implicit")),
]


@pytest.mark.parametrize(("url", "parts"), URLS)
def test_what_a_mail_url_says(url: str, parts: tuple[object, ...]) -> None:
    """Safe by default: TLS is required, but on this machine itself."""
    smtp = transport(url)
    assert isinstance(smtp, SmtpTransport)
    assert (smtp.host, smtp.port, smtp.user, smtp.password, smtp.tls) == parts
    assert smtp.context.verify_mode == ssl.CERT_REQUIRED
    assert "p@ss" not in repr(smtp)


@pytest.mark.parametrize("url", ["folder:/var/mail", "folder:///var/mail"])
def test_a_folder_is_named_by_its_path(url: str) -> None:
    """With or without the slashes that other addresses have."""
    assert transport(url) == FolderTransport(Path("/var/mail"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "folder:",
        "mail.example.no",
        "http://u:hemmelig@mail.example.no",
        "smtp://u:hemmelig@",
        "smtp://u:hemmelig@mail.example.no:port",
        "smtp://u:hemm/elig@mail.example.no",
        "smtp://u:hemm?elig@mail.example.no",
        "smtp://u:hemm#elig@mail.example.no",
        "smtp://u:[hemmelig@mail.example.no",
        "smtp://u:hemmelig@mail.example.no/path",
        "smtp://u:hemmelig@mail.example.no?tls=maybe",
        "smtp://u:hemmelig@mail.example.no?ssl=yes",
        "smtps://u:hemmelig@mail.example.no?tls=none",
    ],
)
def test_a_mail_url_that_says_nothing_useful_is_refused(url: str) -> None:
    """The message names the variable and never the password."""
    with pytest.raises(BadMailUrl, match="MAIL_URL") as caught:
        transport(url)
    assert "hemm" not in str(caught.value)
    assert "elig" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
