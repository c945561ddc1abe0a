"""«Ditt personvern»: everything about a person's data on one page, and the way to each right."""

from __future__ import annotations

from flask import render_template
from flask.typing import ResponseReturnValue

from blueprints.requests import bp
from domain.consent import decisions
from domain.consent.purposes import purposes
from domain.identity import subscriptions
from domain.rights import overview, recipients, requests
from domain.rights.requests import OPEN, RequestState
from domain.subjects import service as subjects
from extensions import current_user, locale, login_required, now, reading

_RUNNING = (*OPEN, RequestState.HELD.value)
_VIEWED = "staff.viewed"


@bp.get("/account/privacy")
@login_required
def privacy() -> ResponseReturnValue:
    """What we have, why, from where, who has received it, until when; what is under way, and a
    button for each right (GDPR art. 12(2), 13, 15)."""
    at, me = now(), current_user.subject_id
    with reading() as session:
        subject, register = subjects.get(session, me), purposes(session)
        asked = requests.of_subject(session, me)
        glances, empty = overview.glances(session, me, at=at)
        remainder = overview.remainder(session, me)
        values = {
            "register": register,
            # What the records are shown with, as in the copy (macros/export.html).
            "document": {
                "purposes": [{"id": one.id, "name": one.text[locale()].name} for one in register],
                "recipients": register.processors,
            },
            "restricted_at": subject.restricted_at,
            "waiting": [one for one in asked if one.state in _RUNNING],
            "closed": [one for one in asked if one.state not in _RUNNING],
            "decisions": decisions.current(session, me, at=at),
            "subscriptions": subscriptions.of_subject(session, me),
            "erase_on": subscriptions.erase_on(session, me, at=at),
            "glances": sorted(reversed(glances), key=lambda one: one.name != "account"),
            "empty": _empty(empty, known=remainder.accounting_known),
            "remainder": remainder,
            "told": recipients.of_subject(session, me),
            "viewed": [one for one in subjects.entries(session, me) if one.type == _VIEWED],
        }
    return render_template("requests/privacy.html", **values)


def _empty(names: list[str], *, known: bool) -> list[str]:
    """What we have nothing of, but for the books where this process may not look into them."""
    return [name for name in names if known or name != "accounting"]
