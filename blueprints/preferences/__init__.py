"""Marketing and analytics, given and withdrawn with the same effort; and what visitors choose."""

from flask import Blueprint

bp = Blueprint("preferences", __name__)

from blueprints.preferences import (  # noqa: E402 - the views register themselves on bp
    receipts,
    renewal,
    section,
    unsubscribe,
    views,
    visitors,
)

__all__ = ["bp", "receipts", "renewal", "section", "unsubscribe", "views", "visitors"]
