"""Copies: small ones are made while the person waits, large ones by the worker."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Response, abort, flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

from domain.rights import access, exports, portability, requests, telling
from domain.rights.errors import NoExport, NotVerified
from domain.rights.exports import ExportState
from domain.rights.models import DataSubjectRequest, ExportArchive
from domain.rights.requests import RequestKind
from extensions import database, locale, now, reading, settings, transaction


def give(asked: DataSubjectRequest) -> ResponseReturnValue:
    """The copy, or the page that says how far it has come."""
    if asked.kind == RequestKind.PORTABILITY:
        return _file(asked, at=now())
    with reading() as session:
        current = requests.get(session, asked.id)
        if current is None or current.subject_id is None:
            abort(404)
        kept = exports.of_request(session, current.id)
        large = kept is not None or exports.needs_worker(
            session, current.subject_id, settings().export_at_once
        )
    if not large:
        return _at_once(asked, at=now())
    if kept is not None and ExportState(kept.state).fetchable:
        return _fetched(asked, kept)
    return _begun(asked)


def _at_once(asked: DataSubjectRequest, *, at: datetime) -> ResponseReturnValue:
    """Made first and then noted, so that what could not be made was not given, and nobody who
    wants to write waits while it is made."""
    with reading() as session:
        subject_id = _subject(requests.get(session, asked.id))
        receipts = access.proofs(session, subject_id)
        document = access.collect(session, subject_id, asked, locale(), at=at)
    names = {purpose["id"]: purpose["name"] for purpose in document["purposes"]}
    page = render_template(
        "requests/export.html", document=document, purpose_names=names, receipts=receipts
    )
    made = access.archive(document, page, receipts)
    return _given(asked, made, at=at)


def _file(asked: DataSubjectRequest, *, at: datetime) -> ResponseReturnValue:
    """What the person gave, for another service (GDPR art. 20)."""
    with reading() as session:
        subject_id = _subject(requests.get(session, asked.id))
        document = portability.document(session, subject_id, at=at)
    return _given(asked, portability.archive(document), at=at)


def _given(asked: DataSubjectRequest, made: bytes, *, at: datetime) -> ResponseReturnValue:
    """Note it and hand it out, unless the person was erased or took the request back meanwhile."""
    try:
        with transaction() as session:
            taken = requests.take(session, asked.id)
            _subject(taken)
            if taken is not None and requests.fulfil(session, taken, at=at):
                telling.tell(session, taken, "mail.access_done", at=at)
    except NotVerified:
        return _back(asked)
    return _download(asked, Response(made, mimetype="application/zip"))


def _begun(asked: DataSubjectRequest) -> ResponseReturnValue:
    """Let the worker make it. Pressed twice, it is made once."""
    try:
        with transaction() as session:
            taken = requests.take(session, asked.id)
            if taken is not None and taken.subject_id is not None:
                exports.begin(session, taken, locale=locale(), at=now())
    except NotVerified:  # taken back, or its copy is gone
        flash(_("This copy is gone. You can ask for a new one."), "info")
    return _back(asked)


def _fetched(asked: DataSubjectRequest, kept: ExportArchive) -> ResponseReturnValue:
    """The copy that the worker made, this once."""
    try:
        parts = exports.fetch(database(), kept.id, clock=now)
    except NoExport:
        return _back(asked)  # fetched in another window, or its day is over
    response = Response(parts, mimetype="application/zip")
    response.content_length = kept.size
    return _download(asked, response)


def _download(asked: DataSubjectRequest, response: Response) -> Response:
    response.headers["Content-Disposition"] = f'attachment; filename="{asked.reference}.zip"'
    response.headers["Cache-Control"] = "no-store"
    return response


def _subject(current: DataSubjectRequest | None) -> UUID:
    """Whom it is about; 404 where they were erased."""
    if current is None or current.subject_id is None:
        abort(404)
    return current.subject_id


def _back(asked: DataSubjectRequest) -> ResponseReturnValue:
    return redirect(url_for("requests.show", reference=asked.reference), code=303)
