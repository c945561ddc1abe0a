"""Data subject requests: by signed link for anyone, and from the account."""

from flask import Blueprint

bp = Blueprint("requests", __name__)

from blueprints.requests import views  # noqa: E402 - the views register themselves on bp

__all__ = ["bp", "views"]
