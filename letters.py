"""Where Flask's templates meet delivery: a queued message becomes a mail in its reader's language.

Only settings, the message and the ledger decide what a mail says: there is no request here, so
no link can take its address from a Host header.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Any
from urllib.parse import quote

import idna
from flask import Flask
from flask_babel import force_locale

from domain.consent.operator import Operator
from domain.delivery.errors import UnknownKind
from domain.delivery.outbox import LAST_MAILS, MAIL
from domain.delivery.transports import POLICY
from domain.identity.signed_links import FOLLOWED
from domain.ledger import standing
from domain.locales import DEFAULT, LOCALES
from domain.rights import enclosures, intake, telling
from domain.rights.enclosures import Recorded
from settings import Settings

# Where the token of each mail that carries one is taken.
_PATHS = {
    "confirm": "/confirm/",
    "new_address": "/confirm/",
    "check_address": "/confirm/",
    "reset": "/password/reset/",
    **{kind.value: "/requests/verify/" for kind in intake.LINKS},
    "erasure_waiting": "/requests/verify/",
    **{kind.removeprefix(MAIL): "/requests/verify/" for kind in telling.FOLLOWING},
    "export_ready": "/requests/verify/",
    "imported": "/password/reset/",
}
LETTERS = (
    *_PATHS,
    "already_registered",
    "address_changing",
    "address_changed",
    "reset_unknown",
    "password_changed",
    "request_unknown",
    "request_received",
    "case_unknown",
    "choices",
    "renewal",
    "notice_changed",
    "access_done",
    "rectification_done",
    "restriction_placed",
    "restriction_ending",
    "restriction_lifted",
    "request_closed",
    "subscription_ended",
    "account_ending",
    "account_ended",
    "objection_done",
    "erasure_done",
    # To the operator, and to processors.
    "case_opened",
    "case_due",
    "hold_review",
    "recipient_told",
)
# What a payload has as text, and the templates show as a day or a time.
_TIMES = {
    "ended_on": date.fromisoformat,
    "effective_on": date.fromisoformat,
    "until": datetime.fromisoformat,
    "review_on": date.fromisoformat,
    "accounting": date.fromisoformat,
}
# Anybody can enter somebody else's address and, as the name, an advertisement with a link.
# Mail programs make links of such names, so we do not repeat them. Some take the full stops of East
# Asia for ours, as browsers do (UTS #46).
_NO_NAME = re.compile(r"[/:@<>\\\d]|\S[.\u3002\uff0e\uff61]\S|.{61}")


def render(
    app: Flask, kind: str, payload: Mapping[str, Any], message_id: str, at: datetime
) -> EmailMessage:
    """Make the mail that `kind` names of what was posted, with the receipts of its entries that
    can be made now, and the newest checkpoint in its footer. Raises UnknownKind."""
    name = kind.removeprefix(MAIL)
    if name not in LETTERS:
        raise UnknownKind(kind)
    settings: Settings = app.extensions["settings"]
    operator: Operator = app.extensions["operator"]
    locale = payload["locale"] if payload["locale"] in LOCALES else DEFAULT
    with app.extensions["database"].reading() as session:
        recorded = enclosures.recorded(session, payload, locale)
        about = enclosures.name_of(session, payload.get("about_purpose"), locale)
        newest = standing.newest(session)
    with app.app_context(), force_locale(locale):
        words = {
            **_words(name, payload, settings, locale),
            "operator": operator,
            "about": about,
            "recorded": recorded,
            "newest": newest,
            # Nobody can sign in, or can any more, to get what is missing.
            "erased": kind in LAST_MAILS or not payload.get("account", True),
        }
        subject = " ".join(_text(app, f"{name}/subject.txt", words).split())
        plain = tidy(_text(app, f"{name}/body.txt", words))
        html = _text(app, f"{name}/body.html", {**words, "subject": subject})
    mail = EmailMessage(policy=POLICY)
    mail["From"] = settings.mail_from
    mail["Reply-To"] = operator.email
    # The address alone: a name would add nothing but ways to write it wrongly.
    local, _, domain = payload["to"].rpartition("@")
    mail["To"] = Address(username=local, domain=_ascii(domain))
    mail["Subject"] = subject
    mail["Date"] = at
    mail["Message-ID"] = message_id
    # RFC 3834: no vacation answers, please.
    mail["Auto-Submitted"] = "auto-generated"
    # Every server takes it (8bit they need not), and it keeps long links whole.
    mail.set_content(plain, cte="quoted-printable")
    mail.add_alternative(html, subtype="html", cte="quoted-printable")
    _enclose(mail, recorded)
    # Late: making the mail multipart moves Content-* into its first part.
    mail["Content-Language"] = locale
    if (signer := app.extensions.get("signer")) is not None:
        signer.sign(mail, at)
    return mail


def ready(app: Flask, payload: Mapping[str, Any]) -> bool:
    """Whether every receipt that a mail is to carry can be made. The worker waits a little."""
    if not payload.get("entries"):
        return True
    with app.extensions["database"].reading() as session:
        return enclosures.ready(session, payload)


def mail_domain(settings: Settings) -> str:
    """What stands on the right of our Message-IDs: the sender's own domain."""
    return _ascii(parseaddr(settings.mail_from)[1].rpartition("@")[2])


def _words(
    name: str, payload: Mapping[str, Any], settings: Settings, locale: str
) -> dict[str, Any]:
    """What the templates speak of. `page(path)` is an address on this site in their language."""

    def page(path: str) -> str:
        return f"{settings.base_url}{path}?lang={locale}"

    path, due_on = _PATHS.get(name), payload.get("due_on")
    return {
        **payload,
        "locale": locale,
        "name": greeted(payload.get("name")),
        "due_on": date.fromisoformat(due_on) if due_on else None,
        "cases": [
            {**one, "due_on": date.fromisoformat(one["due_on"])} for one in payload.get("cases", ())
        ],
        **{field: read(payload[field]) for field, read in _TIMES.items() if payload.get(field)},
        **{
            listed: [
                {**one, "until": date.fromisoformat(one["until"])}
                for one in payload.get(listed, ())
            ]
            for listed in ("kept", "asked")
        },
        "follow_days": FOLLOWED.days if f"{MAIL}{name}" in telling.FOLLOWING else None,
        "link": page(path + quote(payload["token"], safe="")) if path else None,
        "minutes": int(settings.link_lifetime.total_seconds() // 60),
        "page": page,
    }


def _enclose(mail: EmailMessage, recorded: Sequence[Recorded]) -> None:
    for one in recorded:
        if one.receipt is not None:
            mail.add_attachment(
                one.receipt, maintype="application", subtype="json", filename=one.file_name
            )


def _text(app: Flask, template: str, words: Mapping[str, Any]) -> str:
    # Not flask.render_template: context processors belong to requests.
    return app.jinja_env.get_template(f"email/{template}").render(words)


def greeted(name: str | None) -> str | None:
    """The name as a mail may repeat it; None where it could be somebody's advertisement."""
    plain = " ".join((name or "").split())
    # What turns the direction of writing, or is not seen, would change the mail's own words.
    return plain if plain.isprintable() and plain and not _NO_NAME.search(plain) else None


def _ascii(domain: str) -> str:
    """The domain as every mail server can take it: `blåbær.no` has an ASCII form too."""
    return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()


def tidy(text: str) -> str:
    """Text without what template tags leave: trailing blanks and runs of empty lines."""
    lines = "\n".join(line.strip() for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n"
