"""Pages that everybody can read."""

from __future__ import annotations

from flask import Blueprint, current_app, render_template
from flask.typing import ResponseReturnValue

from blueprints.site.cookies import inventory
from domain.dates import local_day
from domain.tips.library import Library
from extensions import now

bp = Blueprint("site", __name__)


def library() -> Library:
    """The tips of this site."""
    found: Library = current_app.extensions["tips"]
    return found


@bp.get("/")
def front() -> ResponseReturnValue:
    """What the service is, or, signed in, where to go from here."""
    newest = library().newest(3, on=local_day(now()))
    return render_template("site/front.html", newest=newest)


@bp.get("/processors")
def processors() -> ResponseReturnValue:
    """Who processes personal data for the operator, where, and what they do (GDPR art. 28)."""
    return render_template("site/processors.html", processors=current_app.extensions["processors"])


@bp.get("/cookies")
def cookies() -> ResponseReturnValue:
    """Everything the site stores in the browser, and why."""
    return render_template("site/cookies.html", cookies=inventory())


@bp.get("/contact")
def contact() -> ResponseReturnValue:
    """How to reach the operator, use the rights, and complain to the authority."""
    return render_template("site/contact.html")
