"""Where Flask's templates meet newsletters: what one says in each language becomes mails.

All that is the same for everybody who reads a language is made once, in the very bytes that leave;
a mail then takes a name, an address and a token. Nothing in it is fetched when it is opened, and
nothing in it but the unsubscribe link differs from what anybody else can click.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime
from email import quoprimime
from email.header import Header
from email.headerregistry import Address
from email.utils import format_datetime, formataddr, parseaddr
from enum import StrEnum
from functools import partial
from typing import Any
from uuid import UUID, uuid4

from flask import Flask
from flask_babel import force_locale
from markupsafe import Markup, escape

import letters
from domain.identity import accounts
from domain.ledger import standing
from domain.locales import DEFAULT
from domain.marketing import tokens, wording
from domain.marketing.campaigns import Text
from domain.marketing.sending import Compose, Composing, Letter
from domain.subjects.errors import UnknownSubject
from settings import Settings
from signing import Signer, ascii_address, domain_of


class NoSender(Exception):
    """No newsletter can be sent: the settings name no sender for them."""

    def __init__(self) -> None:
        super().__init__("set MARKETING_FROM: newsletters have a sender of their own")


class _Slot(StrEnum):
    """What is put into a mail for its reader. Its value stands in what is rendered, and nobody
    can write it."""

    TEXT_NAME = f"textname{secrets.token_hex(8)}"
    HTML_NAME = f"htmlname{secrets.token_hex(8)}"
    TOKEN = f"token{secrets.token_hex(8)}"


_SLOTS = re.compile(f"({'|'.join(_Slot)})")
_EOL = "\r\n"
_BREAK = b"=\r\n"


def composing(app: Flask) -> Composing:
    """What makes newsletters of this site. Raises NoSender when it is asked to without one."""
    return partial(_compose, app)


def _compose(app: Flask, texts: Mapping[str, Text]) -> Compose:
    """Makes the mails of one newsletter; its languages are rendered when the first mail is."""
    made: dict[str, _Mails] = {}

    def compose(letter: Letter) -> tuple[str, str, bytes]:
        locale = letter.locale if letter.locale in texts else DEFAULT
        if locale not in made:
            made[locale] = _Mails(app, locale, texts[locale])
        return made[locale].mail(letter)

    return compose


class _Mails:
    """The mails of one newsletter in one language."""

    def __init__(self, app: Flask, locale: str, text: Text):
        settings: Settings = app.extensions["settings"]
        if settings.marketing_from is None:
            raise NoSender
        name, address = parseaddr(settings.marketing_from)
        self._domain = domain_of(address)
        self._sender = ascii_address(address)
        self._signer: Signer | None = app.extensions.get("signer")
        self._page = f"{settings.base_url}/unsubscribe/"
        boundary = f"=_{secrets.token_hex(12)}"  # quoted-printable never has =_ in it
        self._head = _head(app, locale, text, _named(name, self._sender), boundary)
        rendered = {named: _rendered(app, locale, text, named=named) for named in (True, False)}
        self._bodies = {named: _body(*both, boundary) for named, both in rendered.items()}

    def mail(self, letter: Letter) -> tuple[str, str, bytes]:
        """The envelope's sender and recipient, and the mail."""
        local, _, domain = letter.to.rpartition("@")
        to = Address(username=local, domain=domain).addr_spec
        token = letter.token
        own = (
            f"To: {to}\r\nDate: {format_datetime(letter.at)}\r\nMessage-ID: {letter.message_id}\r\n"
            # One line: what is folded, or encoded, is no link to most who look for one.
            f"List-Unsubscribe: <{self._page}{token}>,"
            f" <mailto:{self._sender}?subject=unsubscribe%20{token}>\r\n"
        )
        name = letters.greeted(letter.name)
        filled: dict[_Slot, bytes] = {_Slot.TOKEN: _quoted(token)}
        if name is not None:
            filled[_Slot.TEXT_NAME] = _quoted(name)
            filled[_Slot.HTML_NAME] = _quoted(str(escape(name)))
        body = [
            filled[piece] if isinstance(piece, _Slot) else piece
            for piece in self._bodies[name is not None]
        ]
        content = b"".join((own.encode("ascii"), self._head, *body))
        if self._signer is not None:
            content = self._signer.header(content, self._domain, letter.at) + content
        return self._sender, to, content


