"""Newsletters as mails: whole, in the reader's language, signed, and silent about their reader."""

from __future__ import annotations

import binascii
import dataclasses
import email
import re
import socket
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urlsplit

import dkim
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP as Server
from aiosmtpd.smtp import Envelope
from aiosmtpd.smtp import Session as Client
from bs4 import BeautifulSoup
from flask import Flask

import newsletters
import settings as site_settings
from database import Database
from domain.consent.operator import Operator, load_operator
from domain.consent.purposes import PurposeRegister
from domain.delivery.transports import transport
from domain.keys import Keyring
from domain.ledger import standing
from domain.ledger.log import Log
from domain.ledger.notes import SignerKey
from domain.locales import LOCALES
from domain.marketing.campaigns import Text
from domain.marketing.sending import Letter
from signing import Signer
from tests.support import NOON, dkim_keys, logs
from tests.support.databases import SqliteTemplate
from tests.support.office import BASE, application, part

TOKEN = "Aa0_-" * 12 + "wxyz"
SENDER = "tips@nytt.lillemini.example"
# What no header may have as it is, and what stands on a line by itself where it is folded.
ODD = ("Bcc: x\r\nBcc: y", "bell \x07\x1b\x7f", "x" * 200, "=?utf-8?q?x?=", "\u2028Ø\x85" * 50)
LONG = "Ørsmå grep for en travel høst: grøt på bordet, ro i gangen og æ, ø og å på kjøleskapet"
TEXTS = {
    "nb": Text(LONG, "Les [tips](/tips/grot).\n\n.Punktum først.\n\n" + "lang linje " * 40),
    "nn": Text("Nytt frå oss", "Les *meir*: <https://a.example/x?y=1&z=2>"),
    "en": Text("=?utf-8?q?News?=", "Read **more**."),
}
REASONS = {
    "nb": "fordi du har sagt ja til nyhetsbrev på e-post fra Lillemini",
    "nn": "fordi du har sagt ja til nyheitsbrev på e-post frå Lillemini",
    "en": "because you said yes to newsletters by e-mail from Lillemini",
}


@pytest.fixture(scope="module")
def operator() -> Operator:
    return load_operator(site_settings.ROOT / "content")


@pytest.fixture(scope="module")
def ledger(
    tmp_path_factory: pytest.TempPathFactory, register: PurposeRegister
) -> Iterator[Database]:
    """Three entries about nobody, and their checkpoint."""
    folder = tmp_path_factory.mktemp("log")
    log = Log((SignerKey.make("lillemini.example/consent"),), folder / "high-water")
    info: dict[str, object] = {"log": log, "purposes": register}
    database = Database(SqliteTemplate(folder).copy(folder).owner, info=info, owner=True)
    with database.transaction() as session:
        logs.fill(session, 3)
    yield database
    database.close()


@pytest.fixture(scope="module")
def office(operator: Operator, keys: Keyring, ledger: Database) -> Flask:
    """An application that writes newsletters and signs them."""
    log: Log = ledger.info["log"]
    app = application(operator, keys, log, ledger, trimmed=True)
    app.extensions["settings"] = dataclasses.replace(
        app.extensions["settings"], marketing_from=f"Lillemini på nett <{SENDER}>"
    )
    app.extensions["signer"] = Signer(dkim_keys.key().private, dkim_keys.SELECTOR)
    return app


def made(app: Flask, locale: str = "nb", name: str = "Kari Ø. Nordmann") -> bytes:
    letter = Letter("kari@example.no", name, locale, TOKEN, "<1@lillemini.example>", NOON)
    sender, recipient, content = newsletters.composing(app)(TEXTS)(letter)
    assert (sender, recipient) == (SENDER, "kari@example.no")
    return content


def parsed(content: bytes) -> EmailMessage:
    mail = email.message_from_bytes(content, policy=SMTP)
    assert isinstance(mail, EmailMessage)
    assert [one.defects for one in mail.walk()] == [[], [], []]
    return mail


