"""Asking: from the account, or by an e-mail address that a link goes to."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

import underway
from blueprints.requests import bp
from blueprints.requests.admission import admit
from blueprints.requests.forms import (
    MARKETING,
    AddressForm,
    FollowForm,
    KindForm,
    LinkForm,
    PasswordForm,
    form_of,
)
from domain.delivery import outbox
from domain.identity import limits
from domain.identity.limits import LimitKind
from domain.rights import cases, requests, restricting, telling
from domain.rights.requests import RequestKind
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    current_user,
    keeps_typed,
    locale,
    now,
    reading,
    reauthenticate,
    transaction,
)
from forms import SiteForm


@bp.route("/requests/new", methods=["GET", "POST"])
@keeps_typed
def new() -> ResponseReturnValue:
    """Ask for anything that the law gives a right to."""
    kind = request.args.get("kind")
    if kind not in set(RequestKind):
        return _any_kind()
    if current_user.is_authenticated:
        return _signed_in(RequestKind(kind))
    return _by_address(RequestKind(kind))


@bp.get("/requests/sent")
def sent() -> ResponseReturnValue:
    """Say that a mail is on its way: the same for every address."""
    return render_template("requests/sent.html", kind=request.args.get("kind"))


@bp.route("/requests/follow", methods=["GET", "POST"])
@keeps_typed
def follow() -> ResponseReturnValue:
    """Ask for a link to a case, by its reference. The answer is the same for every one."""
    form = FollowForm()
    if not form.validate_on_submit():
        return render_template("requests/follow.html", form=form), 422 if form.errors else 200
    asked = {"reference": form.reference.data.upper(), "email": form.email.data}
    _post("intake.follow", asked, LimitKind.FOLLOW)
    return redirect(url_for("requests.sent"), code=303)


def _any_kind() -> ResponseReturnValue:
    """The page for all kinds. Who is not signed in says where the link goes in the same breath;
    what a kind needs beside that is asked for on a page of its own."""
    signed_in = current_user.is_authenticated
    form = KindForm() if signed_in else AddressForm()
    if not form.validate_on_submit():
        return render_template("requests/new.html", form=form), 422 if form.errors else 200
    kind = RequestKind(form.kind.data)
    if signed_in:
        return redirect(url_for("requests.new", kind=kind.value), code=303)
    needed = form_of(kind, signed_in=False)
    if needed is not LinkForm:
        return _page(kind, needed(formdata=None, data={"email": form.email.data}))
    return _send(kind, form)


def _by_address(kind: RequestKind) -> ResponseReturnValue:
    form = form_of(kind, signed_in=False)()
    if not form.validate_on_submit():
        return _page(kind, form)
    return _send(kind, form)


def _send(kind: RequestKind, form: SiteForm) -> ResponseReturnValue:
    """Leave it to the worker to find out whose address that is (requirement 64)."""
    asked = {"email": form.email.data, **_said(form)}
    if kind is RequestKind.ENQUIRY:
        _post("intake.enquiry", asked)
        return redirect(url_for("requests.sent", kind=kind.value), code=303)
    _post("intake.request", {"kind": kind.value, **asked})
    return redirect(url_for("requests.sent"), code=303)


def _post(kind: str, asked: dict[str, Any], limit: LimitKind = LimitKind.REQUEST) -> None:
    """Leave it to the worker. The month runs from now, whenever that is (GDPR art. 12(3))."""
    at = now()
    with transaction() as session:
        limits.spend(session, limit, address=asked["email"], ip=client_ip(), at=at)
    with transaction() as session:
        outbox.post(session, kind, {**asked, "locale": locale(), "at": at}, at=at)


def _signed_in(kind: RequestKind) -> ResponseReturnValue:
    """From the account: no link, and the password only where harm could be done."""
    if kind is RequestKind.RECTIFICATION:
        return redirect(url_for("accounts.details"))
    form = form_of(kind, signed_in=True)()
    if not form.validate_on_submit():
        return _page(kind, form)
    if isinstance(form, PasswordForm) and reauthenticate(form.password.data) is None:
        form.password.errors = [_("This is not your password")]
        return _page(kind, form)
    return _receive(kind, form, at=now())


def _receive(kind: RequestKind, form: SiteForm, *, at: datetime) -> ResponseReturnValue:
    said, who = _said(form), current_user.subject_id
    with transaction() as session:
        reached = requests.contact(session, who)
        email = reached.email if reached else None
        limits.spend(session, LimitKind.OWN, address=email, ip=client_ip(), at=at)
    with transaction() as session:
        subjects.lock(session, who)
        known = restricting.placed_by(session, who) if kind is RequestKind.RESTRICTION else None
        if known is not None:
            return admit(known, acting=True)
        asked = requests.receive(
            session,
            who,
            kind,
            channel="account",
            at=at,
            locale=locale(),
            about_purpose=said.get("about_purpose"),
        )
        if said.get("words"):
            cases.write(session, asked, "person", said["words"], at=at)
        if requests.verify(session, asked, channel="account", at=at):
            telling.tell(session, asked, "mail.request_received", at=at)
            cases.execute(session, asked, at=at)
    underway.wait(who)  # a restriction or an objection may stop newsletters
    return admit(asked, acting=True)


def _said(form: SiteForm) -> dict[str, Any]:
    """What was written beside the kind. Nobody has to give reasons against marketing."""
    about = form.data.get("about")
    words = form.data.get("words")
    return {
        **({"about_purpose": about} if about else {}),
        **({"words": words} if words else {}),
    }


def _page(kind: RequestKind, form: SiteForm) -> ResponseReturnValue:
    """The page of one kind."""
    restricted = False
    if kind is RequestKind.RESTRICTION and current_user.is_authenticated:
        with reading() as session:
            restricted = subjects.get(session, current_user.subject_id).restricted_at is not None
    page = render_template(
        "requests/ask.html", form=form, kind=kind.value, restricted=restricted, marketing=MARKETING
    )
    return page, 422 if form.errors else 200
