"""Preferences, and the history of what was decided."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from blueprints.preferences import bp
from domain.consent import decisions, presentations
from domain.consent.decisions import Decision
from domain.consent.errors import StalePresentation, UnderAge
from domain.consent.permission import Permission, permitted
from domain.consent.presentations import Document, Shown
from domain.consent.purposes import purposes
from domain.subjects import service as subjects
from extensions import (
    current_user,
    keeps_typed,
    locale,
    login_required,
    now,
    reading,
    transaction,
)
from forms import ConsentForm


@bp.route("/preferences", methods=["GET", "POST"])
@login_required
@keeps_typed
def show() -> ResponseReturnValue:
    """Show what is in force, and record the decisions made on the page."""
    at = now()
    state, document, token = _state(at)
    ticked = {f"consent-{one}": yes for one, yes in state["ticked"].items()}
    form = ConsentForm.showing(document.content, data=ticked)
    if request.method == "POST":
        valid = form.validate()
        try:
            shown = _answered(form, save=valid, at=at)
        except (StalePresentation, UnderAge):
            form.was_stale()
            for field in form.consents():
                field.data = ticked[field.name]
        else:
            if valid:
                flash(_("Your choices are saved."), "success")
                return redirect(url_for("preferences.show"), code=303)
            # What was ticked stays, so the words it was ticked on stay too, and their age.
            document, token = shown.document, form.presentation.data
    form.presentation.data = token
    page = render_template(
        "preferences/show.html", form=form, content=document.content, at=at, **state
    )
    return page, 422 if request.method == "POST" else 200


@bp.get("/preferences/history")
@login_required
def history() -> ResponseReturnValue:
    """Every decision, newest first, each with what was shown."""
    with reading() as session:
        found = decisions.history(session, current_user.subject_id)
        register = purposes(session)
    return render_template("preferences/history.html", decisions=found[::-1], register=register)


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


def _answered(form: ConsentForm, *, save: bool, at: datetime) -> Shown:
    """What the form shows, with what was chosen on it recorded. Raises StalePresentation,
    UnderAge."""
    with transaction() as session:
        shown = presentations.shown(session, "preferences", form.presentation.data, at=at)
        if save:
            decisions.record(session, current_user.subject_id, form.choices(), shown, at=at)
    return shown


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
            "permission": permission,
            # The box shows what is in force; a yes that waits for the address is a yes.
            "ticked": {
                purpose_id: answer in (Permission.PERMITTED, Permission.UNCONFIRMED_ADDRESS)
                for purpose_id, answer in permission.items()
            },
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