def _head(app: Flask, locale: str, text: Text, sender: str, boundary: str) -> bytes:
    """The headers that are everybody's, and the line that ends them.

    A newsletter is written by a person, so it must not say Auto-Submitted (RFC 3834 5); that it
    went to many is told by List-Id (RFC 2919) and, for programs older than that, Precedence.
    """
    subject = " ".join(text.subject.split())
    # As encoded words where it has what no header may have, or what cannot be folded.
    plain = subject.isascii() and subject.isprintable() and "=?" not in subject
    plain = plain and max(map(len, subject.split()), default=0) < 66
    encoded = Header(subject, "us-ascii" if plain else "utf-8", 76, "Subject")
    return (
        f"From: {sender}{_EOL}"
        f"Reply-To: {ascii_address(app.extensions['operator'].email)}{_EOL}"
        f"Subject: {encoded.encode(linesep=_EOL)}{_EOL}"
        f"List-Id: <newsletter.{domain_of(sender)}>{_EOL}"
        f"List-Unsubscribe-Post: List-Unsubscribe=One-Click{_EOL}"
        f"Precedence: bulk{_EOL}"
        f"MIME-Version: 1.0{_EOL}"
        f'Content-Type: multipart/alternative; boundary="{boundary}"{_EOL}'
        f"Content-Language: {locale}{_EOL}{_EOL}"
    ).encode("ascii")


def _named(name: str, address: str) -> str:
    """A sender. A name that is not ASCII is encoded in words of 75 (RFC 2047 2), which `formataddr`
    does not see to."""
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8', 76, 'From').encode(linesep=_EOL)} <{address}>"


def _rendered(app: Flask, locale: str, text: Text, *, named: bool) -> tuple[str, str]:
    """Text and HTML, with the slots in them."""
    settings: Settings = app.extensions["settings"]

    def page(path: str) -> str:
        before, mark, place = path.partition("#")
        and_ = "&" if "?" in before else "?"
        return f"{settings.base_url}{before}{and_}lang={locale}{mark}{place}"

    with app.extensions["database"].reading() as session:
        newest = standing.newest(session)
    words: dict[str, Any] = {
        "locale": locale,
        "operator": app.extensions["operator"],
        "subject": " ".join(text.subject.split()),
        "page": page,
        "unsubscribe": page(f"/unsubscribe/{_Slot.TOKEN}"),
        "newest": newest,
    }
    plain = {**words, "said": wording.to_text(text.words, page)}
    html = {**words, "said": Markup(wording.to_html(text.words, page))}  # noqa: S704 - cleaned
    if named:
        plain["name"], html["name"] = _Slot.TEXT_NAME.value, _Slot.HTML_NAME.value
    with app.app_context(), force_locale(locale):
        environment = app.jinja_env
        return (
            letters.tidy(environment.get_template("newsletters/body.txt").render(plain)),
            environment.get_template("newsletters/body.html").render(html),
        )


def _body(plain: str, html: str, boundary: str) -> tuple[bytes | _Slot, ...]:
    pieces: list[bytes | _Slot] = []
    for kind, content in (("plain", plain), ("html", html)):
        pieces.append(
            f"--{boundary}{_EOL}"
            f"Content-Type: text/{kind}; charset=utf-8{_EOL}"
            f"Content-Transfer-Encoding: quoted-printable{_EOL}{_EOL}".encode("ascii")
        )
        pieces += _slotted(content)
        pieces.append(_EOL.encode())
    return (*pieces, f"--{boundary}--{_EOL}".encode("ascii"))


def _slotted(content: str) -> list[bytes | _Slot]:
    """Quoted-printable around the slots, each of which has lines of its own by soft breaks, so
    that what is put there needs no look at what stands around it."""
    pieces: list[bytes | _Slot] = []
    for number, part in enumerate(_SLOTS.split(content)):
        if number % 2:
            pieces += [_BREAK, _Slot(part), _BREAK]
        else:
            pieces.append(_quoted(part))
    return pieces


def _quoted(text: str) -> bytes:
    """As quoted-printable (RFC 2045 6.7), with lines of 76."""
    return quoprimime.body_encode(text.encode().decode("latin-1"), 76, _EOL).encode("ascii")


def send_test(app: Flask, texts: Mapping[str, Text], subject_id: UUID, *, at: datetime) -> int:
    """Send a newsletter, in each language that it has, to this person; return how many mails.

    Its links work: whoever presses the button in it unsubscribes themselves. Raises
    TransportError where the mail server does not take it, and NoSender.
    """
    parts = app.extensions
    settings: Settings = parts["settings"]
    with parts["database"].reading() as session:
        account = accounts.of_subject(session, subject_id)
        if account is None:
            raise UnknownSubject(subject_id)
        person = accounts.person(session, account)
    compose = composing(app)(texts)
    with closing(parts["worker"].transport.connect()) as connection:
        for locale in texts:
            token = tokens.make(settings.keys, subject_id, at)
            number = f"<{uuid4().hex}@{domain_of(settings.marketing_from or '')}>"
            letter = Letter(person.email, person.name, locale, token, number, at)
            connection.offer(*compose(letter))
            connection.end()
    return len(texts)
