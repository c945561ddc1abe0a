"""The visitors' choice as a piece of HTML, for the page of another application of this origin."""

from __future__ import annotations

from flask import Response, abort, make_response, render_template, request

import visiting
from blueprints.preferences import bp
from extensions import path_here


@bp.get("/consent/section")
def section() -> Response:
    """What stands first in the body of the page at `next`, a path of this origin: the section
    that asks, or nothing where there is nothing to ask. Its form comes back to that page."""
    page = path_here(request.args.get("next", ""))
    if page is None:
        abort(400)
    asked = visiting.asked_from(page)
    response = make_response(
        render_template("preferences/section.html", asked=asked) if asked else ""
    )
    response.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    response.vary.update(["Cookie", "Sec-GPC", "Accept-Language"])
    return response
