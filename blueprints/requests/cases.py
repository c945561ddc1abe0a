"""A case: how far it has come, what was written, what comes next, and its one button."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.exceptions import NotFound

import link_session
from blueprints.requests import bp, copies, erasing
from blueprints.requests.admission import admit, is_own, may_act, visible
from blueprints.requests.forms import PasswordForm, WordsForm
from domain.consent.purposes import purposes
from domain.identity import limits
from domain.identity.limits import LimitKind
from domain.rights import cases, exports, overview, requests, restricting
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import OPEN, RequestKind, RequestState
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    current_user,
    keeps_typed,
    locale,
    login_required,
    now,
    reading,
    reauthenticate,
    settings,
    transaction,
)
from forms import EmptyForm

_COPIES = (RequestKind.ACCESS, RequestKind.PORTABILITY)
_ALONE = {
    RequestKind.ACCESS.value: "copy",
    RequestKind.PORTABILITY.value: "copy",
    RequestKind.ERASURE.value: "now",
    RequestKind.RESTRICTION.value: "lift",
}


@bp.route("/requests/<reference>", methods=["GET", "POST"])
def show(reference: str) -> ResponseReturnValue:
    """What came of a request; and for who may, its button."""
    asked = visible(reference)
    form = EmptyForm()
    may = _allowed(asked)
    if form.validate_on_submit():
        # The button that is alone on its page need not say which it is.
        action = request.form.get("action", _ALONE.get(asked.kind) if not asked.act_at else None)
        if action in may:
            return _act(asked, action)
    return link_session.page(
        "requests/show.html",
        form=form,
        request=asked,
        may=may,
        inventory=INVENTORY,
        grace=settings().erasure_grace,
        mail_folder=settings().development and settings().mail_url.startswith("folder:"),
        **_told(asked),
    )


@bp.route("/requests/<reference>/write", methods=["GET", "POST"])
@keeps_typed
def write(reference: str) -> ResponseReturnValue:
    """Write something more in a case."""
    form = WordsForm()
    try:
        asked = visible(reference)
    except NotFound:
        if not form.is_submitted():
            raise
        return _signed_out(reference, form)
    if "write" not in _allowed(asked):
        return _back(asked)
    if not form.validate_on_submit():
        page = link_session.page("requests/write.html", form=form, kind=asked.kind, back=reference)
        return page, 422 if form.errors else 200
    at = now()
    with transaction() as session:
        limits.spend(session, LimitKind.REQUEST, ip=client_ip(), at=at)
    with transaction() as session:
        taken = requests.take(session, asked.id)
        if taken is not None and taken.subject_id is not None and taken.state in OPEN:
            cases.write(session, taken, "person", form.words.data, at=at)
            flash(_("What you wrote is in the case."), "success")
    return _back(asked)


@bp.route("/requests/<reference>/copy", methods=["GET", "POST"])
@login_required
@keeps_typed
def copy(reference: str) -> ResponseReturnValue:
    """Go on to one's own copy that is ready, with the password (requirement 73)."""
    asked = visible(reference)
    with reading() as session:
        kept = exports.of_request(session, asked.id)
        there = exports.is_there(session, asked.id)
    if not there or not is_own(asked) or may_act(asked):
        return _back(asked)
    form = PasswordForm()
    if form.validate_on_submit():
        if reauthenticate(form.password.data) is not None:
            return admit(asked, acting=True)
        form.password.errors = [_("This is not your password")]
    page = link_session.page("requests/own_copy.html", form=form, copy=kept)
    return page, 422 if form.errors else 200


def _signed_out(reference: str, form: WordsForm) -> ResponseReturnValue:
    """The session ended while somebody wrote: what they wrote must not be lost. The same answer
    whether there is such a case or not."""
    form.form_errors.append(_("You have been signed out, and nothing was sent."))
    page = link_session.page("requests/write.html", form=form, kind=None, back=reference)
    return page, 403


@bp.post("/requests/lift")
@login_required
def lift() -> ResponseReturnValue:
    """Let what was restricted go on."""
    with transaction() as session:
        restricting.lift(session, current_user.subject_id, at=now())
    flash(_("The restriction is lifted."), "success")
    return redirect(url_for("requests.privacy"), code=303)


def _allowed(asked: DataSubjectRequest) -> set[str]:
    """What can be done here and now: a copy taken, an erasure done, put off or stopped, words
    added, a restriction lifted."""
    proved = may_act(asked)
    if asked.subject_id is None or not (proved or is_own(asked)):
        return set()
    verified = asked.state == RequestState.VERIFIED
    may = set()
    if asked.kind in _COPIES and proved and (verified or asked.state == RequestState.FULFILLED):
        may.add("copy")  # again, too, while the half hour lasts
    if asked.kind == RequestKind.ERASURE and verified:
        may |= {"now"} if proved else set()
        may |= {"later"} if proved and settings().erasure_grace and not asked.act_at else set()
        may |= {"keep"} if asked.act_at else set()
    if asked.kind not in (*_COPIES, RequestKind.ERASURE) and asked.state in OPEN:
        may.add("write")
    if asked.kind == RequestKind.RECTIFICATION and verified and proved:
        may.add("correct")
    if asked.kind == RequestKind.RESTRICTION and asked.state == RequestState.FULFILLED:
        may.add("lift")
    return may


def _act(asked: DataSubjectRequest, action: str) -> ResponseReturnValue:
    """Do it."""
    if action == "copy":
        return copies.give(asked)
    if action in ("now", "later"):
        return erasing.erase(asked, later=action == "later")
    if action == "keep":
        return erasing.keep(asked)
    if action == "lift" and asked.subject_id is not None:
        with transaction() as session:
            restricting.lift(session, asked.subject_id, at=now())
        flash(_("The restriction is lifted."), "success")
    return _back(asked)


def _told(asked: DataSubjectRequest) -> Mapping[str, Any]:
    """What the page says of the case: words and receipts, as long as it is about somebody."""
    with reading() as session:
        about = purposes(session).purposes.get(asked.about_purpose or "")
        told: dict[str, Any] = {
            "about": about.text[locale()].name if about else None,
            "stopped": about is not None and about.optional,
            # Only who is signed in has a page for each receipt.
            "own": is_own(asked),
            "texts": cases.texts(session, asked),
        }
        if asked.subject_id is None:
            return told
        said = subjects.entries(session, asked.subject_id)
        restricted = subjects.get(session, asked.subject_id).restricted_at
        return {
            **told,
            "entries": [one for one in said if one.data.get("reference") == asked.reference],
            "copy": exports.of_request(session, asked.id),
            "restricted": restricted is not None,
            "remainder": overview.remainder(session, asked.subject_id),
        }


def _back(asked: DataSubjectRequest) -> ResponseReturnValue:
    return redirect(url_for("requests.show", reference=asked.reference), code=303)