@pytest.mark.requirement(38, 42, 89)
@pytest.mark.parametrize("locale", LOCALES)
def test_a_newsletter_says_who_writes_why_and_how_to_end_it(
    office: Flask, operator: Operator, ledger: Database, locale: str
) -> None:
    """Sender identity, reason, visible link to unsubscribe, notice, and the newest checkpoint, in
    text and in HTML; from a sender of its own."""
    mail = parsed(made(office, locale))
    assert mail["From"].addresses[0].addr_spec == SENDER
    assert mail["From"].addresses[0].display_name == "Lillemini på nett"
    assert mail["To"] == "kari@example.no"
    assert mail["Reply-To"] == operator.email
    assert mail["Subject"] == TEXTS[locale].subject
    assert mail["Date"].datetime == NOON
    assert mail["Content-Language"] == locale
    assert mail["List-Id"] == "<newsletter.nytt.lillemini.example>"
    # Somebody wrote it: RFC 3834 5.
    assert "Auto-Submitted" not in mail
    html = BeautifulSoup(part(mail, "html"), "html.parser")
    assert html.html is not None
    assert html.html["lang"] == locale
    link = f"{BASE}/unsubscribe/{TOKEN}?lang={locale}"
    (shown,) = html.select(f'a[href="{link}"]')
    assert len(shown.get_text()) > 10
    with ledger.reading() as session:
        newest = standing.newest(session)
    assert newest
    for words in (part(mail, "plain"), " ".join(html.get_text().split())):
        assert REASONS[locale] in words
        for said in (operator.legal_name, operator.address.city, newest.root, "Kari Ø. Nordmann"):
            assert said in words
    for words in (part(mail, "plain"), str(html)):
        assert link in words
        assert f"{BASE}/notices/privacy?lang={locale}" in words


@pytest.mark.requirement(43)
@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_tells_that_it_was_opened_or_who_followed_a_link(
    office: Flask, locale: str
) -> None:
    """Nothing is fetched, and two readers get the same links but for the one that ends it."""
    html = BeautifulSoup(part(parsed(made(office, locale)), "html"), "html.parser")
    assert html.select("img, [src], [background], link, script, style, object, iframe, form") == []
    assert "url(" not in str(html)
    found = {str(link["href"]) for link in html.select("a[href]")}
    own = {one for one in found if TOKEN in one}
    assert own == {f"{BASE}/unsubscribe/{TOKEN}?lang={locale}"}
    for address in found - own:
        assert urlsplit(address).query in ("", f"lang={locale}", "y=1&z=2")


@pytest.mark.requirement(39)
@pytest.mark.parametrize("locale", LOCALES)
def test_the_header_to_unsubscribe_is_one_line(office: Flask, locale: str) -> None:
    """Neither folded nor encoded: an https address, then one to write to (RFC 8058 3.1)."""
    lines = made(office, locale).partition(b"\r\n\r\n")[0].split(b"\r\n")
    (header,) = [line for line in lines if line.startswith(b"List-Unsubscribe:")]
    assert header.decode() == (
        f"List-Unsubscribe: <{BASE}/unsubscribe/{TOKEN}>,"
        f" <mailto:{SENDER}?subject=unsubscribe%20{TOKEN}>"
    )
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in lines


@pytest.mark.requirement(39, 41)
@pytest.mark.parametrize("locale", LOCALES)
def test_what_comes_over_the_wire_is_read_without_the_library_that_wrote_it(
    office: Flask, locale: str
) -> None:
    """By a real server: ASCII in lines that every server takes, encoded words as RFC 2047 has
    them, parts that dkimpy and binascii read as `email` does; and the signature verifies."""
    content = made(office, locale)
    raw = sent(content)
    assert raw == content
    assert raw.isascii()
    assert re.search(rb"(?<!\r)\n|\r(?!\n)", raw) is None
    headers, body = dkim.rfc822_parse(raw)
    assert max(map(len, body.split(b"\r\n"))) <= 76
    names = [name.decode().lower() for name, _ in headers]
    assert len(names) == len(set(names))
    for name, value in headers:
        assert max(map(len, value.split(b"\r\n"))) < 998 - len(name)
        for word in re.findall(rb"=\?\S+\?=", value):
            assert len(word) <= 75
    types = dict(headers)[b"Content-Type"].decode()
    boundary = types.rpartition('boundary="')[2].strip().strip('"')
    before, plain, html, after = re.split(rf"--{boundary}(?:--)?\r\n".encode(), body)
    assert (before, after) == (b"", b"")
    mail = parsed(raw)
    for kind, piece in (("plain", plain), ("html", html)):
        decoded = binascii.a2b_qp(piece.partition(b"\r\n\r\n")[2]).decode()
        assert decoded.split() == part(mail, kind).split()
    assert dkim_keys.key().verifies(raw, "nytt.lillemini.example")


