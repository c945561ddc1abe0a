"""What other programs of the same origin ask the site: may this be done for whoever is at the
browser?"""

from flask import Blueprint

bp = Blueprint("api", __name__, url_prefix="/api/v1")

from blueprints.api import permission  # noqa: E402 - the view registers itself on bp

__all__ = ["bp", "permission"]
