"""Correcting one's details by a link, without an account session (GDPR art. 16)."""

from __future__ import annotations

from datetime import datetime

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import link_session
from blueprints.requests import bp
from blueprints.requests.admission import may_act, visible
from blueprints.requests.forms import CorrectionForm
from domain.consent.purposes import purposes
from domain.identity import accounts
from domain.rights import recipients, requests, telling
from domain.rights.errors import NotVerified
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind, RequestState
from extensions import keeps_typed, now, reading, transaction


@bp.route("/requests/<reference>/details", methods=["GET", "POST"])
@keeps_typed
def details(reference: str) -> ResponseReturnValue:
    """Name, phone and address, for half an hour after the link was followed. The e-mail address
    stays: it is what the link proved."""
    asked = visible(reference)
    open_ = asked.kind == RequestKind.RECTIFICATION and asked.state == RequestState.VERIFIED
    if asked.subject_id is None or not open_ or not may_act(asked):
        return _to("requests.show", asked)
    with reading() as session:
        own = accounts.of_subject(session, asked.subject_id)
        person = accounts.person(session, own) if own else None
        register = purposes(session)
    if person is None:
        # Somebody who wrote to us and has no account: there is nothing but their words to correct.
        return _to("requests.write", asked)
    form = CorrectionForm(obj=person)
    if not form.validate_on_submit():
        values = {"form": form, "request": asked, "register": register, "email": person.email}
        page = link_session.page("requests/details.html", **values)
        return page, 422 if form.errors else 200
    with transaction() as session:
        saved = _correct(session, asked, form, at=now())
    if saved:
        flash(_("Your details are saved."), "success")
    return _to("requests.show", asked)


def _correct(
    session: Session, asked: DataSubjectRequest, form: CorrectionForm, *, at: datetime
) -> bool:
    """Save and close, once; False where it was closed in another window."""
    taken = requests.take(session, asked.id)
    if taken is None or taken.subject_id is None:
        return False
    own = accounts.of_subject(session, taken.subject_id)
    try:
        if own is None or not requests.fulfil(session, taken, at=at):
            return False
    except NotVerified:
        return False
    accounts.update(session, own, form.person(accounts.person(session, own).email), at=at)
    recipients.tell(session, taken.subject_id, "rectification", at=at)
    telling.tell(session, taken, "mail.rectification_done", at=at)
    return True


def _to(page: str, asked: DataSubjectRequest) -> ResponseReturnValue:
    return redirect(url_for(page, reference=asked.reference), code=303)
