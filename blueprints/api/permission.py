"""«May I?», for a program that stands beside this site and sends along what the browser sent it.

docs/embedding.md tells how it is asked. Whatever is not 200 with `permitted` true is a no.
"""

from __future__ import annotations

from flask import Response, jsonify, request
from flask.typing import ResponseReturnValue

import visiting
from blueprints.api import bp
from domain.consent import visitors
from domain.consent.permission import permitted
from domain.consent.purposes import Purpose
from extensions import current_user, database, now, signal


@bp.get("/permission")
def permission() -> ResponseReturnValue:
    """Whether a purpose that rests on consent is permitted now, for whoever this browser's
    cookies belong to; 404 for what is no such purpose.

    The answer counts for this moment and this request, and nobody may keep it. It says nothing
    about who was asked for.
    """
    purpose = visiting.register().purposes.get(request.args.get("purpose", ""))
    if purpose is None or not purpose.optional:
        return _closed({"error": "unknown purpose"}), 404
    decided_by, yes = _decided(purpose)
    return _closed(
        {
            "purpose": purpose.id,
            "version": purpose.version,
            "permitted": yes,
            "decided_by": decided_by,
        }
    )


def _decided(purpose: Purpose) -> tuple[str | None, bool]:
    """Whose answer counts here, and what it is: signed in, the account's; else the browser's; of
    who has not answered it is a no."""
    at = now()
    if current_user.is_authenticated:
        of_visitors = {one.id for one in visitors.asked(visiting.register())}
        if purpose.id in of_visitors:
            return "account", visiting.account_says(current_user.subject_id, at=at)[purpose.id]
        return "account", bool(permitted(database(), current_user.subject_id, purpose.id, at=at))
    answer = visiting.answers().get(purpose.id)
    if answer is None:
        return None, False
    return "browser", answer.permits(signal=signal(), at=at)


def _closed(said: dict[str, object]) -> Response:
    """As JSON that no page of another origin can read, and nothing keeps."""
    response = jsonify(said)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.vary.update(["Cookie", "Sec-GPC"])
    return response
