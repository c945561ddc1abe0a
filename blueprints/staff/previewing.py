"""Newsletters as their readers get them: on a page, and as a test in one's own mailbox."""

from __future__ import annotations

import email
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from flask import Response, abort, current_app, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

import headers
import newsletters
from blueprints.staff import bp
from blueprints.staff.campaigns import in_order
from domain.delivery.errors import TransportError
from domain.delivery.transports import POLICY
from domain.identity import accounts
from domain.marketing import campaigns
from domain.marketing.campaigns import Text
from domain.marketing.errors import UnknownCampaign
from domain.marketing.sending import Letter
from extensions import current_user, for_staff, now, reading, settings

# A preview's links do nothing: the token is none.
NO_TOKEN = "x" * 64
_SHOWN = ("From", "Reply-To", "Subject", "List-Unsubscribe", "List-Unsubscribe-Post")
_SANDBOX = "allow-popups allow-top-navigation-by-user-activation"


@bp.get("/campaigns/<uuid:campaign_id>/preview/<locale>")
@for_staff
def preview(campaign_id: UUID, locale: str) -> ResponseReturnValue:
    """A newsletter in one language as it would reach you: its headers, its text, and its HTML in
    a frame."""
    texts, mail = _mail(campaign_id, locale)
    response = Response(
        render_template(
            "staff/preview.html",
            campaign_id=campaign_id,
            language=locale,
            texts=texts,
            shown=[(name, str(mail[name])) for name in _SHOWN],
            lines=_body(mail, "plain").splitlines(),
            sandbox=_SANDBOX,
        )
    )
    policy = headers.policy(headers.csp_nonce())
    response.headers["Content-Security-Policy"] = f"{policy}; frame-src 'self'"
    return response


@bp.get("/campaigns/<uuid:campaign_id>/preview/<locale>/html")
@for_staff
def preview_html(campaign_id: UUID, locale: str) -> ResponseReturnValue:
    """The HTML part alone, as a mail program would show it."""
    text = _body(_mail(campaign_id, locale)[1], "html")
    response = Response(text.replace("<head>", '<head><base target="_top">', 1))
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
        f" frame-ancestors 'self'; sandbox {_SANDBOX}"
    )
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


@bp.post("/campaigns/<uuid:campaign_id>/test")
@for_staff
def test(campaign_id: UUID) -> ResponseReturnValue:
    """Send it to yourself, in each language that is written."""
    texts = _texts(campaign_id)
    if not texts or settings().marketing_from is None:
        abort(400)
    app: Any = current_app
    try:
        number = newsletters.send_test(
            app._get_current_object(), texts, current_user.subject_id, at=now()
        )
    except TransportError:
        flash(_("The test was not sent: the mail server did not take it."), "error")
    else:
        told = _("Tests on their way to your own address: %(number)s.", number=number)
        flash(told, "success")
    return redirect(url_for(".campaign", campaign_id=campaign_id), code=303)


def _mail(campaign_id: UUID, locale: str) -> tuple[dict[str, Text], EmailMessage]:
    texts = _texts(campaign_id)
    if locale not in texts or settings().marketing_from is None:
        abort(404)
    app: Any = current_app
    with reading() as session:
        account = accounts.of_subject(session, current_user.subject_id)
        if account is None:
            abort(404)
        person = accounts.person(session, account)
    compose = newsletters.composing(app._get_current_object())(texts)
    letter = Letter(person.email, person.name, locale, NO_TOKEN, "<preview>", now())
    return texts, email.message_from_bytes(compose(letter)[2], policy=POLICY)


def _texts(campaign_id: UUID) -> dict[str, Text]:
    try:
        with reading() as session:
            campaigns.get(session, campaign_id)
            return in_order(campaigns.texts(session, campaign_id))
    except UnknownCampaign:
        abort(404)


def _body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body(preferencelist=(kind,))
    return str(part.get_content()) if part is not None else ""
