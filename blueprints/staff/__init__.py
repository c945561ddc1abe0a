"""Pages of those who work for the operator: newsletters, and what is used."""

from flask import Blueprint

bp = Blueprint("staff", __name__, url_prefix="/staff")

# The views register themselves on bp.
from blueprints.staff import campaigns, previewing, usage, writing  # noqa: E402

__all__ = ["bp", "campaigns", "previewing", "usage", "writing"]
