"""Receipts: an entry about oneself in words, and as files that verify without us."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from datetime import date
from threading import BoundedSemaphore

from flask import Response, abort, make_response, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import force_locale
from flask_babel import gettext as _

from blueprints.preferences import bp
from domain.consent import receipts, records
from domain.consent.purposes import purposes
from domain.consent.records import Ground, Sayings
from domain.ledger import log_keys
from domain.ledger.checkpoints import Trusted
from domain.ledger.entry import Entry, decode
from domain.ledger.errors import NotYet
from domain.ledger.log_keys import KnownKey
from domain.ledger.proofs import Proof
from domain.ledger.receipts import Receipt, name
from extensions import current_user, day, login_required, now, reading, settings

_ADDRESS = "/preferences/receipts/<string(length=32):entry_id>"
# An entry has its place after some 200 ms. Who asks sooner waits, but not for long.
_PAUSE, _TURNS = 0.1, 20
# When to come back where that was not enough.
_SECONDS = 10
# Whoever waits keeps a thread of the server, which has eight: the others are for everybody else.
_waiting = BoundedSemaphore(3)


@dataclass(frozen=True)
class Made:
    """A receipt, its place in the log, and who signed that, with which keys of the log."""

    receipt: Receipt
    place: Proof
    trusted: Trusted
    keys: list[KnownKey]


@bp.get(_ADDRESS)
@login_required
def receipt(entry_id: str) -> ResponseReturnValue:
    """The receipt in words; as JSON to a program that asks for it."""
    entry = decode(_own(entry_id))
    kinds = ["text/html", "application/json"]
    page = request.accept_mimetypes.best_match(kinds, "text/html") == "text/html"
    found = wait_for(entry_id)
    if found is None:
        response = later(page=page)
    elif page:
        response = make_response(shown(entry, found, _ground(entry)))
    else:
        response = as_file(entry, "json", found.receipt.encode())
    response.vary.add("Accept")
    return response


@bp.get(f"{_ADDRESS}.<any('json', 'tlog-proof'):ending>")
@login_required
def receipt_file(entry_id: str, ending: str) -> ResponseReturnValue:
    """The receipt, or its proof alone, to keep."""
    entry = decode(_own(entry_id))
    found = wait_for(entry_id)
    if found is None:
        kinds = ["application/json", "text/html"]
        return later(page=request.accept_mimetypes.best_match(kinds) == "text/html")
    content = found.receipt.encode() if ending == "json" else found.receipt.proof
    return as_file(entry, ending, content)


@bp.get(f"{_ADDRESS}.entry.json")
@login_required
def receipt_entry(entry_id: str) -> ResponseReturnValue:
    """The entry's exact bytes: what a proof alone is verified with."""
    content = _own(entry_id)
    return as_file(decode(content), "entry.json", content)


@bp.get(f"{_ADDRESS}.<any('kantara', '27560'):form>.json")
@login_required
def receipt_record(entry_id: str, form: str) -> ResponseReturnValue:
    """The decision in a format of others; 404 where it has no place in that format."""
    entry = decode(_own(entry_id))
    ground = _ground(entry)
    if ground is None:
        abort(404)
    sayings = _sayings(ground)
    written = records.kantara if form == "kantara" else records.iso_27560
    document = written(ground, sayings)
    if document is None:
        abort(404)
    content = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return as_file(entry, f"{form}.json", content.encode())


def _own(entry_id: str) -> bytes:
    """The entry, if it is about who is signed in; else 404, whoever it is about."""
    with reading() as session:
        content = receipts.own(session, current_user.subject_id, entry_id)
    if content is None:
        abort(404)
    return content


def wait_for(entry_id: str) -> Made | None:
    """The receipt; None where the entry still waits for its place, after waiting along for two
    seconds or, where others wait already, at once. Nothing is held while it sleeps."""
    made = _at_once(entry_id)
    if made is None and _waiting.acquire(blocking=False):
        try:
            for _turn in range(_TURNS):
                time.sleep(_PAUSE)
                made = _at_once(entry_id)
                if made is not None:
                    break
        finally:
            _waiting.release()
    return made


def _at_once(entry_id: str) -> Made | None:
    with reading() as session:
        try:
            made = receipts.receipt(session, entry_id)
        except NotYet:
            return None
        place = Proof.parse(made.proof)
        trusted, known = log_keys.trusted(session, place.checkpoint), log_keys.known(session)
        signed = {one.key for one in trusted.by}
        return Made(made, place, trusted, [one for one in known if one.key in signed])


def shown(entry: Entry, made: Made, ground: Ground | None, **more: object) -> str:
    """The page of a receipt."""
    with reading() as session:
        register = purposes(session)
    return render_template(
        "preferences/receipt.html",
        entry=entry,
        content=made.receipt.entry.decode(),
        place=made.place,
        tree=made.trusted.checkpoint,
        root=base64.b64encode(made.trusted.checkpoint.root).decode(),
        trusted=made.trusted,
        keys=made.keys,
        file=f"{name(entry)}.json",
        recorded=ground is not None,
        permits=ground is not None and ground.decision.state.permits,
        register=register,
        **more,
    )


def later(*, page: bool) -> Response:
    """202: it was recorded, and the receipt comes in a moment."""
    if page:
        text = render_template("preferences/receipt_waiting.html", seconds=_SECONDS)
        response = make_response(text, 202)
    else:
        response = make_response({"state": "waiting", "retry_after": _SECONDS}, 202)
    response.headers["Retry-After"] = str(_SECONDS)
    return response


def as_file(entry: Entry, ending: str, content: bytes) -> Response:
    """What there is of an entry, as a file to keep."""
    kind = "application/json" if ending.endswith("json") else "text/plain"
    response = Response(content, mimetype=kind)
    file = f"{name(entry)}.{ending}"
    response.headers["Content-Disposition"] = f'attachment; filename="{file}"'
    return response


def _ground(entry: Entry) -> Ground | None:
    with reading() as session:
        return records.ground(session, current_user.subject_id, entry, at=now())


def _sayings(ground: Ground) -> Sayings:
    """What the documents say beside what was shown, in the language that was shown."""
    email, notice = ground.shown["controller"]["email"], ground.shown["notice"]
    ends = ground.decision.expires_at
    with force_locale(ground.locale):
        policy = _policy_url(notice["effective_on"], ground.locale)
        return Sayings(
            policy_url=policy,
            collection=_collection(ground.shown["surface"]),
            withdrawal=_(
                "Under “Change your choices” at the foot of every page, "
                "or by writing to %(email)s.",
                email=email,
            ),
            termination=_(
                "When it is withdrawn, and at the latest on %(date)s.", date=day(ends or now())
            ),
            today=_(
                "Name of the service, postal address and phone number of the company, and the "
                "supervisory authority, are as they are today."
            ),
            no_phone=_("No phone number. Write to %(email)s.", email=email),
            elsewhere=_(
                "As it stands in the privacy notice of %(date)s, which was the one shown: %(url)s",
                date=day(date.fromisoformat(notice["effective_on"])),
                url=policy,
            ),
            changed=_(
                "The purpose or the privacy notice has changed since this decision. "
                "What only the older ones said is not repeated here."
            ),
        )


def _collection(surface: str) -> str:
    if surface == "register":
        return str(_("A form on the website, where the account was opened."))
    if surface == "unsubscribe":
        return str(_("The link in a newsletter that ends it."))
    return str(_("A form on the website, on the page where choices are made."))


def _policy_url(effective_on: str, language: str) -> str:
    path = url_for("site.version", kind="privacy", date=effective_on, lang=language)
    return settings().base_url.rstrip("/") + path
