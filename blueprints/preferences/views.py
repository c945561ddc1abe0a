"""Preferences, and the history of what was decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

import underway
import visiting
from blueprints.preferences import bp
from domain.analytics import usage
from domain.consent import decisions, presentations, renewing
from domain.consent.decisions import Decision
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.permission import Permission, permitted
from domain.consent.presentations import Document, Shown
from domain.consent.purposes import purposes
from domain.marketing import campaigns
from domain.rights import choosing
from domain.subjects import service as subjects
from extensions import (
    current_user,
    database,
    keeps_typed,
    locale,
    login_required,
    now,
    reading,
    signal,
)
from forms import ConsentForm, sent_from_here


@bp.route("/preferences", methods=["GET", "POST"])
@login_required
@keeps_typed
def show() -> ResponseReturnValue:
    """Show what is in force, and record the decisions made on the page."""
    at = now()
    stale = False
    if request.method == "POST" and sent_from_here():
        try:
            return _save(at)
        except (StalePresentation, UnderAge):
            stale = True
    return _page(at, stale=stale)


@bp.get("/preferences/history")
@login_required
def history() -> ResponseReturnValue:
    """Every decision, newest first, each with what was shown and its receipt; below them what
    else the ledger says about the person."""
    with reading() as session:
        entries = list(subjects.entries(session, current_user.subject_id))[::-1]
        register = purposes(session)
    return render_template(
        "preferences/history.html",
        decisions=[Decision.of(one) for one in entries if one.type.startswith("consent.")],
        others=[one for one in entries if not one.type.startswith("consent.")],
        register=register,
    )


@bp.get("/preferences/history/<entry_id>")
@login_required
def decision(entry_id: str) -> ResponseReturnValue:
    """One decision, with the page as it looked when it was made."""
    with reading() as session:
        made = decisions.history(session, current_user.subject_id)
        found = next((one for one in made if one.entry_id == entry_id), None)
        if found is None:
            abort(404)
        document = presentations.get(session, found.presentation or "")
        register = purposes(session)
    return render_template(
        "preferences/decision.html",
        decision=found,
        content=document.content if document else None,
        chosen=_chosen(made, found),
        register=register,
    )


def _save(at: datetime) -> ResponseReturnValue:
    """Record what was chosen, and nothing besides: the page is made when it is asked for again.
    Raises StalePresentation, UnderAge."""
    token, choices = ConsentForm.sent()
    choosing.choose(
        database(),
        current_user.subject_id,
        "preferences",
        token,
        choices,
        signal=signal(),
        despite="despite" in request.form,
        at=at,
    )
    visiting.follow("preferences", token, choices, at=at)
    if not choices.get(campaigns.PURPOSE):
        underway.wait(current_user.subject_id)
    flash(_("Your choices are saved."), "success")
    return redirect(url_for("preferences.show"), code=303)


def _page(at: datetime, *, stale: bool) -> ResponseReturnValue:
    """The choices; after a POST that recorded nothing, with the reason above them."""
    state, document, token = _state(at)
    ticked = {f"consent-{one}": yes for one, yes in state["ticked"].items()}
    form = ConsentForm.showing(document.content, data=ticked)
    if request.method == "POST":
        form.validate()
        shown = None if stale else _shown(form.presentation.data, at)
        if shown is None:
            form.was_stale()
            for field in form.consents():
                field.data = ticked[field.name]
        else:
            # What was ticked stays, so the words it was ticked on stay too, and their age.
            document, token = shown.document, form.presentation.data
    form.presentation.data = token
    page = render_template(
        "preferences/show.html", form=form, content=document.content, at=at, **state
    )
    return page, 422 if request.method == "POST" else 200


def _shown(token: str | None, at: datetime) -> Shown | None:
    """What a form shows that was sent without a good CSRF token; None where that is over."""
    try:
        with reading() as session:
            return presentations.shown(session, "preferences", token, at=at)
    except StalePresentation:
        return None


def _state(at: datetime) -> tuple[dict[str, Any], Document, str]:
    """What the page tells, the presentation it is made from, and its token."""
    with reading() as session:
        subject_id = current_user.subject_id
        register = purposes(session)
        document = presentations.current(session, "preferences", locale(), at=at)
        permission = {
            purpose.id: permitted(session, subject_id, purpose.id, at=at)
            for purpose in register.optional()
        }
        subject = subjects.get(session, subject_id)
        state = {
            "register": register,
            "current": decisions.current(session, subject_id, at=at),
            "renewable": renewing.renewable(session, subject_id, at=at),
            "permission": permission,
            # The box shows what is in force; a yes that waits for the address is a yes.
            "ticked": {
                purpose_id: answer in (Permission.PERMITTED, Permission.UNCONFIRMED_ADDRESS)
                for purpose_id, answer in permission.items()
            },
            # A yes that was said with no signal does not count in a browser that sends one.
            "silenced": signal() and not usage.despite_signal(session, subject_id),
            "too_young": [
                purpose.id
                for purpose in register.optional()
                if not register.old_enough(purpose, subject.declared_age)
            ],
        }
        token = presentations.token(session, document, at=at, seen=subject.linked)
        return state, document, token


def _chosen(made: list[Decision], found: Decision) -> set[str]:
    """The purposes whose boxes were ticked when `found` was decided: decisions that came of
    the same form stand beside it, and what the form did not change was as before."""
    ticked: set[str] = set()
    passed = False
    for one in made:
        passed = passed or one.entry_id == found.entry_id
        if passed and (one.at, one.presentation) != (found.at, found.presentation):
            break
        (ticked.add if one.state.permits else ticked.discard)(one.purpose_id)
    return ticked
