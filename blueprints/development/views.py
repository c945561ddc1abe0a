"""Mail that went into the folder, to read and to follow its links. Development only."""

from __future__ import annotations

import email
import re
from collections.abc import Iterator
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import NamedTuple

from flask import Blueprint, Response, abort, current_app, render_template
from flask.typing import ResponseReturnValue

import headers
from domain.delivery.transports import POLICY, FolderTransport

bp = Blueprint("development", __name__, url_prefix="/dev")

# What FolderTransport names its files. Nothing else is opened, so no path leads out.
_NAME = re.compile(r"[0-9TZ]+-[0-9a-f]{32}\.eml")
_LINK = re.compile(r"https?://[^\s<>]+")
_SHOWN = ("Date", "From", "Reply-To", "To", "Subject", "Message-ID", "Content-Language")
_SANDBOX = "allow-popups allow-top-navigation-by-user-activation"


class Listed(NamedTuple):
    """A line of the list."""

    name: str
    at: datetime
    to: str
    subject: str


class Piece(NamedTuple):
    """A run of text, which may be a link."""

    text: str
    link: bool


@bp.get("/mail")
def mailbox() -> ResponseReturnValue:
    """List the mails, newest first."""
    folder = _folder()
    # Names begin with the time.
    names = sorted((path.name for path in folder.glob("*.eml")), reverse=True)
    return render_template("development/mailbox.html", mails=[*_listed(folder, names)])


@bp.get("/mail/<name>")
def mail(name: str) -> ResponseReturnValue:
    """Show one mail: its headers, its text, and its HTML in a frame."""
    mail = _read(_folder(), name)
    response = Response(
        render_template(
            "development/mail.html",
            name=name,
            subject=str(mail["Subject"]),
            shown=[(header, str(mail[header])) for header in _SHOWN if header in mail],
            lines=[[*_pieces(line)] for line in _body(mail, "plain").splitlines()],
            attached=[part.get_filename() for part in mail.iter_attachments()],
            sandbox=_SANDBOX,
        )
    )
    policy = headers.policy(headers.csp_nonce())
    response.headers["Content-Security-Policy"] = f"{policy}; frame-src 'self'"
    return response


@bp.get("/mail/<name>/html")
def html(name: str) -> ResponseReturnValue:
    """The HTML part alone, as a mail program would show it; its links open in the whole window."""
    text = _body(_read(_folder(), name), "html")
    response = Response(text.replace("<head>", '<head><base target="_top">', 1))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        f" frame-ancestors 'self'; sandbox {_SANDBOX}"
    )
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@bp.get("/mail/<name>/<int:number>")
def attachment(name: str, number: int) -> ResponseReturnValue:
    """One of the files that the mail carries, to keep."""
    parts = list(_read(_folder(), name).iter_attachments())
    if number >= len(parts):
        abort(404)
    part = parts[number]
    content = part.get_payload(decode=True)
    response = Response(content, mimetype=part.get_content_type())
    response.headers.set("Content-Disposition", "attachment", filename=part.get_filename())
    return response


def _folder() -> Path:
    transport = current_app.extensions["worker"].transport
    if not isinstance(transport, FolderTransport):
        abort(404)
    return transport.path


def _read(folder: Path, name: str) -> EmailMessage:
    if not _NAME.fullmatch(name):
        abort(404)
    try:
        content = (folder / name).read_bytes()
    except FileNotFoundError:
        abort(404)
    return email.message_from_bytes(content, policy=POLICY)


def _listed(folder: Path, names: list[str]) -> Iterator[Listed]:
    for name in filter(_NAME.fullmatch, names):
        try:
            mail = email.message_from_bytes((folder / name).read_bytes(), policy=POLICY)
        except FileNotFoundError:  # somebody was erased meanwhile
            continue
        yield Listed(name, mail["Date"].datetime, str(mail["To"]), str(mail["Subject"]))


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else ""


def _pieces(line: str) -> Iterator[Piece]:
    """The line, cut where links begin and end: the template makes them clickable."""
    end = 0
    for found in _LINK.finditer(line):
        yield Piece(line[end : found.start()], False)
        yield Piece(found.group(), True)
        end = found.end()
    yield Piece(line[end:], False)
