"""Pages that everybody can read."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from blueprints.site.cookies import inventory
from extensions import settings

bp = Blueprint("site", __name__)


@bp.get("/")
def front() -> ResponseReturnValue:
    """What the service is, or, signed in, where to go from here."""
    return render_template("site/front.html")


@bp.get("/processors")
def processors() -> ResponseReturnValue:
    """Who processes personal data for the operator, where, and what they do (GDPR art. 28)."""
    return render_template("site/processors.html", processors=current_app.extensions["processors"])


@bp.get("/cookies")
def cookies() -> ResponseReturnValue:
    """Everything the site stores in the browser, and why."""
    here = settings()
    return render_template(
        "site/cookies.html",
        cookies=inventory(
            secure=here.secure, idle=here.idle_timeout, absolute=here.absolute_timeout
        ),
    )


@bp.get("/contact")
def contact() -> ResponseReturnValue:
    """How to reach the operator, use the rights, and complain to the authority."""
    return render_template("site/contact.html")