@pytest.mark.requirement(41)
def test_the_signature_covers_what_mailbox_providers_go_by(office: Flask) -> None:
    """Sender and list headers: what is changed on the way, or put before it, does not verify."""
    content = made(office)
    verifies = dkim_keys.key().verifies
    (signed,) = re.findall(rb"h=([\w:-]+);", content)
    covered = signed.decode().split(":")
    assert covered.count("from") == 2
    assert {"list-unsubscribe", "list-unsubscribe-post", "to", "subject", "date"} <= {*covered}
    assert {"message-id", "mime-version", "content-type", "reply-to"} <= {*covered}
    for old, new in (
        (TOKEN.encode(), TOKEN.swapcase().encode()),
        (b"One-Click", b"Two-Clicks"),
        (b"From: ", b"From: x"),
        (b"Punktum", b"Komma"),
    ):
        assert old in content
        assert not verifies(content.replace(old, new), "nytt.lillemini.example")
    assert not verifies(b"From: x@evil.example\r\n" + content, "nytt.lillemini.example")
    assert not verifies(content, "lillemini.example")


@pytest.mark.parametrize(
    ("name", "greeting"),
    [
        ('Kåre & "Bo" O\'Neil', 'Hei, Kåre & "Bo" O\'Neil!'),
        ("  Ole \r\n Bcc; x  ", "Hei, Ole Bcc; x!"),
        ("Ø" * 60, f"Hei, {'Ø' * 60}!"),
        (". =C =?utf?q?x?=", "Hei, . =C =?utf?q?x?=!"),
        ("子子子", "Hei, 子子子!"),
        ("Vinn en bil: bil.example", "Hei!"),
        ("<b>Kari</b>", "Hei!"),
        ("Vinn en bil\u3002example", "Hei!"),
        ("Kari \u202egnidems", "Hei!"),
        ("", "Hei!"),
    ],
)
def test_any_name_stands_in_the_greeting_as_it_is_or_not_at_all(
    office: Flask, name: str, greeting: str
) -> None:
    """Whatever is put into bytes that were made before, the mail parses, and says that name."""
    content = made(office, name=name)
    mail = parsed(content)
    html = BeautifulSoup(part(mail, "html"), "html.parser")
    assert part(mail, "plain").splitlines()[0] == greeting
    assert html.select("h1 ~ p")[0].get_text() == greeting
    assert b"\r\nBcc" not in content
    assert max(map(len, content.partition(b"\r\n\r\n")[2].split(b"\r\n"))) <= 76


@pytest.mark.parametrize("subject", ODD)
def test_any_subject_is_one_header_that_says_it(office: Flask, subject: str) -> None:
    """In printable ASCII, without an empty line where it is folded; and signed so."""
    letter = Letter("kari@example.no", "Kari", "nb", TOKEN, "<1@lillemini.example>", NOON)
    content = newsletters.composing(office)({"nb": Text(subject, "[a](/tips?x=1#place)")})(letter)[
        2
    ]
    mail = parsed(content)
    assert mail["Subject"] == " ".join(subject.split())
    head = content.partition(b"\r\n\r\n")[0].decode("ascii")
    assert head.replace("\r\n", "").isprintable()
    assert not re.search(r"^Subject: *\r\n", head, re.MULTILINE)
    assert "Bcc" not in mail
    assert dkim_keys.key().verifies(content, "nytt.lillemini.example")
    # A place on a page comes after the language.
    assert f'href="{BASE}/tips?x=1&amp;lang=nb#place"' in part(mail, "html")


def test_without_a_sender_of_their_own_there_are_no_newsletters(office: Flask) -> None:
    """Service mails keep theirs to themselves."""
    without = dataclasses.replace(office.extensions["settings"], marketing_from=None)
    other = Flask("without")
    other.extensions.update(office.extensions, settings=without)
    with pytest.raises(newsletters.NoSender):
        made(other)


class _Inbox:
    """Keeps what a server of aiosmtpd takes."""

    def __init__(self) -> None:
        self.content = b""

    async def handle_DATA(self, server: Server, session: Client, envelope: Envelope) -> str:
        """Take it."""
        assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["kari@example.no"])
        self.content = bytes(envelope.original_content or b"")
        return "250 taken"


class _Server(Controller):
    """On any free port: aiosmtpd's own would ask after itself on port 0."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        with socket.create_connection((self.hostname, self.port)) as asking:
            asking.recv(1024)


def sent(content: bytes) -> bytes:
    """The mail as a server of another make got it."""
    inbox = _Inbox()
    server = _Server(inbox, hostname="127.0.0.1", port=0)
    server.start()
    try:
        connection = transport(f"smtp://127.0.0.1:{server.port}?tls=none").connect()
        connection.offer(SENDER, "kari@example.no", content)
        connection.end()
        connection.close()
    finally:
        server.stop()
    return inbox.content
