"""The account's own pages: what is kept, and where each part is corrected (GDPR art. 16)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

from blueprints.accounts import bp
from blueprints.accounts.forms import NewAddressForm, ProfileForm
from domain.analytics import usage
from domain.consent import decisions
from domain.consent.purposes import purposes
from domain.delivery import outbox
from domain.identity import accounts, limits, signed_links, subscriptions
from domain.identity.limits import LimitKind
from domain.identity.models import Account
from domain.identity.signed_links import LinkKind
from domain.rights import held, recipients, requests, telling
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    current_user,
    keeps_typed,
    login_required,
    now,
    reading,
    reauthenticate,
    settings,
    transaction,
)


@bp.get("/account")
@login_required
def account() -> ResponseReturnValue:
    """What is kept about the person, and where it is corrected, taken out or erased."""
    with reading() as session:
        own = mine(session)
        subject = subjects.get(session, own.subject_id)
        values = {
            "person": accounts.person(session, own),
            "pending_email": accounts.pending_email(session, own),
            "undeliverable_at": own.undeliverable_at,
            "opened_at": own.opened_at,
            "age": subject.declared_age,
            "requests": requests.of_subject(session, own.subject_id),
            "subscriptions": subscriptions.of_subject(session, own.subject_id),
            "erase_on": subscriptions.erase_on(session, own.subject_id, at=now()),
            # Then retention passes the account by (domain/rights/due.py), or a part of it.
            "stays": bool(subject.restricted_at),
            "held": bool(held.running(session, own.subject_id)),
        }
    return render_template("accounts/account.html", **values)


@bp.route("/account/details", methods=["GET", "POST"])
@login_required
@keeps_typed
def details() -> ResponseReturnValue:
    """Correct name, phone, address, age and the language of mails."""
    with reading() as session:
        own = mine(session)
        person = accounts.person(session, own)
        age = subjects.get(session, own.subject_id).declared_age
        register = purposes(session)
    form = ProfileForm(obj=person, data={"locale": own.locale, "age": age})
    if not form.validate_on_submit():
        page = render_template("accounts/details.html", form=form, register=register)
        return page, 422 if form.errors else 200
    with transaction() as session:
        ended = _correct(session, form, person.email)
    flash(_("Your details are saved."), "success")
    if ended:
        said = _(
            "You have said that you are under %(age)d, so your newsletter is cancelled.",
            age=settings().marketing_age,
        )
        flash(said, "info")
    return redirect(url_for("accounts.account"), code=303)


@bp.route("/account/email", methods=["GET", "POST"])
@login_required
@keeps_typed
def email() -> ResponseReturnValue:
    """Ask for another address: confirmed at the new one, told to the old one."""
    form = NewAddressForm()
    if request.method == "POST" and form.validate():
        if reauthenticate(form.password.data) is not None:
            at = now()
            with transaction() as session:
                limits.spend(
                    session, LimitKind.MAIL, address=form.email.data, ip=client_ip(), at=at
                )
            with transaction() as session:
                _ask_new_address(session, form.email.data)
            told = _(
                "We have sent a link to the new address. Until you follow it, nothing changes."
            )
            flash(told, "info")
            return redirect(url_for("accounts.account"), code=303)
        form.password.errors = [_("This is not your password")]
    return render_template("accounts/email.html", form=form), 422 if form.errors else 200


@bp.post("/account/email/check")
@login_required
def check_address() -> ResponseReturnValue:
    """Mail a link to an address that mail came back from: who follows it is written to again."""
    at = now()
    with reading() as session:
        address = accounts.person(session, mine(session)).email
    with transaction() as session:
        limits.spend(session, LimitKind.MAIL, address=address, ip=client_ip(), at=at)
    with transaction() as session:
        subjects.lock(session, current_user.subject_id)
        own = mine(session)
        if own.undeliverable_at is not None:
            _mail_link(session, own, LinkKind.CHECK, "mail.check_address", address, at=at)
    flash(_("We have sent a link to your address."), "info")
    return redirect(url_for("accounts.account"), code=303)


def mine(session: Session) -> Account:
    """The signed-in person's account."""
    return session.get_one(Account, UUID(current_user.id))


def _correct(session: Session, form: ProfileForm, address: str) -> list[str]:
    """Save; return the consents that ended because of the age."""
    at = now()
    subjects.lock(session, current_user.subject_id)
    own = mine(session)
    before, corrected = accounts.person(session, own), form.person(address)
    accounts.update(session, own, corrected, at=at)
    if corrected != before:
        recipients.tell(session, own.subject_id, "rectification", at=at)
    accounts.set_locale(session, own, form.locale.data)
    accounts.declare_age(session, own, form.age.data)
    ended = decisions.invalidate_under_age(session, own.subject_id, at=at)
    usage.follow(session, own.subject_id)
    telling.changed(session, own.subject_id, ended, at=at)
    return ended


def _ask_new_address(session: Session, wanted: str) -> None:
    at = now()
    subjects.lock(session, current_user.subject_id)
    own = mine(session)
    new = accounts.request_new_address(session, own, wanted, at=at)
    if new is None:
        return
    person = _mail_link(session, own, LinkKind.NEW_ADDRESS, "mail.new_address", new, at=at)
    told = {"to": person.email, "name": person.name, "locale": own.locale}
    outbox.post(session, "mail.address_changing", told, at=at, about=own.subject_id)


def _mail_link(
    session: Session, own: Account, kind: LinkKind, letter: str, to: str, *, at: datetime
) -> accounts.Person:
    """Mail a link to an address of the person's, and return who they are."""
    token = signed_links.issue(
        session,
        kind,
        own.subject_id,
        stamp=own.stamp,
        lifetime=settings().link_lifetime,
        at=at,
    )
    person = accounts.person(session, own)
    payload = {"to": to, "name": person.name, "locale": own.locale, "token": token}
    outbox.post(session, letter, payload, at=at, about=own.subject_id)
    return person
