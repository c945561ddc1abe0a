"""Ending the subscription: one page that says what happens then, and one button."""

from __future__ import annotations

from datetime import date, datetime

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from blueprints.accounts import bp
from blueprints.accounts.account import mine
from domain.consent.purposes import purposes
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts, subscriptions
from domain.identity.models import Subscription
from domain.subjects import service as subjects
from extensions import current_user, login_required, now, reading, transaction
from forms import EmptyForm


@bp.route("/account/subscription", methods=["GET", "POST"])
@login_required
def subscription() -> ResponseReturnValue:
    """Say what ending it does, and when the account goes; end it when the button is pressed."""
    form, at = EmptyForm(), now()
    with reading() as session:
        running = _running(session)
        rule = purposes(session).retention[subscriptions.RULE]
    if running is None:
        return redirect(url_for("accounts.account"))
    last = _last_day(running, at)
    if not form.validate_on_submit():
        return render_template(
            "accounts/subscription.html", form=form, ends=last, goes=rule.end(last), rule=rule
        )
    with transaction() as session:
        subjects.lock(session, current_user.subject_id)
        if subscriptions.end(session, current_user.subject_id, on=last, at=at):
            _tell(session, last, at=at)
    flash(_("Your subscription is ended."), "success")
    return redirect(url_for("accounts.account"), code=303)


def _running(session: Session) -> Subscription | None:
    known = subscriptions.of_subject(session, current_user.subject_id)
    return next((one for one in known if one.ended_on is None), None)


def _last_day(running: Subscription, at: datetime) -> date:
    """Today, as it is in Norway; what has not begun ends on the day it would have."""
    return max(local_day(at), running.started_on)


def _tell(session: Session, last: date, *, at: datetime) -> None:
    """Mail what was ended, and when the account goes, with the ledger's receipt."""
    own = mine(session)
    entries = [entry.id for entry in subjects.entries(session, own.subject_id)]
    letter = {
        **accounts.addressed(session, own),
        "ended_on": last,
        "due_on": subscriptions.erase_on(session, own.subject_id, at=at),
        "entries": entries[-1:],
    }
    outbox.post(session, "mail.subscription_ended", letter, at=at, about=own.subject_id)
