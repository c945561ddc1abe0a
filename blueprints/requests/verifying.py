"""Following a mailed link: to show that a request is one's own, to see a case, to stay after all.

Opening it changes nothing; a button does (link_session.py).
"""

from __future__ import annotations

from datetime import datetime

from flask import url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

import link_session
import underway
from blueprints.requests import bp
from blueprints.requests.admission import admit
from domain.consent.purposes import purposes
from domain.identity import limits, signed_links
from domain.identity.errors import BadLink, ExpiredLink
from domain.identity.limits import LimitKind
from domain.identity.models import SignedLink
from domain.identity.signed_links import LinkKind
from domain.rights import cases, erasure, exports, requests
from domain.rights.intake import LINKS
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind, RequestState
from extensions import client_ip, locale, now, reading, transaction
from forms import EmptyForm

_KINDS = (*LINKS.values(), LinkKind.CASE, LinkKind.COPY, LinkKind.CANCEL)
_ASKED = {link: kind for kind, link in LINKS.items()}


@bp.get("/requests/verify/<token>")
def verify(token: str) -> ResponseReturnValue:
    """Take the token out of the address bar. Changes nothing."""
    return link_session.keep("request", token, "requests.verify_request")


@bp.route("/requests/verify", methods=["GET", "POST"])
def verify_request() -> ResponseReturnValue:
    """Show a button that says what it does, and do it when it is pressed."""
    form = EmptyForm()
    token = link_session.kept("request")
    try:
        if not form.validate_on_submit():
            with reading() as session:
                link = link_session.look(session, _KINDS, token, at=now())
                asked = _asked(session, link)
                unverified = link.kind in _ASKED and asked.state == RequestState.RECEIVED
                texts = cases.texts(session, asked) if unverified else []
                about = purposes(session).purposes.get(asked.about_purpose or "")
            return link_session.page(
                "requests/verify.html",
                form=form,
                via=link.kind,
                request=asked,
                about=about.text[locale()].name if about else None,
                stops=about is not None and about.optional,
                # Anybody may have written them: who presses the button makes them their own.
                texts=texts,
            )
        with transaction() as session:
            limits.spend(session, LimitKind.LINK, link=token, ip=client_ip(), at=now())
        with transaction() as session:
            at = now()
            kind = LinkKind(link_session.look(session, _KINDS, token, at=at).kind)
            asked = _follow(session, kind, token, at=at)
        if asked.subject_id is not None:  # a restriction or an objection may stop newsletters
            underway.wait(asked.subject_id)
    except ExpiredLink as expired:
        kind = LinkKind(expired.kind)
        return link_session.expired(_again(kind), brief=kind in _ASKED)
    except BadLink:
        return link_session.bad()
    link_session.drop()
    return _onward(kind, asked)


def _asked(session: Session, link: SignedLink) -> DataSubjectRequest:
    """The request that the link is bound to. Raises BadLink where it is gone."""
    found = requests.get(session, link.request_id) if link.request_id else None
    if found is None or found.subject_id is None:
        raise BadLink
    return found


def _follow(session: Session, kind: LinkKind, token: str, *, at: datetime) -> DataSubjectRequest:
    """What the button does: for each kind of link its own thing, and never another's."""
    if kind in (LinkKind.CASE, LinkKind.COPY):
        # It shows and does nothing, so it is not used up: the case is followed as it goes on, and
        # a copy may be fetched until it was.
        return _asked(session, signed_links.look(session, kind, token, at=at))
    link = signed_links.consume(session, kind, token, at=at)
    asked = _asked(session, link)
    taken = requests.take(session, asked.id) or asked
    if kind is LinkKind.CANCEL:
        erasure.cancel(session, taken, at=at)
    elif requests.verify(session, taken, channel="link", at=at):
        cases.execute(session, taken, at=at)
    return taken


def _onward(kind: LinkKind, asked: DataSubjectRequest) -> ResponseReturnValue:
    """On to the case; a rectification goes straight to what is to be corrected."""
    if kind is LinkKind.CASE or kind is LinkKind.CANCEL:
        return admit(asked, acting=False)
    if kind is LinkKind.COPY:
        with reading() as session:
            there = exports.is_there(session, asked.id)
        return admit(asked, acting=there)
    verified = asked.state == RequestState.VERIFIED
    if asked.kind == RequestKind.RECTIFICATION and verified:
        return admit(asked, acting=True, page="requests.details")
    return admit(asked, acting=True)


def _again(kind: LinkKind) -> str:
    """Where to ask for the same again."""
    if kind in _ASKED:
        return url_for("requests.new", kind=_ASKED[kind].value)
    if kind is LinkKind.COPY:
        return url_for("requests.new", kind=RequestKind.ACCESS.value)
    return url_for("requests.follow")
