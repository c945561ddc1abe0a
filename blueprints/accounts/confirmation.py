"""Confirming an address by the link that was mailed to it."""

from __future__ import annotations

import hashlib
import secrets

from flask import flash, redirect, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import extensions
import link_session
import underway
from blueprints.accounts import bp
from domain.consent import decisions
from domain.consent.purposes import purposes
from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.errors import AddressTaken, BadLink, ExpiredLink
from domain.identity.models import SignedLink
from domain.identity.signed_links import LinkKind
from domain.rights import erasure, joining, recipients
from extensions import current_user, keeps_typed, locale, now, reading, transaction
from forms import EmptyForm, PasswordProofForm, SiteForm

KINDS = (LinkKind.CONFIRM, LinkKind.NEW_ADDRESS, LinkKind.CHECK)
# Where to ask for a new link when one is too old.
AGAIN = {
    LinkKind.CONFIRM.value: "accounts.register",
    LinkKind.NEW_ADDRESS.value: "accounts.email",
    LinkKind.CHECK.value: "accounts.account",
}


@bp.get("/confirm/<token>")
def confirm(token: str) -> ResponseReturnValue:
    """Take the token out of the address bar. Changes nothing."""
    return link_session.keep("confirm", token, "accounts.confirm_address")


def remember(token: str) -> None:
    """Let this browser, which registered, confirm with one button."""
    cookie["registered"] = _hash(token)


@bp.route("/confirm", methods=["GET", "POST"])
@keeps_typed
def confirm_address() -> ResponseReturnValue:
    """Show a button, and confirm the address when it is pressed.

    Anyone can register anyone's address, or ask for it as their own new one. So who comes by
    another browser than asked, where they are not signed in, also gives the account's password:
    nobody confirms a stranger's account, or a stranger's choices, by following a mail.
    """
    token = link_session.kept("confirm")
    try:
        with reading() as session:
            link = link_session.look(session, KINDS, token, at=now())
            choices = _choices(session, link)
        form = EmptyForm() if _asked_here(link, token) else PasswordProofForm()
        if not form.validate_on_submit() or not _proved(form, link):
            page = link_session.page(
                "accounts/confirm.html", form=form, kind=link.kind, choices=choices
            )
            return page, 422 if form.errors else 200
        with transaction() as session:
            _confirm(session, token)
    except ExpiredLink as error:
        return link_session.expired(url_for(AGAIN[error.kind]))
    except (BadLink, AddressTaken):
        return link_session.bad()
    extensions.sign_out()
    underway.wait(link.subject_id)  # no newsletter to an older address after this
    flash(_("Your e-mail address is confirmed. You can sign in."), "success")
    return redirect(url_for("accounts.login"), code=303)


def _asked_here(link: SignedLink, token: str) -> bool:
    """Whether this browser registered, or is signed in as who asked for the link."""
    if link.kind == LinkKind.CONFIRM:
        return secrets.compare_digest(str(cookie.get("registered")), _hash(token))
    return bool(current_user.is_authenticated and current_user.subject_id == link.subject_id)


def _proved(form: SiteForm, link: SignedLink) -> bool:
    """Whether the password, where it is asked for, is the account's. Raises TooManyTries."""
    if not isinstance(form, PasswordProofForm):
        return True
    with reading() as session:
        account = accounts.of_subject(session, link.subject_id)
    if account is not None and extensions.prove(account.id, form.password.data) is not None:
        return True
    form.password.errors = [_("This is not the account's password")]
    return False


def _choices(session: Session, link: SignedLink) -> list[tuple[str, bool]]:
    """What was chosen at registration, and takes effect by confirming."""
    register = purposes(session)
    current = decisions.current(session, link.subject_id, at=now())
    return [
        (register.purposes[purpose_id].text[locale()].name, decision.state.permits)
        for purpose_id, decision in current.items()
        if decision is not None
    ]


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _confirm(session: Session, token: str) -> None:
    at = now()
    found = link_session.look(session, KINDS, token, at=at)
    link = signed_links.consume(session, LinkKind(found.kind), token, at=at)
    if found.kind == LinkKind.CHECK:
        return  # that it was followed is all it is for
    if found.kind == LinkKind.CONFIRM:
        accounts.confirm_address(session, link.subject_id, at=at)
        joining.join(session, link.subject_id, at=at)
        return
    account = accounts.of_subject(session, link.subject_id)
    wanted = accounts.pending_email(session, account) if account else None
    if account is None or wanted is None:
        raise BadLink
    # Whoever follows this link reads the mail of the address; a registration of it that nobody
    # confirmed counts for nothing.
    erasure.forget_unconfirmed(session, wanted, at=at)
    old = accounts.take_new_address(session, link.subject_id, at=at)
    recipients.tell(session, link.subject_id, "rectification", at=at, by=old)
    joining.join(session, link.subject_id, at=at)
    name = accounts.person(session, account).name
    letter = {"to": old, "name": name, "locale": account.locale}
    outbox.post(session, "mail.address_changed", letter, at=at, about=link.subject_id)
