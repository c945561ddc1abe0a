"""A forgotten password, and a new one by link or by the old one."""

from __future__ import annotations

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import extensions
import link_session
from blueprints.accounts import bp
from blueprints.accounts.forms import AddressForm, ArrivalForm, PasswordForm, ResetForm
from domain.consent import notices
from domain.dates import local_day
from domain.delivery import outbox
from domain.identity import accounts, limits, signed_links
from domain.identity.errors import BadLink, ExpiredLink
from domain.identity.limits import LimitKind
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.rights import joining
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    keeps_typed,
    locale,
    login_required,
    now,
    passwords,
    reading,
    reauthenticate,
    transaction,
)


@bp.route("/password/forgotten", methods=["GET", "POST"])
@keeps_typed
def forgotten() -> ResponseReturnValue:
    """Ask for a link that sets a new password. The answer is the same for every address."""
    form = AddressForm()
    if not form.validate_on_submit():
        return render_template("accounts/forgotten.html", form=form), 422 if form.errors else 200
    at = now()
    with transaction() as session:
        limits.spend(session, LimitKind.MAIL, address=form.email.data, ip=client_ip(), at=at)
    with transaction() as session:
        outbox.post(session, "intake.reset", {"email": form.email.data, "locale": locale()}, at=at)
    return redirect(url_for("accounts.forgotten_sent"), code=303)


@bp.get("/password/forgotten/sent")
def forgotten_sent() -> ResponseReturnValue:
    """Say that a mail is on its way."""
    return render_template("accounts/forgotten_sent.html")


@bp.get("/password/reset/<token>")
def reset(token: str) -> ResponseReturnValue:
    """Take the token out of the address bar. Changes nothing."""
    return link_session.keep("reset", token, "accounts.reset_password")


@bp.route("/password/reset", methods=["GET", "POST"])
@keeps_typed
def reset_password() -> ResponseReturnValue:
    """Set a new password by link, and end every session there was. Who was brought here from
    another company accepts the terms with it, and the account is theirs."""
    token = link_session.kept("reset")
    try:
        with reading() as session:
            link = signed_links.look(session, LinkKind.RESET, token, at=now())
            account = accounts.of_subject(session, link.subject_id)
        arriving = account is not None and not account.terms_accepted
        form = ArrivalForm() if arriving else ResetForm()
        if not form.validate_on_submit():
            page = link_session.page("accounts/reset.html", form=form)
            return page, 422 if form.errors else 200
        password_hash = passwords().hash(form.password.data)
        with transaction() as session:
            link = signed_links.consume(session, LinkKind.RESET, token, at=now())
            account = accounts.of_subject(session, link.subject_id)
            if account is not None:
                if arriving:
                    _arrive(session, account, password_hash)
                else:
                    change(session, account, password_hash)
                email = accounts.person(session, account).email
                limits.forgive(session, LimitKind.SIGN_IN, address=email, ip=client_ip())
    except ExpiredLink:
        return link_session.expired(url_for("accounts.forgotten"))
    except BadLink:
        return link_session.bad()
    extensions.sign_out()
    flash(_("Your new password is set. You can sign in with it."), "success")
    return redirect(url_for("accounts.login"), code=303)


@bp.route("/account/password", methods=["GET", "POST"])
@login_required
@keeps_typed
def password() -> ResponseReturnValue:
    """Change the password; other sessions end, this one goes on."""
    form = PasswordForm()
    if request.method == "POST" and form.validate():
        account = reauthenticate(form.current.data)
        if account is not None:
            password_hash = passwords().hash(form.password.data)
            with transaction() as session:
                subjects.lock(session, account.subject_id)
                own = session.get_one(Account, account.id)
                # Unless it was changed elsewhere since the old one was checked.
                changed = own.stamp == account.stamp
                if changed:
                    change(session, own, password_hash)
            if changed:
                extensions.sign_in(own)
                done = _("Your password is changed. You are signed out everywhere else.")
                flash(done, "success")
                return redirect(url_for("accounts.account"), code=303)
        form.current.errors = [_("This is not your password")]
    return render_template("accounts/password.html", form=form), 422 if form.errors else 200


def _arrive(session: Session, account: Account, password_hash: str) -> None:
    """The terms that are in force are accepted. The link itself has confirmed the address, so what
    was written from it is the account's."""
    at = now()
    terms = notices.in_force(session, "terms", locale(), on=local_day(at))
    accounts.accept(session, account, terms.effective_on.isoformat(), at=at)
    accounts.change_password(session, account, password_hash)
    joining.join(session, account.subject_id, at=at)


def change(session: Session, account: Account, password_hash: str) -> None:
    """Set the password and tell the person, who may not be the one who did it."""
    accounts.change_password(session, account, password_hash)
    letter = accounts.addressed(session, account)
    outbox.post(session, "mail.password_changed", letter, at=now(), about=account.subject_id)
