"""Where a signed link's token goes when it leaves the address bar.

Opening a mailed link, by a person or by a scanner, only moves its token into the visitor's own
session cookie and shows a page with a button. Nothing is looked up for change, nothing is used
up, until the button is pressed (requirements 69, 71).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flask import Response, make_response, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from domain.identity import signed_links
from domain.identity.errors import BadLink
from domain.identity.models import SignedLink
from domain.identity.signed_links import LinkKind
from domain.locales import LOCALES

_LONGEST = 200  # a token is about 80 characters; nothing longer is carried about


def keep(use: str, token: str, endpoint: str) -> Response:
    """Take the token out of the address and go on to the page with the button."""
    cookie["link"] = {"use": use, "token": token[:_LONGEST]}
    lang = request.args.get("lang")
    response = redirect(url_for(endpoint, lang=lang if lang in LOCALES else None), code=303)
    return _private(make_response(response))


def kept(use: str) -> str:
    """The token that was kept for this use; empty when there is none."""
    link = cookie.get("link")
    return link["token"] if isinstance(link, dict) and link.get("use") == use else ""


def drop() -> None:
    """Forget the kept token."""
    cookie.pop("link", None)


def look(session: Session, kinds: Sequence[LinkKind], token: str, *, at: datetime) -> SignedLink:
    """The link of whichever of these kinds it is. Raises BadLink or ExpiredLink."""
    for kind in kinds:
        try:
            return signed_links.look(session, kind, token, at=at)
        except BadLink:
            continue
    raise BadLink


def page(template: str, **values: object) -> Response:
    """A page that was reached by a link: never stored, never named to another site."""
    return _private(make_response(render_template(template, **values)))


def bad() -> ResponseReturnValue:
    """One neutral page for every link that does not work, whatever is wrong with it."""
    return page("links/bad.html"), 404


def expired(again: str, *, brief: bool = True) -> ResponseReturnValue:
    """A genuine link whose time is past, and where to ask for a new one. `brief` ones work for
    as long as the page says."""
    return page("links/expired.html", again=again, brief=brief), 410


def _private(response: Response) -> Response:
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
