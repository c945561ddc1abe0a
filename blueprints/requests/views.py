"""Asking, verifying by link, and what comes of it."""

from __future__ import annotations

from datetime import datetime

import structlog
from flask import Response, abort, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from sqlalchemy.orm import Session

import extensions
import link_session
from blueprints.requests import bp
from blueprints.requests.forms import AddressForm, SignedInForm
from domain.delivery import outbox
from domain.identity import accounts, limits, signed_links
from domain.identity.errors import BadLink, ExpiredLink
from domain.identity.limits import LimitKind
from domain.ledger.entry import Entry
from domain.rights import access, erasure, requests
from domain.rights.errors import NotVerified
from domain.rights.intake import LINKS
from domain.rights.inventory import INVENTORY
from domain.rights.models import DataSubjectRequest
from domain.rights.requests import RequestKind, RequestState
from domain.subjects import service as subjects
from extensions import (
    client_ip,
    current_user,
    keeps_typed,
    locale,
    now,
    reading,
    reauthenticate,
    settings,
    transaction,
)
from forms import EmptyForm

log = structlog.get_logger()

# How long a verified person may take to press the button. The link itself is used up by then.
_MINUTES = 30


@bp.route("/requests/new", methods=["GET", "POST"])
@keeps_typed
def new() -> ResponseReturnValue:
    """Ask for a copy of one's data, or for erasure."""
    if current_user.is_authenticated:
        return _new_signed_in()
    form = AddressForm(data={"kind": request.args.get("kind")})
    if not form.validate_on_submit():
        return render_template("requests/new.html", form=form), 422 if form.errors else 200
    at = now()
    with transaction() as session:
        limits.spend(session, LimitKind.MAIL, address=form.email.data, ip=client_ip(), at=at)
    with transaction() as session:
        asked = {"kind": form.kind.data, "email": form.email.data, "locale": locale()}
        outbox.post(session, "intake.request", asked, at=at)
    return redirect(url_for("requests.sent"), code=303)


@bp.get("/requests/sent")
def sent() -> ResponseReturnValue:
    """Say that a mail is on its way: the same for every address."""
    return render_template("requests/sent.html")


@bp.get("/requests/verify/<token>")
def verify(token: str) -> ResponseReturnValue:
    """Take the token out of the address bar. Changes nothing."""
    return link_session.keep("request", token, "requests.verify_request")


@bp.route("/requests/verify", methods=["GET", "POST"])
def verify_request() -> ResponseReturnValue:
    """Show a button, and verify the request when it is pressed."""
    form = EmptyForm()
    token = link_session.kept("request")
    kinds = tuple(LINKS.values())
    try:
        if not form.validate_on_submit():
            with reading() as session:
                link = link_session.look(session, kinds, token, at=now())
            return link_session.page("requests/verify.html", form=form, kind=link.kind)
        with transaction() as session:
            at = now()
            found = link_session.look(session, kinds, token, at=at)
            link = signed_links.consume(session, type(kinds[0])(found.kind), token, at=at)
            asked = requests.take(session, link.request_id) if link.request_id else None
            if asked is None:
                raise BadLink
            requests.verify(session, asked, channel="link", at=at)
    except ExpiredLink:
        return link_session.expired(url_for("requests.new"))
    except BadLink:
        return link_session.bad()
    link_session.drop()
    return _enter(asked)


@bp.route("/requests/<reference>", methods=["GET", "POST"])
def show(reference: str) -> ResponseReturnValue:
    """A verified request: take the copy, or erase, by one button. Later: what came of it."""
    asked = _mine(reference)
    form = EmptyForm()
    may_act = _entered(asked) and asked.subject_id is not None
    may_act = may_act and asked.state in (RequestState.VERIFIED, _open_state(asked))
    if form.validate_on_submit() and may_act:
        if asked.kind == RequestKind.ACCESS:
            return _copy(asked)
        return _erase(asked)
    return link_session.page(
        "requests/show.html",
        form=form,
        request=asked,
        may_act=may_act,
        inventory=INVENTORY,
        entries=_entries(asked),
        mail_folder=settings().development and settings().mail_url.startswith("folder:"),
    )


