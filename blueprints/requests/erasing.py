"""Erasing, or erasing later where the operator gives time to think, and staying after all."""

from __future__ import annotations

import structlog
from flask import flash, redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _

import extensions
import underway
from blueprints.requests.admission import admit
from domain.rights import erasure, requests
from domain.rights.errors import NotVerified
from domain.rights.models import DataSubjectRequest
from extensions import now, settings, transaction

log = structlog.get_logger()


def erase(asked: DataSubjectRequest, *, later: bool) -> ResponseReturnValue:
    """Erase now, or freeze everything and erase when the time of grace is over. Either way every
    session ends (requirement 75)."""
    later = later and bool(settings().erasure_grace)

    def act() -> None:
        with transaction() as session:
            taken, at = requests.take(session, asked.id), now()
            if taken is not None and later:
                erasure.wait(session, taken, until=at + settings().erasure_grace, at=at)
            elif taken is not None:
                erasure.fulfil(session, taken, at=at)

    in_time = True
    try:
        in_time = underway.erase(act)
        if later and asked.subject_id is not None:
            underway.wait(asked.subject_id)
        if not later and not extensions.database().scrub():
            log.warning("scrub_gave_up")  # the worker tries again
    except NotVerified:
        pass  # pressed twice: the first time did it, and the page says so
    extensions.sign_out()
    if not in_time:
        underway.tell()
    return admit(asked, acting=True)


def keep(asked: DataSubjectRequest) -> ResponseReturnValue:
    """Stop an erasure that waits."""
    with transaction() as session:
        taken = requests.take(session, asked.id)
        kept = taken is not None and erasure.cancel(session, taken, at=now())
    if kept:
        flash(_("Nothing is erased. Your account is as it was."), "success")
    return redirect(url_for("requests.show", reference=asked.reference), code=303)
