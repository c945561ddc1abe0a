"""Saying yes again to what is about to run out, or was changed: each box by itself, or nothing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from blueprints.preferences import bp
from domain.consent import decisions, presentations, renewing
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.presentations import Document
from domain.rights import renewals
from domain.subjects import service as subjects
from extensions import (
    current_user,
    keeps_typed,
    locale,
    login_required,
    now,
    reading,
    signal,
    transaction,
)
from forms import ConsentForm, sent_from_here


@bp.route("/preferences/renew", methods=["GET", "POST"])
@login_required
@keeps_typed
def renew() -> ResponseReturnValue:
    """Ask whether the yeses go on that end soon, and record those that were ticked. Nothing is
    ticked beforehand, and an empty box is recorded as nothing."""
    at = now()
    stale = False
    if request.method == "POST" and sent_from_here():
        try:
            return _renew(at)
        except (StalePresentation, UnderAge):
            stale = True
    return _page(at, stale=stale)


def _renew(at: datetime) -> ResponseReturnValue:
    """Record what was ticked. Raises StalePresentation, UnderAge."""
    token, choices = ConsentForm.sent()
    with transaction() as session:
        recorded = renewals.answer(
            session, current_user.subject_id, token, choices, signal=signal(), at=at
        )
    if recorded:
        flash(_("Your choices are saved."), "success")
    else:
        flash(_("You ticked nothing, so nothing was recorded. Your choices are as before."), "info")
    return redirect(url_for("preferences.show"), code=303)


def _page(at: datetime, *, stale: bool) -> ResponseReturnValue:
    """The boxes; after a POST that recorded nothing, with the reason above them."""
    may, state, document, token = _state(at)
    if not may and request.method == "POST":
        if not sent_from_here():
            abort(403)
        flash(_("There is nothing to renew now. Your choices are as before."), "info")
        return redirect(url_for("preferences.show"), code=303)
    form = ConsentForm.showing(document.content)
    if request.method == "POST":
        form.validate()
        shown = not stale and _shown(form.presentation.data, at)
        if not shown:
            form.was_stale()
        else:
            token = form.presentation.data  # what was ticked stays, and the age of its words
    form.presentation.data = token
    page = render_template(
        "preferences/renew.html", form=form, content=document.content, may=may, **state
    )
    return page, 422 if request.method == "POST" else 200


def _shown(token: str | None, at: datetime) -> bool:
    """Whether a form that was sent without a good CSRF token still shows what is asked."""
    try:
        with reading() as session:
            renewals.shown(session, current_user.subject_id, token, at=at)
    except StalePresentation:
        return False
    return True


def _state(at: datetime) -> tuple[dict[str, renewing.Why], dict[str, Any], Document, str]:
    """What may be renewed and why, what the page tells, and the presentation with its token."""
    subject_id = current_user.subject_id
    with reading() as session:
        may = renewing.renewable(session, subject_id, at=at)
        document = presentations.current(
            session, renewing.SURFACE, locale(), at=at, only=tuple(may)
        )
        seen = subjects.get(session, subject_id).linked
        token = presentations.token(session, document, at=at, seen=seen)
        state = {"current": decisions.current(session, subject_id, at=at)}
    return may, state, document, token
