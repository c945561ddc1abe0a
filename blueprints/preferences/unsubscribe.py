"""The link in every newsletter that ends it: for people, and for mail programs (RFC 8058)."""

from __future__ import annotations

from flask import Response, request, url_for
from flask.typing import ResponseReturnValue

import link_session
from blueprints.preferences import bp
from domain.consent import presentations
from domain.locales import LOCALES
from domain.marketing import tokens
from domain.marketing.errors import BadToken
from domain.rights import unsubscribing
from extensions import csrf, database, locale, now, reading, settings

_FIELD, _VALUE = "list-unsubscribe", "one-click"


@bp.route("/unsubscribe/<token>", methods=["GET", "POST"])
@csrf.exempt  # the token in the address is the proof, and a mail program has no other
def unsubscribe(token: str) -> ResponseReturnValue:
    """Show a button, whoever the token is about and whatever they have chosen; end the newsletter
    when it is pressed, or when a mail program does the same. No cookie, and no redirect."""
    try:
        asked = tokens.read(settings().keys, token)
    except BadToken:
        return link_session.page("preferences/unsubscribe_bad.html"), 400
    if request.method != "POST":
        return _page(token)
    if not _one_click():
        return _page(token), 400
    # The page names the language that it was in; a mail program names none.
    lang = request.args.get("lang")
    stopped = unsubscribing.unsubscribe(
        database(), asked, lang if lang in LOCALES else None, at=now()
    )
    return link_session.page("preferences/unsubscribed.html", stopped=stopped)


def _page(token: str) -> Response:
    with reading() as session:
        document = presentations.current(session, unsubscribing.SURFACE, locale(), at=now())
    action = url_for("preferences.unsubscribe", token=token, lang=locale())
    return link_session.page(
        "preferences/unsubscribe.html", content=document.content, action=action
    )


def _one_click() -> bool:
    """Whether the body says `List-Unsubscribe=One-Click`, in any case and whatever else it says."""
    return any(
        name.casefold() == _FIELD and value.strip().casefold() == _VALUE
        for name, value in request.form.items(multi=True)
    )
