"""The visitors' choice: a page of its own, where the section of every other page is sent to.

Visitors get no session, so these forms carry no token against forgery: the browser says which
site's page sent them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import abort, current_app, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

import visiting
from blueprints.preferences import bp, receipts
from domain.analytics import holdings
from domain.analytics.holdings import Counted
from domain.consent import presentations, visitors
from domain.consent.errors import StalePresentation
from domain.consent.visitors import Answer
from domain.keys import KeyServiceError
from domain.ledger.entry import decode
from domain.ledger.receipts import Receipt
from extensions import (
    csrf,
    current_user,
    keeps_typed,
    locale,
    now,
    reading,
    same_site,
    signal,
)
from forms import ConsentForm, stale, too_often

# So much is shown of what was counted.
_MOST = 100


@bp.route("/consent", methods=["GET", "POST"])
@csrf.exempt
@keeps_typed
def consent() -> ResponseReturnValue:
    """Show what was chosen in this browser; record a choice, and go back to where it was made."""
    if request.method != "POST":
        return _page()
    if not same_site():
        abort(403)
    if not visiting.asks_anything():
        abort(404)
    if "retry_at" in g:  # app.py asks for the page once more
        return _page(too_often(g.retry_at)), 422
    try:
        _save()
    except StalePresentation:
        return _page(stale()), 422
    return redirect(visiting.back() or url_for("preferences.consent"), code=303)


@bp.get("/consent/receipt")
def visitor_receipt() -> ResponseReturnValue:
    """The receipt of a choice, to whoever has it in their browser; as a file to a program."""
    entry_id = _entry_id()
    found = receipts.wait_for(entry_id)
    kinds = ["text/html", "application/json"]
    page = request.accept_mimetypes.best_match(kinds, "text/html") == "text/html"
    if found is None:
        return receipts.later(page=page)
    if not page or "file" in request.args:
        return receipts.as_file(decode(found.receipt.entry), "json", found.receipt.encode())
    return receipts.shown(
        decode(found.receipt.entry), found, None, visitor=True, picture=_picture(found.receipt)
    )


def _entry_id() -> str:
    """The entry of the purpose that is asked for, or of the only one; else 404: of an answer that
    left none, and where this browser has no choice."""
    answers = _answers()
    answer = answers.get(request.args.get("purpose", next(iter(answers), "")))
    if answer is None or answer.entry_id is None:
        abort(404)
    return answer.entry_id


def _answers() -> Mapping[str, Answer]:
    """Everything that this browser holds, also what is to be asked anew."""
    chosen = visiting.choice()
    return chosen.answers if chosen else {}


def _picture(receipt: Receipt) -> dict[str, Any] | None:
    """The section as it was answered; None where the answer was given in an account, whose form
    asked for more than this browser knows of."""
    content, entry = json.loads(receipt.presentation or b"{}"), decode(receipt.entry)
    if content.get("surface") != visitors.SURFACE:
        return None
    ticked = [name for name, one in _answers().items() if one.state.permits and one.at <= entry.at]
    return {"content": content, "ticked": ticked}


def _save() -> None:
    """Raises StalePresentation, TooManyTries."""
    at = now()
    token, ticked = ConsentForm.sent()
    with reading() as session:
        shown = presentations.shown(session, visitors.SURFACE, token, at=at)
    every = {purpose["id"]: True for purpose in shown.document.content["purposes"]}
    at_once: Mapping[str, Mapping[str, bool]] = {"accept": every, "refuse": {}}
    choices = at_once.get(request.form.get("answer", ""), ticked)
    visiting.answer(choices, shown, at=at)


def _page(*errors: str) -> str:
    """The choice as it stands, and, signed in, what the account says; with `errors`, why nothing
    was recorded."""
    at, chosen, answers = now(), visiting.choice(), visiting.answers()
    signed_in = current_user.is_authenticated
    return render_template(
        "preferences/consent.html",
        asked=visiting.ask(visiting.back() or "") if visiting.asks_anything() else None,
        account=_of_account(at) if signed_in else None,
        answers=answers,
        chosen=[one for one, answer in answers.items() if answer.permits(signal=signal(), at=at)],
        signal=signal(),
        counted=_counted(),
        most=_MOST,
        titles=current_app.extensions["tips"].titles(locale()),
        saved=not errors and chosen is not None and visiting.just_now(chosen, at=at),
        errors=errors,
        at=at,
    )


def _counted() -> list[Counted] | None:
    """The newest of what was counted in this browser; None where nothing leads to it, or the keys
    that do are away just now: the choice does not wait for them."""
    mark = visiting.counting_token()
    if mark is None:
        return None
    try:
        with reading() as session:
            return holdings.of_browser(session, mark, limit=_MOST)
    except KeyServiceError:
        return None


def _of_account(at: datetime) -> dict[str, bool]:
    """What the account says about each purpose, by its name: what counts in this browser."""
    names = {one.id: one.text[locale()].name for one in visitors.asked(visiting.register())}
    says = visiting.account_says(current_user.subject_id, at=at)
    return {names[purpose_id]: yes for purpose_id, yes in says.items()}