def _new_signed_in() -> ResponseReturnValue:
    """The same, for who is signed in: the password instead of a link."""
    form = SignedInForm(data={"kind": request.args.get("kind")})
    if request.method == "POST" and form.validate():
        if reauthenticate(form.password.data) is not None:
            at = now()
            with transaction() as session:
                subject_id = current_user.subject_id
                kind = RequestKind(form.kind.data)
                asked = requests.receive(session, subject_id, kind, channel="account", at=at)
                if requests.verify(session, asked, channel="account", at=at):
                    _tell(session, asked, "mail.request_received", at=at)
            return _enter(asked)
        form.password.errors = [_("This is not your password")]
    return render_template("requests/new.html", form=form), 422 if form.errors else 200


def _copy(asked: DataSubjectRequest) -> ResponseReturnValue:
    """The ZIP: made first and then noted, so that what could not be made was not given, and
    nobody who wants to write waits while it is made."""
    at = now()
    with reading() as session:
        current = requests.get(session, asked.id)
        if current is None or current.subject_id is None:
            abort(404)
        receipts = access.proofs(session, current.subject_id)
        document = access.collect(session, current.subject_id, current, locale(), at=at)
    names = {purpose["id"]: purpose["name"] for purpose in document["purposes"]}
    page = render_template(
        "requests/export.html", document=document, purpose_names=names, receipts=receipts
    )
    made = access.archive(document, page, receipts)
    with transaction() as session:
        taken = requests.take(session, asked.id)
        if taken is None or taken.subject_id is None:
            abort(404)
        if requests.fulfil(session, taken, at=at):
            _tell(session, taken, "mail.access_done", at=at)
    response = Response(made, mimetype="application/zip")
    response.headers["Content-Disposition"] = f'attachment; filename="{taken.reference}.zip"'
    return response


def _erase(asked: DataSubjectRequest) -> ResponseReturnValue:
    try:
        with transaction() as session:
            taken = requests.take(session, asked.id)
            if taken is not None:
                erasure.fulfil(session, taken, at=now())
        if not extensions.database().scrub():
            log.warning("scrub_gave_up")  # the worker tries again
    except NotVerified:
        pass  # pressed twice: the first time did it, and the page says so
    extensions.sign_out()
    return _enter(asked)


def _tell(session: Session, asked: DataSubjectRequest, kind: str, *, at: datetime) -> None:
    """Mail the account that there is a request, or that it is done (requirement 73)."""
    account = accounts.of_subject(session, asked.subject_id) if asked.subject_id else None
    if account is not None:
        person = accounts.person(session, account)
        letter = {
            "to": person.email,
            "name": person.name,
            "locale": account.locale,
            "kind": asked.kind,
            "reference": asked.reference,
            "due_on": asked.due_on,
            "entries": requests.entries(session, asked),
        }
        outbox.post(session, kind, letter, at=at, about=account.subject_id)


def _enter(asked: DataSubjectRequest) -> ResponseReturnValue:
    """Let this browser, and no other, see and finish the request for half an hour."""
    cookie["request"] = {"id": str(asked.id), "until": int(now().timestamp()) + _MINUTES * 60}
    return redirect(url_for("requests.show", reference=asked.reference), code=303)


def _entered(asked: DataSubjectRequest) -> bool:
    kept = cookie.get("request")
    if not isinstance(kept, dict) or kept.get("id") != str(asked.id):
        return False
    return int(kept.get("until", 0)) >= now().timestamp()


def _mine(reference: str) -> DataSubjectRequest:
    """The request, if it was verified here or is the signed-in person's; else 404."""
    with reading() as session:
        asked = requests.by_reference(session, reference)
    if asked is None:
        abort(404)
    own = current_user.is_authenticated and asked.subject_id == current_user.subject_id
    if not (own or _entered(asked)):
        abort(404)
    return asked


def _entries(asked: DataSubjectRequest) -> list[Entry]:
    """What the ledger says about the request, for who is signed in: only they have the receipts."""
    if not (current_user.is_authenticated and asked.subject_id == current_user.subject_id):
        return []
    with reading() as session:
        told = subjects.entries(session, current_user.subject_id)
        return [one for one in told if one.data.get("reference") == asked.reference]


def _open_state(asked: DataSubjectRequest) -> RequestState:
    """A copy can be taken again while the half hour lasts; an erasure is done once."""
    return RequestState.FULFILLED if asked.kind == RequestKind.ACCESS else RequestState.VERIFIED
