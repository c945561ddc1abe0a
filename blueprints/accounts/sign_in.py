"""Signing in and out."""

from __future__ import annotations

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

import extensions
import visiting
from blueprints.accounts import bp
from blueprints.accounts.forms import SignInForm, signed_in
from domain.identity import accounts, limits
from domain.identity.limits import LimitKind
from domain.identity.models import Account
from extensions import client_ip, keeps_typed, now, passwords, reading, transaction, wants_next
from forms import EmptyForm


@bp.route("/login", methods=["GET", "POST"])
@keeps_typed
def login() -> ResponseReturnValue:
    """Sign in with e-mail address and password."""
    target = wants_next() or url_for("accounts.account")
    if signed_in():
        return redirect(target, code=303)
    form = SignInForm()
    if not form.validate_on_submit():
        return render_template("accounts/login.html", form=form), 422 if form.errors else 200
    with transaction() as session:
        limits.spend(session, LimitKind.SIGN_IN, address=form.email.data, ip=client_ip(), at=now())
    account = authenticated(form.email.data, form.password.data)
    if account is None:
        form.form_errors.append(
            _("This does not match an account. Check the address and the password. If you have "
              "just registered, first follow the link in the e-mail that we sent you.")
        )  # fmt: skip
        return render_template("accounts/login.html", form=form), 422
    # First: the session takes the stamp that goes with the password that was checked.
    extensions.sign_in(account)
    _welcome(account, form)
    _tell_what_counts(account)
    return redirect(target, code=303)


def _tell_what_counts(account: Account) -> None:
    """Say where the account decided something else than was chosen in this browser: from now on
    that counts, until its owner signs out."""
    for name, yes in visiting.overruled(account.subject_id, at=now()):
        if yes:
            words = _(
                "You are signed in, so your account’s answer counts, not the one given in "
                "this browser: you have said yes to “%(purpose)s”.",
                purpose=name,
            )
        else:
            words = _(
                "You are signed in, so your account’s answer counts, not the one given in "
                "this browser: you have not said yes to “%(purpose)s”.",
                purpose=name,
            )
        flash(words, "info")


def _welcome(account: Account, form: SignInForm) -> None:
    """Forget the tries that led here, and scramble the password at today's strength."""
    old = passwords().needs_rehash(account.password_hash)
    scrambled = passwords().hash(form.password.data) if old else None
    with transaction() as session:
        limits.forgive(session, LimitKind.SIGN_IN, address=form.email.data, ip=client_ip())
        if scrambled is not None:
            # Added, not read anew: a password that was changed meanwhile is left alone.
            session.add(account)
            accounts.rescramble(session, account, scrambled)


@bp.post("/logout")
def logout() -> ResponseReturnValue:
    """Sign out."""
    if EmptyForm().validate_on_submit():
        extensions.sign_out()
        flash(_("You are signed out."), "success")
    return redirect(url_for("site.front"), code=303)


def authenticated(email: str, password: str) -> Account | None:
    """The confirmed account that these belong to.

    An unknown address, a wrong password and an unconfirmed account look and last the same:
    otherwise trying to sign in after registering would tell whether the address was known.
    """
    with reading() as session:
        account = accounts.find(session, email)
        confirmed = account is not None and accounts.is_confirmed(session, account)
    right = passwords().verify(account.password_hash if account else None, password)
    return account if right and confirmed else None
