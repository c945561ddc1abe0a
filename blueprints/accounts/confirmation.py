"""Confirming an address by the link that was mailed to it."""

from __future__ import annotations

from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import extensions
import link_session
from blueprints.accounts import bp
from domain.delivery import outbox
from domain.identity import accounts, signed_links
from domain.identity.errors import AddressTaken, BadLink, ExpiredLink
from domain.identity.signed_links import LinkKind
from domain.rights import erasure
from extensions import now, reading, transaction
from forms import EmptyForm

KINDS = (LinkKind.CONFIRM, LinkKind.NEW_ADDRESS)
# Where to ask for a new link when one is too old.
AGAIN = {LinkKind.CONFIRM.value: "accounts.register", LinkKind.NEW_ADDRESS.value: "accounts.email"}


@bp.get("/confirm/<token>")
def confirm(token: str) -> ResponseReturnValue:
    """Take the token out of the address bar. Changes nothing."""
    return link_session.keep("confirm", token, "accounts.confirm_address")


@bp.route("/confirm", methods=["GET", "POST"])
def confirm_address() -> ResponseReturnValue:
    """Show a button, and confirm the address when it is pressed."""
    form = EmptyForm()
    token = link_session.kept("confirm")
    try:
        if not form.validate_on_submit():
            with reading() as session:
                link = link_session.look(session, KINDS, token, at=now())
            return link_session.page("accounts/confirm.html", form=form, kind=link.kind)
        with transaction() as session:
            _confirm(session, token)
    except ExpiredLink as error:
        return link_session.expired(url_for(AGAIN[error.kind]))
    except (BadLink, AddressTaken):
        return link_session.bad()
    extensions.sign_out()
    flash(_("Your e-mail address is confirmed. You can sign in."), "success")
    return redirect(url_for("accounts.login"), code=303)


def _confirm(session: Session, token: str) -> None:
    at = now()
    found = link_session.look(session, KINDS, token, at=at)
    link = signed_links.consume(session, LinkKind(found.kind), token, at=at)
    if found.kind == LinkKind.CONFIRM:
        accounts.confirm_address(session, link.subject_id, at=at)
        return
    account = accounts.of_subject(session, link.subject_id)
    wanted = accounts.pending_email(session, account) if account else None
    if account is None or wanted is None:
        raise BadLink
    # Whoever follows this link reads the mail of the address; a registration of it that nobody
    # confirmed counts for nothing.
    erasure.forget_unconfirmed(session, wanted, at=at)
    old = accounts.take_new_address(session, link.subject_id, at=at)
    name = accounts.person(session, account).name
    letter = {"to": old, "name": name, "locale": account.locale}
    outbox.post(session, "mail.address_changed", letter, at=at, about=link.subject_id)
