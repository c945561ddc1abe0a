"""Registration with linked consent capture.

One transaction makes the account, its sealed data, the subject, an entry for each decision
(refusals too) and the confirmation mail. None of them can exist without the others.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import visiting
from blueprints.accounts import bp, confirmation
from blueprints.accounts.forms import RegisterForm, signed_in
from domain.analytics import usage
from domain.consent import decisions, notices, presentations
from domain.consent.errors import StalePresentation
from domain.consent.presentations import Document, Shown
from domain.consent.purposes import purposes
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts, limits, signed_links
from domain.identity.accounts import Person
from domain.identity.errors import AddressTaken
from domain.identity.limits import LimitKind
from domain.identity.signed_links import LinkKind
from domain.ledger.append import pad
from domain.rights import arriving, erasure, settling
from domain.rights.settling import Matter
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    keeps_typed,
    locale,
    now,
    passwords,
    reading,
    settings,
    signal,
    transaction,
)


@bp.route("/register", methods=["GET", "POST"])
@keeps_typed
def register() -> ResponseReturnValue:
    """Open an account and decide about marketing and analytics."""
    if signed_in():
        return redirect(url_for("accounts.account"), code=303)
    at = now()
    with reading() as session:
        document = presentations.current(session, "register", locale(), at=at)
        fresh = presentations.token(session, document, at=at)
    # The boxes are empty, but for what was said yes to in this very browser, on today's words.
    form = RegisterForm.showing(document.content, data=_chosen_before(at))
    if request.method != "POST":
        return show(form, document, fresh)
    valid = form.validate()
    try:
        with reading() as session:
            shown = presentations.shown(session, "register", form.presentation.data, at=at)
    except StalePresentation:
        form.was_stale()
        return show(form, document, fresh), 422
    if not valid or not _old_enough(form):
        return show(form, shown.document, form.presentation.data), 422
    with transaction() as session:
        limits.spend(session, LimitKind.MAIL, address=form.email.data, ip=client_ip(), at=at)
    password_hash = passwords().hash(form.password.data)
    with transaction() as session:
        token = open_account(session, form, password_hash, shown, at=at)
    visiting.follow("register", form.presentation.data, form.choices(), at=at)
    confirmation.remember(token)
    return redirect(url_for("accounts.registered"), code=303)


@bp.get("/register/sent")
def registered() -> ResponseReturnValue:
    """Say that a mail is on its way: the same for every address."""
    return render_template("accounts/registered.html")


def show(form: RegisterForm, document: Document, token: str) -> str:
    """The page, made from the presentation whose token it carries."""
    form.presentation.data = token
    with reading() as session:
        register = purposes(session)
    return render_template(
        "accounts/register.html",
        form=form,
        content=document.content,
        register=register,
        before=visiting.answers(),
    )


def open_account(
    session: Session, form: RegisterForm, password_hash: str, shown: Shown, *, at: datetime
) -> str:
    """Everything that registration makes, in the caller's transaction; return the token of the
    link that was mailed, or one that opens nothing.

    A known address takes the same work, undone at its end, so that the time tells nothing
    (requirement 64); its owner gets a mail that says so, or once more the one by which they come
    here from another company. A registration that nobody confirmed
    counts for nothing and is replaced: whoever confirms gets their own choices. Each of them
    makes the log grow by as much, now and in a week.
    """
    email = form.email.data
    person = form.person(email)
    settling.later(session, Matter.REGISTRATION, at=at)
    while True:
        attempt = session.begin_nested()
        known = erasure.forget_unconfirmed(session, email, at=at)
        if known is not None:
            break
        try:
            return _open(session, person, form, password_hash, shown, at=at)[0]
        except AddressTaken:
            # Somebody was quicker by a moment, and nobody confirmed theirs yet. What this round
            # appended goes, or whoever sends two forms at once would see one entry more.
            attempt.rollback()
    undone = session.begin_nested()
    stranger = replace(person, email=f"{secrets.token_hex(16)}@unused.example")
    nothing, entries = _open(session, stranger, form, password_hash, shown, at=at)
    undone.rollback()
    pad(session, len(entries), at=at)
    if not known.terms_accepted:
        arriving.invite(session, known, at=at)
        return nothing
    letter = accounts.addressed(session, known)
    outbox.post(session, "mail.already_registered", letter, at=at, about=known.subject_id)
    return nothing


def _open(
    session: Session,
    person: Person,
    form: RegisterForm,
    password_hash: str,
    shown: Shown,
    *,
    at: datetime,
) -> tuple[str, list[str]]:
    """Return the token of the link, and the ids of the entries."""
    # The terms that the form linked to: they may have changed since, at midnight.
    terms = notices.in_force(session, "terms", locale(), on=local_day(shown.served_at))
    account = accounts.register(
        session,
        person,
        password_hash,
        locale=locale(),
        terms=terms.effective_on.isoformat(),
        declared_age=form.age.data,
        at=at,
    )
    for fact in _linked():
        subjects.record(session, account.subject_id, "visitor.linked", fact, at=at)
    decisions.record(session, account.subject_id, form.choices(), shown, at=at)
    if signal() and form.choices().get(usage.PURPOSE):
        usage.begin(session, subject_id=account.subject_id, despite_signal=True, at=at)
    token = signed_links.issue(
        session,
        LinkKind.CONFIRM,
        account.subject_id,
        stamp=account.stamp,
        lifetime=settings().link_lifetime,
        at=at,
    )
    entries = [entry.id for entry in subjects.entries(session, account.subject_id)]
    letter = {
        "to": person.email,
        "name": person.name,
        "locale": locale(),
        "token": token,
        "entries": entries,
    }
    outbox.post(session, "mail.confirm", letter, at=at, about=account.subject_id)
    return token, entries


def _chosen_before(at: datetime) -> dict[str, bool]:
    """The boxes of what was said yes to in this browser, as far as that counts now."""
    return {
        f"consent-{purpose_id}": answer.permits(signal=signal(), at=at)
        for purpose_id, answer in visiting.answers().items()
    }


def _linked() -> list[dict[str, str]]:
    """The receipts in this browser of what the form shows: by them the visitor's choices belong
    to the account."""
    return [
        {"purpose": purpose_id, "entry": answer.entry_id}
        for purpose_id, answer in visiting.answers().items()
        if answer.entry_id is not None
    ]


def _old_enough(form: RegisterForm) -> bool:
    """Whether nothing was ticked that asks for a higher age; says so beside the box."""
    with reading() as session:
        register = purposes(session)
    too_young = [
        purpose
        for purpose in register.optional()
        if form.choices().get(purpose.id) and not register.old_enough(purpose, form.age.data)
    ]
    for purpose in too_young:
        field = form[f"consent-{purpose.id}"]
        field.errors = [
            _("This is only for those who are %(age)d or older. Leave the box empty",
              age=register.marketing_age)
        ]  # fmt: skip
    return not too_young
