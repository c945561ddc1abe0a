"""The preferences page: marketing and analytics, given and withdrawn with the same effort."""

from flask import Blueprint

bp = Blueprint("preferences", __name__)

from blueprints.preferences import receipts, views  # noqa: E402 - the views register themselves on bp

__all__ = ["bp", "receipts", "views"]
